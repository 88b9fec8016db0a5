import Postgres

/// The statements that erase evidence. The results stay as they are and count as before.
///
/// Evidence is in `result_evidence` and nowhere else: nothing in memory, no kept answer and no entry of the audit log
/// holds any. The database's function takes it away and leaves in its place who did it and why.
struct ErasureStore: Sendable {
  let database: Database

  /// Erases the evidence of those selected that have some.
  /// - Parameter isDryRun: only counts them.
  /// - Returns: how many they are.
  func erase(
    _ selection: ResultSelection, _ erasure: ResultDecision, isDryRun: Bool = false, by author: Author
  ) async throws -> Int {
    try await database.withTransaction { connection in
      // Before the tables are locked, as whoever drops results does.
      try await RetentionStore.keepResults(on: connection)
      let statement = isDryRun ? Self.counting(selection) : Self.erasing(selection, erasure)
      let count = try await connection.query(statement) { try $0.next(Int.self) }[0]
      if count > 0, !isDryRun {
        try await AuditLog.append(
          [try AuditChange(erasing: selection, erasure, count: count)], by: author, at: erasure.at, to: connection)
      }
      return count
    }
  }

  static func erasing(_ selection: ResultSelection, _ erasure: ResultDecision) -> Query {
    """
    select erase_evidence(array_agg(r.provider_id), array_agg(r.id), \(erasure.at.timestamp), \(erasure.by),
      \(erasure.reason))
    from result r where \(selection.condition)
    """
  }

  static func counting(_ selection: ResultSelection) -> Query {
    """
    select count(*) from result r
    where \(selection.condition)
      and exists (select from result_evidence e where e.provider_id = r.provider_id and e.id = r.id)
    """
  }
}
