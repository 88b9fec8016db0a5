import ArgumentParser
import Service

struct Migrate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Applies the migrations that the database lacks.",
    discussion: "Runs under an advisory lock, so that several at once do no harm. `serve` does this by itself for the "
      + "private cluster only.")

  @Flag(help: "Only reports what is pending; exits with 1 when something is.")
  var check = false

  @Option(
    help: ArgumentHelp(
      "A role that there is, to be given exactly what `serve` needs, which is neither migrations nor maintenance. "
        + "(default: none)", valueName: "role"))
  var serveRole: String?

  @OptionGroup var common: CommonOptions

  func run() async throws {
    let onlyChecks = try flag(check, "check")
    let role = serveRole ?? environment(twin(of: "serve-role"))
    try await Backend.with(common, logger: try common.logger()) { backend in
      if onlyChecks {
        let pending = try await backend.pending()
        for migration in pending { print("pending \(migration.version) \(migration.name)") }
        if !pending.isEmpty { throw ExitCode(1) }
      } else {
        for migration in try await backend.migrate() { print("applied \(migration.version) \(migration.name)") }
        if let role {
          try await ServingRole.grant(to: role, in: backend.database)
          print("granted to \(role)")
        }
      }
    }
  }
}
