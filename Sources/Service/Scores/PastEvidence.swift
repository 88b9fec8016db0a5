import Postgres
import RiskModel

/// A result as far as a score depends on it.
struct CountedResult: Sendable {
  /// Index into the methodology's checks.
  let check: Int
  let target: Target
  /// Index into the sources that the result is handed over with.
  let source: Int
  /// `pass` or `fail`.
  let outcome: Outcome
  let countedAt: Instant
  let confidence: Double
}

/// What was known of a provider, result by result: cells hold only their newest state, so that a score of the past
/// starts from the results again.
struct PastEvidence: Sendable {
  /// Those that have a result, with their trust as known then.
  let sources: [Evidence.Source]
  /// Of sources that are not suspended and checks that the methodology knows; by the time they count from.
  let results: [CountedResult]
  let decisions: Decisions
}

/// Cells of results that are added one after the other.
struct EvidenceFold {
  private struct Key: Hashable {
    let check: Int
    let target: Target
    let source: Int
  }
  private let methodology: Methodology
  private var cells: [Key: EvidenceCell] = [:]

  init(_ methodology: Methodology) { self.methodology = methodology }

  mutating func add(_ result: CountedResult) {
    let check = methodology.checks[result.check]
    let concern = methodology.concerns[check.concern]
    guard
      let cell = EvidenceCell(
        outcome: result.outcome, observedAt: result.countedAt, confidence: result.confidence, check: check,
        concern: concern)
    else { return }
    add(Evidence.Entry(check: result.check, target: result.target, source: result.source, cell: cell))
  }

  /// Merges a cell with what is there of its check, target and source.
  mutating func add(_ entry: Evidence.Entry) {
    let check = methodology.checks[entry.check]
    let key = Key(check: entry.check, target: entry.target, source: entry.source)
    cells[key] =
      cells[key]?.merged(with: entry.cell, check: check, concern: methodology.concerns[check.concern]) ?? entry.cell
  }

  var entries: [Evidence.Entry] {
    cells.map { Evidence.Entry(check: $0.check, target: $0.target, source: $0.source, cell: $1) }
  }
}

/// The statements that read results and trust as they were known.
struct PastEvidenceStore: Sendable {
  let database: Database
  let registry: Registry
  let board: ScoreBoard
  let methodology: Methodology

  /// What counts of a provider as seen from `viewpoint`. Suspended sources count no more in the past than they do now.
  func evidence(of provider: Identifier, from viewpoint: Viewpoint) async throws -> PastEvidence {
    let trusts = try await trusts(knownAt: viewpoint.knownAt)
    let rows = try await rows(of: provider, from: viewpoint)
    var indices: [Identifier: Int?] = [:]
    var sources: [Evidence.Source] = []
    var results: [CountedResult] = []
    results.reserveCapacity(rows.count)
    for row in rows {
      if indices[row.source] == nil {
        if let source = registry.source(id: row.source), source.status == .active, let trust = trusts[source.id] {
          indices[row.source] = .some(sources.count)
          sources.append(Evidence.Source(slug: source.slug.text, trust: trust))
        } else {
          indices[row.source] = .some(nil)
        }
      }
      guard let source = indices[row.source]!, let check = methodology.checkIndex(row.check) else { continue }
      results.append(
        CountedResult(
          check: check, target: row.target, source: source, outcome: row.outcome, countedAt: row.countedAt,
          confidence: row.confidence))
    }
    return PastEvidence(
      sources: sources, results: results,
      decisions: board.evidence(of: provider).evidence.decisions.known(at: viewpoint.knownAt))
  }

  private struct Row: Sendable {
    let check: String
    let target: Target
    let source: Identifier
    let outcome: Outcome
    let countedAt: Instant
    let confidence: Double
  }

  private func rows(of provider: Identifier, from viewpoint: Viewpoint) async throws -> [Row] {
    let knownAt = (viewpoint.knownAt ?? Instant.endOfTime).timestamp
    return try await database.query(
      """
      select check_id, target, model, source_id, outcome, counted_at, confidence from result r
      where provider_id = \(provider) and outcome in ('pass', 'fail')
        and counted_at <= \(viewpoint.asOf.timestamp) and received_at <= \(knownAt)
        and not exists (select from void v where v.provider_id = r.provider_id and v.result_id = r.id
          and v.recorded_at <= \(knownAt))
      order by counted_at, id
      """
    ) { row in
      let check = try row.next(String.self)
      let address = try row.next(String.self)
      let model = try row.next(String.self)
      return Row(
        check: check, target: Target(address: address, model: model.isEmpty ? nil : model),
        source: try row.next(Identifier.self), outcome: Outcome(rawValue: try row.next(String.self))!,
        countedAt: Instant(try row.next(Timestamp.self)), confidence: try row.next(Double.self))
    }
  }

  /// Each source's trust as known then. A source whose first trust is younger has its first: when a source was
  /// registered does not matter.
  private func trusts(knownAt: Instant?) async throws -> [Identifier: Double] {
    let knownAt = (knownAt ?? Instant.endOfTime).timestamp
    let rows = try await database.query(
      """
      select distinct on (source_id) source_id, trust from source_trust
      order by source_id, recorded_at <= \(knownAt) desc,
        case when recorded_at <= \(knownAt) then recorded_at end desc, recorded_at
      """
    ) { row in (try row.next(Identifier.self), try row.next(Double.self)) }
    return Dictionary(uniqueKeysWithValues: rows)
  }
}

extension Instant {
  /// The end of the year 9999, after anything that can be recorded.
  static let endOfTime = Instant(milliseconds: 253_402_300_799_999)
}
