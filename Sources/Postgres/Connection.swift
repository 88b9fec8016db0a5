import Synchronization

/// A connection that belongs to one task for a while: its statements run one after the other in one session.
/// It is not to be used after the closure it was handed to has returned.
public final class Connection: Sendable {
  let session: Session
  private let isFinished = Atomic(false)
  /// Whether something of the session outlives a transaction, so that nobody else may get it.
  private let isAltered = Atomic(false)

  init(_ session: Session) { self.session = session }

  /// Runs one statement and decodes its rows.
  public func query<Value: Sendable>(
    _ query: Query, _ decode: @Sendable (inout Row) throws -> Value
  ) async throws(PostgresError) -> [Value] {
    try await run(query).map(decode)
  }

  /// Runs one statement.
  /// - Returns: the rows affected, or returned.
  @discardableResult
  public func execute(_ query: Query) async throws(PostgresError) -> Int {
    try await run(query).affectedRowCount
  }

  /// Runs any number of statements without parameters, for migrations. Only the server's own time limit holds.
  /// - Throws: the first error. The script is one transaction unless it says otherwise or one is open.
  public func executeScript(_ sql: String) async throws {
    try checkInUse()
    try await session.runScript(sql)
  }

  /// Sets the time after which the server ends a statement on this connection, and the caller's own limit with it;
  /// 0 is for ever. The connection is closed when it is given back.
  public func setStatementTimeout(milliseconds: Int) async throws(PostgresError) {
    try await execute("SET statement_timeout = \(unsafeRaw: String(milliseconds))")
    isAltered.store(true, ordering: .relaxed)
    await session.setClientTimeout(
      DatabaseConfiguration.clientTimeout(statementTimeoutMilliseconds: milliseconds))
  }

  /// Keeps the session from being handed to somebody else, for what belongs to it (advisory locks, temporary tables).
  public func closeWhenDone() { isAltered.store(true, ordering: .relaxed) }

  /// Runs statements one behind the other, sent at once: one round trip. When one fails, those behind it are not run.
  /// Outside of a transaction they are one of their own; `BEGIN` may be the first, and `COMMIT` the last.
  /// - Returns: the rows of each.
  /// - Throws: as `query`; the error of the one that failed.
  public func run(together queries: [Query]) async throws(PostgresError) -> [Rows] {
    let rows = try await tables(of: queries).map(Rows.init)
    if queries.last?.sql == "COMMIT" { try Self.checkCommit(rows[rows.count - 1].table) }
    return rows
  }

  func run(_ query: Query) async throws(PostgresError) -> ResultTable { try await tables(of: [query])[0] }

  private func tables(of queries: [Query]) async throws(PostgresError) -> [ResultTable] {
    try checkInUse()
    let session = session
    return try await withCheckedContinuation { continuation in
      session.loop.execute {
        session.assumeIsolated { session in
          session.submitSequentially(
            PendingStatement(queries, mayRetry: false, timeout: session.clientTimeout) {
              continuation.resume(returning: $0)
            })
        }
      }
    }.get()
  }

  func checkInUse() throws(PostgresError) {
    guard !isFinished.load(ordering: .relaxed) else {
      throw .protocolViolation("a connection was used after it was given back")
    }
  }

  func commit() async throws(PostgresError) { try Self.checkCommit(try await run("COMMIT")) }

  /// COMMIT of a failed transaction is no error to the server but a ROLLBACK, which must not pass for success.
  private static func checkCommit(_ table: ResultTable) throws(PostgresError) {
    guard table.commandTag == "COMMIT" else {
      throw .server(
        ServerError(code: "25P02", message: "the transaction was rolled back because a statement in it had failed"))
    }
  }

  /// Ends the use: what was left open is rolled back.
  /// - Returns: whether somebody else may use the session.
  func finish() async -> Bool {
    if await !session.isAtRest { _ = try? await execute("ROLLBACK") }
    isFinished.store(true, ordering: .relaxed)
    return !isAltered.load(ordering: .relaxed)
  }
}
