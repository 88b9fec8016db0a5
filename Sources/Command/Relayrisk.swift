import ArgumentParser

/// The command.
@main
struct Relayrisk: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "relayrisk",
    abstract: "How risky is an AI relay, how sure are we, and why?",
    discussion: """
      Scanners post probe results, admins keep the registry, portals read scores over HTTP. Without a database URL \
      every subcommand works on a private PostgreSQL cluster in the data directory, while the service runs or not.

      A first session:
        relayrisk demo                                  example relays and their scores
        relayrisk keys create --name me --scope admin   prints a key, this once
        relayrisk serve                                 until Ctrl-C
        curl -H "Authorization: Bearer KEY" http://127.0.0.1:8080/v1/scores
      The whole API is described under http://127.0.0.1:8080/openapi.yaml.

      Every flag has a twin in the environment, and wins over it: the twin of --data-dir is RELAYRISK_DATA_DIR.
      Results go to standard output, logs and errors to standard error.
      Exit status: 0 done; 1 failed, and the last line says why; 64 wrong use.
      Completions: relayrisk --generate-completion-script bash (or zsh, fish).
      """,
    subcommands: [
      Serve.self, Migrate.self, Maintain.self, Keys.self, Audit.self, Import.self, Post.self, Verify.self, Score.self,
      Demo.self, DatabaseProgram.self,
    ])
}
