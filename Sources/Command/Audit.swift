import ArgumentParser
import Service

struct Audit: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells where the audit log ends, and holds it against what its hashes say.",
    discussion: "Works while the service runs. GET /v1/audit-log shows the entries.",
    subcommands: [Head.self, Verify.self])

  struct Head: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints where the audit log ends, as COUNT:HASH, to be kept elsewhere.")

    @OptionGroup var common: CommonOptions

    func run() async throws { print(try await withService(common) { try await $0.auditHead() }) }
  }

  struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Computes the chain of the audit log anew, and lists what was changed, taken out or moved.",
      discussion: """
        Without a head that was kept elsewhere nobody can tell whether the log was written anew as a whole, by \
        somebody who can write to the database. Exits with 1 when there is a fault.
        """)

    @Option(
      help: ArgumentHelp(
        "A head that `audit head`, the API or the service's log gave before. (default: none)",
        valueName: "count:hash"))
    var head: String?

    @OptionGroup var common: CommonOptions

    func validate() throws { _ = try kept }

    private var kept: AuditHead? {
      get throws {
        guard let text = head ?? environment("RELAYRISK_HEAD") else { return nil }
        guard let head = AuditHead(parsing: text) else {
          throw ValidationError("--head, or RELAYRISK_HEAD, must be COUNT:HASH as `relayrisk audit head` prints it")
        }
        return head
      }
    }

    func run() async throws {
      let kept = try kept
      var faultsCount = 0
      let head = try await withService(common) { service in
        try await service.verifyAuditLog(against: kept) { fault in
          print(fault)
          faultsCount += 1
        }
      }
      guard faultsCount == 0 else {
        printError("\(faultsCount) faults in the audit log, which ends at \(head)")
        throw ExitCode(1)
      }
      print("\(head.count) entries: no fault; the log ends at \(head)")
    }
  }
}
