import ArgumentParser
import Service

struct Keys: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Creates, lists, rotates and revokes API keys, and changes the master key.",
    discussion: "Works while the service runs, which takes up a change within a second, and without it.",
    subcommands: [Create.self, List.self, Rotate.self, Revoke.self, RotateMaster.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the keys, without their secrets.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
      for key in try await withService(common, { try await $0.listKeys() }) {
        let scopes = key.scopes.map(\.rawValue).joined(separator: ",")
        let use = key.lastUsedAt?.rfc3339 ?? "never"
        print(
          "\(key.id)  \(key.state.rawValue)  \(key.createdAt.rfc3339)  \(scopes)  \(key.source ?? "-")  \(key.name)"
            + "  last used: \(use)\(Self.limits(key.limits))")
      }
    }

    /// What narrows the key, in parentheses; empty when nothing does.
    private static func limits(_ limits: KeyLimits) -> String {
      let quotas = [
        (limits.quota.requestsPerMinute, "requests/min"), (limits.quota.resultsPerMinute, "results/min"),
      ].compactMap { limit, unit in limit.map { "\($0) \(unit)" } }
      let expiry = limits.expiresAt.map { ["expires: \($0.rfc3339)"] } ?? []
      let ranges =
        limits.addressRanges.isEmpty ? [] : ["from \(limits.addressRanges.map(\.description).joined(separator: " "))"]
      let all = expiry + ranges + quotas
      return all.isEmpty ? "" : "  (\(all.joined(separator: ", ")))"
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Revokes a key; it is refused from then on.")

    @Argument(help: "The key's id, as listed: what stands between rr_ and the second _.")
    var id: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
      try await withService(common) { try await $0.revokeKey(id) }
    }
  }
}

extension Scope: ExpressibleByArgument {}

/// Runs `body` with the registry and keys loaded, and the evidence where scores are wanted.
func withService<Value>(
  _ options: CommonOptions, loadingEvidence: Bool = false, _ body: (RiskService) async throws -> Value
) async throws -> Value {
  let logger = try options.logger()
  return try await Backend.withMigrated(options, logger: logger) { backend in
    let service = try RiskService(
      database: backend.database, masterKeys: backend.masterKeys, reader: backend.reader, logger: logger)
    try await service.load(evidence: loadingEvidence)
    return try await body(service)
  }
}
