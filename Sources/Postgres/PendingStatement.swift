/// A statement and the task that waits for its result. It is resumed exactly once: by its connection, by the queue
/// that never sent it, or by the deadline.
struct PendingStatement: Sendable {
  let query: Query
  /// False inside a transaction, where a stale plan has already spoilt what came before.
  let mayRetry: Bool
  let submittedAt: ContinuousClock.Instant
  /// When the waiter is abandoned; nil for never.
  let deadline: ContinuousClock.Instant?
  private let continuation: CheckedContinuation<Result<ResultTable, PostgresError>, Never>

  init(
    _ query: Query, mayRetry: Bool, timeout: Duration?,
    _ continuation: CheckedContinuation<Result<ResultTable, PostgresError>, Never>
  ) {
    self.query = query
    self.mayRetry = mayRetry
    submittedAt = .now
    deadline = timeout.map { .now + $0 }
    self.continuation = continuation
  }

  var key: StatementKey { StatementKey(sql: query.sql, parameterTypes: query.bindings.parameters.map(\.type)) }

  func isDue(_ now: ContinuousClock.Instant) -> Bool { deadline.map { $0 <= now } ?? false }

  func finish(_ outcome: Result<ResultTable, PostgresError>) { continuation.resume(returning: outcome) }
  func fail(_ error: PostgresError) { finish(.failure(error)) }
}
