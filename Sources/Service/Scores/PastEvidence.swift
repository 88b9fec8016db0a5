import HTTPServer
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

/// What results that were dropped contributed to a cell, as far as it was known.
struct CarriedCell: Sendable {
  let methodology: String
  let check: String
  let target: Target
  /// Index into the sources that the cell is handed over with.
  let source: Int
  let cell: EvidenceCell
}

/// What was known of a provider, result by result: cells hold only their newest state, so that a score of the past
/// starts from the results again, and from what is carried on of those that were dropped.
struct PastEvidence: Sendable {
  /// Those that have a result, with their trust as known then.
  let sources: [Evidence.Source]
  /// Of sources that are not suspended and checks that the methodology knows; by the time they count from.
  let results: [CountedResult]
  /// All older than any instant that can be asked for; by their times.
  let carried: [CarriedCell]
  let decisions: Decisions

  /// The newest time from which anything counts.
  var newest: Instant? { [results.last?.countedAt, carried.last?.cell.newest].compactMap(\.self).max() }
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

  /// Begins with what is carried on under the methodology of this id. Under changed constants it is still what was
  /// folded with those that were in force: the results are not there any more.
  init(_ methodology: Methodology, _ carried: [CarriedCell]) {
    self.init(methodology)
    for carried in carried where carried.methodology == methodology.id {
      guard let check = methodology.checkIndex(carried.check) else { continue }
      add(Evidence.Entry(check: check, target: carried.target, source: carried.source, cell: carried.cell))
    }
  }

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
  let horizon: Horizon
  let methodology: Methodology

  /// What counts of a provider as seen from `viewpoint`. Suspended sources count no more in the past than they do now.
  /// - Parameters:
  ///   - methodologies: the ids of those whose carried cells are wanted.
  ///   - earliest: an instant before that of the viewpoint that is to be evaluated too.
  /// - Throws: the 410 of an instant before the horizon.
  func evidence(
    of provider: Identifier, from viewpoint: Viewpoint, carriedUnder methodologies: [String], earliest: Instant? = nil
  ) async throws -> PastEvidence {
    let trusts = try await trusts(knownAt: viewpoint.knownAt)
    let rows = try await rows(of: provider, from: viewpoint, methodologies)
    // Asked afterwards: it only grows, so that from here on nothing was missing when the rows were read.
    if let stored = try await horizon.stored() {
      let instants = [viewpoint.asOf, viewpoint.knownAt, earliest].compactMap(\.self)
      if instants.contains(where: { $0 < stored }) { throw Problem.evidenceGone(stored) }
    }
    var indices: [Identifier: Int?] = [:]
    var sources: [Evidence.Source] = []
    var results: [CountedResult] = []
    var carried: [CarriedCell] = []
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
      guard let source = indices[row.source]! else { continue }
      switch row.content {
      case .result(let outcome, let countedAt, let confidence):
        guard let check = methodology.checkIndex(row.check) else { continue }
        results.append(
          CountedResult(
            check: check, target: row.target, source: source, outcome: outcome, countedAt: countedAt,
            confidence: confidence))
      case .carried(let methodology, let cell):
        carried.append(
          CarriedCell(
            methodology: methodology, check: row.check, target: row.target, source: source, cell: cell))
      }
    }
    return PastEvidence(
      sources: sources, results: results, carried: carried,
      decisions: board.evidence(of: provider).evidence.decisions.known(at: viewpoint.knownAt))
  }

  private struct Seen: Sendable {
    enum Content {
      case result(Outcome, Instant, confidence: Double)
      case carried(methodology: String, EvidenceCell)
    }
    let check: String
    let target: Target
    let source: Identifier
    let content: Content
  }

  /// One statement, so that a result is either a row of its own or in what is carried on. The provider alone is
  /// looked up in an index (hence `offset 0`): the times are no help, as most results are old enough.
  private func rows(
    of provider: Identifier, from viewpoint: Viewpoint, _ methodologies: [String]
  ) async throws -> [Seen] {
    let knownAt = (viewpoint.knownAt ?? Instant.endOfTime).timestamp
    return try await database.query(
      """
      select check_id, target, model, source_id, outcome, counted_at, confidence, null::text, null::float8, id
      from (select * from result where provider_id = \(provider) offset 0) r
      where outcome in ('pass', 'fail') and counted_at <= \(viewpoint.asOf.timestamp) and received_at <= \(knownAt)
        and not exists (select from void v where v.provider_id = \(provider) and v.result_id = r.id
          and v.recorded_at <= \(knownAt))
      union all
      select check_id, target, model, source_id, null, newest, fail_weight, methodology, pass_weight, null
      from carried_cell
      where provider_id = \(provider) and methodology = any(\(methodologies)) and voided_at > \(knownAt)
      order by counted_at, id, check_id, target, model, source_id
      """, Self.decode)
  }

  @Sendable private static func decode(_ row: inout Row) throws -> Seen {
    let check = try row.next(String.self)
    let address = try row.next(String.self)
    let model = try row.next(String.self)
    let source = try row.next(Identifier.self)
    let outcome = try row.next(String?.self)
    let at = Instant(try row.next(Timestamp.self))
    let weight = try row.next(Double.self)
    let content: Seen.Content =
      if let outcome {
        .result(Outcome(rawValue: outcome)!, at, confidence: weight)
      } else {
        .carried(
          methodology: try row.next(String.self),
          EvidenceCell(newest: at, failWeight: weight, passWeight: try row.next(Double.self)))
      }
    return Seen(
      check: check, target: Target(address: address, model: model.isEmpty ? nil : model), source: source,
      content: content)
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
