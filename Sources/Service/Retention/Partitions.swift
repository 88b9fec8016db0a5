import Postgres

/// The monthly partitions of results, made ahead of time so that no result ever waits for one.
enum Partitions {
  private static let day: Int64 = 86_400_000

  /// From last month (a result's id may be dated a moment back) through three months ahead.
  private static func span(at now: Instant) -> (first: Timestamp, last: Timestamp) {
    ((now + -31 * day).timestamp, (now + 92 * day).timestamp)
  }

  /// Makes those that are missing; none before the horizon.
  /// - Returns: how many were missing.
  @discardableResult
  static func ensure(in database: Database, at now: Instant) async throws -> Int {
    let span = span(at: now)
    return try await database.query("select make_result_partitions(\(span.first), \(span.last))") {
      Int(try $0.next(Int32.self))
    }[0]
  }

  /// How many `ensure` would make.
  static func missing(in database: Database, at now: Instant) async throws -> Int {
    let span = span(at: now)
    return try await database.query(
      """
      select count(*)
      from generate_series(
        date_trunc('month', greatest(\(span.first), (select horizon from retention)) at time zone 'UTC'),
        \(span.last) at time zone 'UTC', interval '1 month') as month
      cross join (values ('result'), ('result_evidence')) as parent (name)
      where not exists (
        select from result_partition p where p.parent = parent.name and p.first = month at time zone 'UTC')
      """
    ) { try $0.next(Int.self) }[0]
  }
}
