import Postgres
import RiskModel

/// The statements that void results.
///
/// A cell cannot forget one result: it is folded anew from the results that are left. Results that were dropped are not
/// found any more.
struct VoidStore: Sendable {
  let database: Database
  let changes: ChangeLog
  let methodologies: MethodologyStore

  /// Where results were voided, and how many.
  struct Voided: Sendable {
    let place: CellFolding.Place
    let count: Int
  }

  /// Voids those selected that are not void yet.
  /// - Parameter isDryRun: only counts them.
  /// - Returns: how many, and the cells as they are now.
  func void(
    _ selection: ResultSelection, _ voiding: ResultDecision, isDryRun: Bool = false, by author: Author
  ) async throws -> (count: Int, cells: [StoredCell]) {
    try await methodologies.folding { set in
      try await database.withTransaction { connection in
        let (voided, cells) = try await void(selection, voiding, isDryRun: isDryRun, under: set, on: connection)
        let count = voided.reduce(0) { $0 + $1.count }
        if count > 0, !isDryRun {
          try await AuditLog.append(
            [try AuditChange(voiding: selection, voiding, count: count)], by: author, at: voiding.at, to: connection)
          try await changes.append(
            providers: Array(Set(voided.map(\.place.provider))).sorted(), foldedUnder: set, at: voiding.at,
            to: connection)
        }
        return (count, cells)
      }
    }
  }

  /// The same within a transaction of the caller, who adds to the audit log and the change as its last statements.
  /// - Parameter set: what results are folded under in that transaction.
  func void(
    _ selection: ResultSelection, _ voiding: ResultDecision, isDryRun: Bool = false, under set: FoldingSet,
    on connection: Connection
  ) async throws -> (voided: [Voided], cells: [StoredCell]) {
    try await RetentionStore.keepResults(on: connection)
    let voided = try await record(selection, voiding, isDryRun: isDryRun, on: connection)
    if voided.isEmpty || isDryRun { return (voided, []) }
    var cells: [StoredCell] = []
    for scoring in set.methodologies {
      cells += try await CellFolding(methodology: scoring.methodology).fold(voided.map(\.place), on: connection)
    }
    return (voided, cells)
  }

  private func record(
    _ selection: ResultSelection, _ voiding: ResultDecision, isDryRun: Bool, on connection: Connection
  ) async throws -> [Voided] {
    try await connection.query(
      Self.recording(selection, voiding, isDryRun: isDryRun)
    ) { row in
      Voided(place: try CellFolding.Place.decode(&row), count: try row.next(Int.self))
    }
  }

  /// The results that are selected and not void yet.
  static func selecting(_ selection: ResultSelection) -> Query {
    """
    select r.provider_id, r.id, r.check_id, r.target, r.model, r.source_id from result r
    where \(selection.condition)
      and not exists (select from void v where v.provider_id = r.provider_id and v.result_id = r.id)
    """
  }

  private static func recording(_ selection: ResultSelection, _ voiding: ResultDecision, isDryRun: Bool) -> Query {
    """
    with selected as materialized (\(selecting(selection))),
    voided as (
      insert into void (provider_id, result_id, recorded_at, recorded_by, reason)
      select provider_id, id, \(voiding.at.timestamp), \(voiding.by), \(voiding.reason) from selected
      where not \(isDryRun) order by provider_id, id
      on conflict (provider_id, result_id) do nothing
      returning provider_id, result_id
    )
    select provider_id, check_id, target, model, source_id, count(*) from selected
    where \(isDryRun) or (provider_id, id) in (select provider_id, result_id from voided)
    group by provider_id, check_id, target, model, source_id
    """
  }
}
