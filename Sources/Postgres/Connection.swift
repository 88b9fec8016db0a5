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

  /// Runs one statement in a transaction of its own under settings of the server that end with it, and decodes its
  /// rows. Everything is sent at once, so it takes one round trip.
  /// - Parameter settings: of the program's own making, as `SET LOCAL` takes them.
  /// - Throws: as `query`; `.connectionLost` and `.timeout` may mean an unknown outcome.
  public func query<Value: Sendable>(
    _ query: Query, under settings: [(name: String, value: String)], _ decode: @Sendable (inout Row) throws -> Value
  ) async throws(PostgresError) -> [Value] {
    let sets: [Query] = settings.map { "SET LOCAL \(unsafeRaw: $0.name) = \(unsafeRaw: $0.value)" }
    let outcomes = try await run(inTurn: ["BEGIN"] + sets + [query, "COMMIT"])
    let table = try outcomes[outcomes.count - 2].get()
    try Self.checkCommit(outcomes[outcomes.count - 1].get())
    return try table.map(decode)
  }

  func run(_ query: Query) async throws(PostgresError) -> ResultTable { try await run(inTurn: [query])[0].get() }

  /// Sends statements one behind the other, each regardless of how those before end.
  private func run(inTurn queries: [Query]) async throws(PostgresError) -> [Result<ResultTable, PostgresError>] {
    try checkInUse()
    let session = session
    let timeout = await session.clientTimeout
    return await withCheckedContinuation { continuation in
      let gathering = Gathering(count: queries.count, continuation)
      session.loop.execute {
        session.assumeIsolated { session in
          for query in queries {
            // Answers come in the order of the statements, from the server as well as when the connection is lost.
            session.submitSequentially(PendingStatement(query, mayRetry: false, timeout: timeout) { gathering.add($0) })
          }
        }
      }
    }
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

/// The outcomes of several statements, handed over when all are there.
private final class Gathering: Sendable {
  private let outcomes = Mutex<[Result<ResultTable, PostgresError>]>([])
  private let count: Int
  private let continuation: CheckedContinuation<[Result<ResultTable, PostgresError>], Never>

  init(count: Int, _ continuation: CheckedContinuation<[Result<ResultTable, PostgresError>], Never>) {
    self.count = count
    self.continuation = continuation
  }

  func add(_ outcome: Result<ResultTable, PostgresError>) {
    let all = outcomes.withLock { outcomes in
      outcomes.append(outcome)
      return outcomes.count == count ? outcomes : nil
    }
    if let all { continuation.resume(returning: all) }
  }
}
