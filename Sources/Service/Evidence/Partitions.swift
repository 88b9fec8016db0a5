import Postgres

/// The monthly partitions of results, made ahead of time so that no result ever waits for one.
enum Partitions {
  /// Makes those from last month (a result's id may be dated a moment back) through three months ahead.
  /// - Returns: how many were missing.
  @discardableResult
  static func ensure(in database: Database, at now: Instant) async throws -> Int {
    let day: Int64 = 86_400_000
    return try await database.query(
      "select make_result_partitions(\((now + -31 * day).timestamp), \((now + 92 * day).timestamp))"
    ) { Int(try $0.next(Int32.self)) }[0]
  }
}
