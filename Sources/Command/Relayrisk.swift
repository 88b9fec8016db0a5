import ArgumentParser

/// The command.
@main
struct Relayrisk: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "relayrisk",
    abstract: "How risky is an AI relay, how sure are we, and why?",
    discussion: """
      Scanners post probe results, admins keep the registry, portals read scores over HTTP.
      Every flag has a twin in the environment: --data-dir is RELAYRISK_DATA_DIR.

      Begin with `relayrisk serve`: without a database URL it keeps a private PostgreSQL cluster in the data directory.
      Then make a key: `relayrisk keys create --name me --scope admin`.
      """,
    subcommands: [Serve.self, Migrate.self, Keys.self, Import.self, Verify.self, Score.self])
}
