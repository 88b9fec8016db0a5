import CLibPQ
import EventLoop
import Logging

/// A PostgreSQL database: independent statements share pipelined connections, transactions lease one of their own.
///
/// Connecting starts at once and again after every loss, by itself. While the server is found to be down everything
/// fails with `.unavailable` without waiting. Statements end by their time limit, not by cancelling the task.
public final class Database: Sendable {
  private let pool: ConnectionPool

  /// Where all connections live.
  public var loop: EventLoop { pool.loop }

  /// All connections live on `loop`, which runs until after `close()`.
  public init(_ configuration: DatabaseConfiguration, loop: EventLoop, logger: Logger) {
    precondition(PQisthreadsafe() == 1, "libpq was built without thread safety")
    let pool = ConnectionPool(configuration, loop: loop, logger: logger)
    self.pool = pool
    loop.execute { pool.assumeIsolated { $0.connectLanes() } }
  }

  /// Whether at least one connection is open now.
  public var isAvailable: Bool { statistics.pipelinedConnectionsOpen > 0 }

  public var statistics: PoolStatistics { pool.gauges.statistics }

  /// Runs one statement in a transaction of its own and decodes its rows, in the caller's task.
  public func query<Value: Sendable>(
    _ query: Query, _ decode: @Sendable (inout Row) throws -> Value
  ) async throws(PostgresError) -> [Value] {
    try await run(query).map(decode)
  }

  /// Runs one statement in a transaction of its own.
  /// - Returns: the rows affected, or returned.
  @discardableResult
  public func execute(_ query: Query) async throws(PostgresError) -> Int {
    try await run(query).affectedRowCount
  }

  private func run(_ query: Query) async throws(PostgresError) -> ResultTable {
    let pool = pool
    let outcome = await withCheckedContinuation { continuation in
      let statement = PendingStatement([query], mayRetry: true, timeout: pool.clientTimeout) {
        continuation.resume(returning: $0)
      }
      pool.loop.execute { pool.assumeIsolated { $0.submit(statement) } }
    }
    return try outcome.get()[0]
  }

  /// Runs `body` with a connection of its own. A transaction left open is rolled back.
  /// - Throws: what `body` throws; `.unavailable` and `.poolExhausted` when there is no connection for it.
  public func withConnection<Value: Sendable>(_ body: (Connection) async throws -> Value) async throws -> Value {
    let pool = pool
    let deadline = ContinuousClock.now + .milliseconds(pool.configuration.leaseWaitMilliseconds)
    let leased = await withCheckedContinuation { continuation in
      let waiter = LeaseWaiter(deadline: deadline, continuation: continuation)
      pool.loop.execute { pool.assumeIsolated { $0.lease(waiter) } }
    }
    let connection = Connection(try leased.get())
    do {
      let value = try await body(connection)
      await giveBack(connection)
      return value
    } catch {
      await giveBack(connection)
      throw error
    }
  }

  private func giveBack(_ connection: Connection) async {
    let isReusable = await connection.finish()
    await pool.giveBack(connection.session, isReusable: isReusable)
  }

  /// Runs `body` between BEGIN and COMMIT, and rolls back when it throws. Nothing is tried again by itself:
  /// `PostgresError.isRetrySafe` says when the caller may.
  /// - Throws: what `body` throws; `.server` with 25P02 when a statement failed and `body` went on regardless, as the
  ///   server then turns COMMIT into ROLLBACK; `.connectionLost` and `.timeout` of COMMIT mean an unknown outcome.
  public func withTransaction<Value: Sendable>(
    isolation: TransactionIsolation = .readCommitted, _ body: (Connection) async throws -> Value
  ) async throws -> Value {
    try await withConnection { connection in
      try await connection.execute("BEGIN ISOLATION LEVEL \(unsafeRaw: isolation.rawValue)")
      let value: Value
      do {
        value = try await body(connection)
      } catch {
        // Its own failure changes nothing: the connection is then closed, which rolls back as well.
        _ = try? await connection.execute("ROLLBACK")
        throw error
      }
      try await connection.commit()
      return value
    }
  }

  /// Calls `onNotification` with each payload sent to `channel`, until the task is cancelled or the database closed.
  /// It keeps a connection of its own and comes back after a loss; notifications meanwhile are lost, so `onConnect`,
  /// called after every (re)connect, should ask for whatever may have changed. Both are called on the loop.
  public func listen(
    to channel: String, onNotification: @escaping @Sendable (String) -> Void,
    onConnect: @escaping @Sendable () -> Void
  ) async {
    let listener = Listener(pool: pool, channel: channel, onNotification: onNotification, onConnect: onConnect)
    // On the loop, so that a notification wakes no other thread.
    await withTaskExecutorPreference(pool.loop) { await listener.run() }
  }

  /// Lets running statements and transactions finish for at most 5 s and closes all connections. What is asked
  /// afterwards fails with `.unavailable`.
  public func close() async { await pool.close() }
}

/// The SQL names of the isolation levels that PostgreSQL tells apart.
public enum TransactionIsolation: String, Sendable {
  case readCommitted = "READ COMMITTED"
  case repeatableRead = "REPEATABLE READ"
  case serializable = "SERIALIZABLE"
}
