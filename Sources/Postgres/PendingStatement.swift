/// A statement, or several that are sent together, and who waits for what comes of them. It is told exactly once: by
/// its connection, by the queue that never sent it, or by the deadline.
struct PendingStatement: Sendable {
  typealias Outcome = Result<[ResultTable], PostgresError>

  let queries: [Query]
  /// False inside a transaction, where a stale plan has already spoilt what came before.
  let mayRetry: Bool
  let submittedAt: ContinuousClock.Instant
  /// When the waiter is abandoned; nil for never.
  let deadline: ContinuousClock.Instant?
  private let onFinish: @Sendable (Outcome) -> Void

  init(
    _ queries: [Query], mayRetry: Bool, timeout: Duration?,
    onFinish: @escaping @Sendable (Outcome) -> Void
  ) {
    self.queries = queries
    self.mayRetry = mayRetry
    submittedAt = .now
    deadline = timeout.map { .now + $0 }
    self.onFinish = onFinish
  }

  var keys: [StatementKey] {
    queries.map { StatementKey(sql: $0.sql, parameterTypes: $0.bindings.parameters.map(\.type)) }
  }

  func isDue(_ now: ContinuousClock.Instant) -> Bool { deadline.map { $0 <= now } ?? false }

  func finish(_ outcome: Outcome) { onFinish(outcome) }
  func fail(_ error: PostgresError) { finish(.failure(error)) }
}
