import Postgres
import RiskModel

/// Rebuilds every evidence cell and every score from the stored results, and from what is carried on of those that were
/// dropped, and compares them with what is stored.
///
/// Each provider is read in one repeatable-read transaction: results and the cells that they are folded into are
/// committed together, so a service that is taking in results meanwhile is no difference. Memory holds the cells of one
/// provider and a page of its results, whatever the history.
struct EvidenceVerification: Sendable {
  let parts: RiskService.Parts
  /// Is told each difference as it is found, in one sentence.
  let report: @Sendable (String) -> Void

  /// What numbers may differ by; relative where they are above 1.
  static let tolerance = 1e-9
  private static let resultsPerPage = 10_000

  func run() async throws -> VerificationSummary {
    var summary = VerificationSummary()
    let providers = EvidenceProviders(database: parts.database)
    var last = EvidenceProviders.first
    while let provider = try await providers.next(after: last) {
      try await verify(provider, &summary)
      last = provider
    }
    return summary
  }

  private func verify(_ provider: Identifier, _ summary: inout VerificationSummary) async throws {
    let (pairs, results) = try await parts.database.withTransaction(isolation: .repeatableRead) { connection in
      try await RetentionStore.keepResultsForSnapshot(on: connection)
      let set = try await parts.methodologyStore.load(on: connection)
      var pairs: [(stored: [CellKey: VerifiedCell], rebuilding: CellRebuilding)] = []
      // Until the stored results are folded under it, a methodology has no cells to speak of.
      for methodology in set.all.filter(\.isComplete).map(\.scoring.methodology) {
        let stored = try await storedCells(of: provider, methodology, on: connection)
        var rebuilding = CellRebuilding(methodology)
        for carried in try await carriedCells(of: provider, methodology, on: connection) {
          rebuilding.add(carried.key, carried.cell)
        }
        pairs.append((stored, rebuilding))
      }
      let results = try await fold(of: provider, on: connection) { result in
        for index in pairs.indices { pairs[index].rebuilding.add(result) }
      }
      return (pairs, results)
    }
    let decisions = ProviderDecisions(
      waivers: try await parts.decisions.waivers(of: [provider])[provider] ?? [],
      incidents: try await parts.decisions.incidents(of: [provider])[provider] ?? [])
    let name = parts.registry.provider(id: provider)?.slug.text ?? provider.description
    for (stored, rebuilding) in pairs {
      let comparison = CellComparison(
        methodology: rebuilding.methodology, stored: stored, rebuilt: rebuilding.cells, decisions: decisions,
        registry: parts.registry, now: parts.clock.now())
      for difference in comparison.differences {
        report("\(name), \(rebuilding.methodology.id): \(difference)")
        summary.differences += 1
      }
      summary.cells += comparison.cellsCount
      summary.scores += 1
    }
    summary.providers += 1
    summary.results += results
  }

  private func storedCells(
    of provider: Identifier, _ methodology: Methodology, on connection: Connection
  ) async throws -> [CellKey: VerifiedCell] {
    let rows = try await connection.query(
      """
      select \(unsafeRaw: StoredCell.columns), fail_half_life_days, pass_half_life_days from evidence_cell
      where provider_id = \(provider) and methodology = \(methodology.id)
      """
    ) { row in
      let stored = try StoredCell.decode(&row)
      return (
        stored,
        HalfLives(failDays: try row.next(Double?.self), passDays: try row.next(Double?.self))
      )
    }
    var cells: [CellKey: VerifiedCell] = [:]
    // A cell that all results were voided of stays for its revision alone.
    for (stored, halfLives) in rows where !stored.isEmpty {
      cells[stored.key] = VerifiedCell(cell: stored.cell, halfLives: halfLives)
    }
    return cells
  }

  /// What results that were dropped contribute; with the key of each cell.
  private func carriedCells(
    of provider: Identifier, _ methodology: Methodology, on connection: Connection
  ) async throws -> [StoredCell] {
    try await connection.query(
      """
      select provider_id, methodology, check_id, target, model, source_id, newest, fail_weight, pass_weight, 0::bigint
      from carried_cell
      where provider_id = \(provider) and methodology = \(methodology.id) and voided_at = 'infinity'
      """, StoredCell.decode)
  }

  /// Calls `body` with each result that counts, page by page in the order of ids.
  /// - Returns: how many there were.
  private func fold(
    of provider: Identifier, on connection: Connection, _ body: (RebuildingResult) -> Void
  ) async throws -> Int {
    var count = 0
    var last = EvidenceProviders.first
    while true {
      let page = try await connection.query(
        """
        select id, check_id, target, model, source_id, outcome, counted_at, confidence from result r
        where provider_id = \(provider) and id > \(last) and outcome in ('pass', 'fail')
          and not exists (select from void v where v.provider_id = r.provider_id and v.result_id = r.id)
        order by id limit \(Self.resultsPerPage)
        """, RebuildingResult.decode)
      for result in page { body(result) }
      count += page.count
      guard page.count == Self.resultsPerPage, let end = page.last else { return count }
      last = end.id
    }
  }
}

/// What was compared.
public struct VerificationSummary: Sendable {
  public fileprivate(set) var providers = 0
  /// Those that count: neither void nor of an outcome that moves nothing.
  public fileprivate(set) var results = 0
  public fileprivate(set) var cells = 0
  public fileprivate(set) var scores = 0
  public fileprivate(set) var differences = 0
}

extension RiskService {
  /// Holds every evidence cell and every score against the stored results.
  /// - Parameter report: is told each difference, in one sentence.
  public func verify(report: @escaping @Sendable (String) -> Void) async throws -> VerificationSummary {
    try await EvidenceVerification(parts: parts, report: report).run()
  }
}
