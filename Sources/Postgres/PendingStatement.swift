/// A statement and who waits for its result. It is told exactly once: by its connection, by the queue
/// that never sent it, or by the deadline.
struct PendingStatement: Sendable {
  let query: Query
  /// False inside a transaction, where a stale plan has already spoilt what came before.
  let mayRetry: Bool
  let submittedAt: ContinuousClock.Instant
  /// When the waiter is abandoned; nil for never.
  let deadline: ContinuousClock.Instant?
  private let onFinish: @Sendable (Result<ResultTable, PostgresError>) -> Void

  init(
    _ query: Query, mayRetry: Bool, timeout: Duration?,
    onFinish: @escaping @Sendable (Result<ResultTable, PostgresError>) -> Void
  ) {
    self.query = query
    self.mayRetry = mayRetry
    submittedAt = .now
    deadline = timeout.map { .now + $0 }
    self.onFinish = onFinish
  }

  var key: StatementKey { StatementKey(sql: query.sql, parameterTypes: query.bindings.parameters.map(\.type)) }

  func isDue(_ now: ContinuousClock.Instant) -> Bool { deadline.map { $0 <= now } ?? false }

  func finish(_ outcome: Result<ResultTable, PostgresError>) { onFinish(outcome) }
  func fail(_ error: PostgresError) { finish(.failure(error)) }
}
