import ArgumentParser

struct Migrate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Applies the migrations that the database lacks.",
    discussion: "Runs under an advisory lock, so that several at once do no harm. `serve` does this by itself for the "
      + "private cluster only.")

  @Flag(help: "Only reports what is pending; exits with 1 when something is.")
  var check = false

  @OptionGroup var common: CommonOptions

  /// The flag, or its twin in the environment.
  private var onlyChecks: Bool {
    get throws {
      switch environment("RELAYRISK_CHECK") {
      case nil, "false": return check
      case "true": return true
      case let other?: throw ValidationError("RELAYRISK_CHECK is \"\(other)\"; it must be true or false")
      }
    }
  }

  func run() async throws {
    let onlyChecks = try onlyChecks
    try await Backend.with(common, logger: try common.logger()) { backend in
      if onlyChecks {
        let pending = try await backend.pending()
        for migration in pending { print("pending \(migration.version) \(migration.name)") }
        if !pending.isEmpty { throw ExitCode(1) }
      } else {
        for migration in try await backend.migrate() { print("applied \(migration.version) \(migration.name)") }
      }
    }
  }
}
