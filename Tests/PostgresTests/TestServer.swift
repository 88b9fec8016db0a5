import EventLoop
import Glibc
import Logging
import TestHarness
import Testing

@testable import Postgres

/// The private cluster that all tests of this process share, made on first use and stopped when the process ends.
///
/// Tests that harm a server make one of their own by `withCluster`.
enum TestServer {
  static let shared = Task { try await TestCluster() }

  /// A database that nobody else uses, with its own loop.
  static func withDatabase<Value: Sendable>(
    _ change: @Sendable (inout DatabaseConfiguration) -> Void = { _ in },
    _ body: @Sendable (Database) async throws -> Value
  ) async throws -> Value {
    let cluster = try await shared.value
    return try await withDatabase(cluster.connectionString, change, body)
  }

  static func withDatabase<Value: Sendable>(
    _ connectionString: String, _ change: @Sendable (inout DatabaseConfiguration) -> Void = { _ in },
    _ body: @Sendable (Database) async throws -> Value
  ) async throws -> Value {
    var configuration = DatabaseConfiguration(connectionString: connectionString)
    change(&configuration)
    let loop = EventLoop(name: "test")
    loop.start()
    let database = Database(configuration, loop: loop, logger: quiet)
    let result: Result<Value, any Error>
    do { result = .success(try await body(database)) } catch { result = .failure(error) }
    await database.close()
    loop.stop()
    return try result.get()
  }

  static var quiet: Logger {
    var logger = Logger(label: "test") { _ in StreamLogHandler.standardError(label: "test") }
    logger.logLevel = .critical
    return logger
  }
}

/// A cluster in a directory of its own under /tmp.
final class TestCluster: Sendable {
  let directory: String
  let cluster: PrivateCluster
  let connectionString: String

  /// A stopped cluster to copy, as initdb takes seconds.
  private static let template = Task {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    let cluster = PrivateCluster(dataDirectory: directory, logger: TestServer.quiet)
    _ = try await cluster.start()
    try await cluster.stop()
    return directory
  }

  /// Puts a stopped cluster into a data directory.
  static func copyTemplate(to directory: String) async throws {
    let template = try await template.value
    try SystemCall.makeDirectories(directory, mode: 0o711)
    #expect(Shell.run(["/bin/cp", "-a", "\(template)/postgres", directory]) == 0)
  }

  init() async throws {
    directory = TemporaryDirectory.make()
    try await Self.copyTemplate(to: directory)
    cluster = PrivateCluster(dataDirectory: directory, logger: TestServer.quiet)
    connectionString = try await cluster.start()
    ExitCleanup.add(directory)
  }

  /// Sends a signal to the server: SIGQUIT is `pg_ctl stop -m immediate`.
  func killPostmaster(_ signal: Int32) throws {
    let text = SystemCall.read(Postmaster.file(of: "\(directory)/postgres")) ?? ""
    guard let postmaster = Postmaster(parsing: text) else { return }
    kill(postmaster.processID, signal)
  }

  func destroy() { ExitCleanup.destroy(directory) }
}
