import ArgumentParser
import Postgres

struct DatabaseProgram: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "database",
    abstract: "Runs pg_dump, pg_restore or psql on the service's database.",
    discussion: """
      The private cluster is started when it is not running, and stopped afterwards. The program gets the database as \
      --dbname before its own arguments: `relayrisk database psql -c '\\dt'`. deploy/backup and deploy/restore use it. \
      Exits with the program's status.
      """)

  @OptionGroup var common: CommonOptions

  @Argument(
    parsing: .captureForPassthrough, help: ArgumentHelp("The program and its arguments.", valueName: "program"))
  var words: [String]

  func validate() throws {
    if words.isEmpty { throw ValidationError("name a program: relayrisk database psql") }
  }

  func run() async throws {
    let status = try await Backend.with(common, logger: try common.logger()) { backend in
      do {
        return try await ClientProgram(words[0], arguments: Array(words.dropFirst())).run(on: backend.connectionString)
      } catch let fault as PrivateClusterError {
        throw CommandFailure("cannot \(fault); PostgreSQL's own are in the package postgresql-client-15")
      }
    }
    if status != 0 { throw ExitCode(status) }
  }
}
