import HTTPServer
import JSON
import RiskModel
import Synchronization

/// A provider's score as it is sent.
final class ScoreDocument: Sendable {
  let body: [UInt8]
  /// Strong, in quotes.
  let etag: String
  /// What it comes to, for lookups and lists.
  let standing: Standing
  private let prepared = Mutex<(at: Instant, response: PreparedResponse)?>(nil)

  init(body: [UInt8], standing: Standing) {
    self.body = body
    etag = entityTag(of: body)
    self.standing = standing
  }

  /// So long an answer is sent as it was made, with what it says of its age: making it anew costs more than sending it.
  static let preparedMilliseconds: Int64 = 1_000

  /// The document as an answer, made when it is first wanted and for all who want it.
  /// - Parameter asOf: up to when results were counted, asked before the document was. The answer never claims more.
  /// - Returns: the answer, and when it was made.
  func response(
    in language: Language, asOf: Instant?, now: Instant
  ) throws -> (at: Instant, response: PreparedResponse) {
    if let made = prepared.withLock({ $0 }), Self.isFresh(made.at, now: now) { return made }
    var headers = [
      ("Content-Type", "application/json"), ("ETag", etag), ("Vary", "Accept-Language"),
      ("Content-Language", language.rawValue),
      ("Cache-Control", "private, max-age=\(standing.maxAgeSeconds(at: now))"),
    ]
    if let asOf { headers.append(("Evidence-As-Of", asOf.rfc3339)) }
    let response = try PreparedResponse(headers: headers, body: body)
    prepared.withLock { $0 = (now, response) }
    return (now, response)
  }

  /// Whether an answer that was made then may be sent now.
  static func isFresh(_ made: Instant, now: Instant) -> Bool {
    made <= now && now <= made + preparedMilliseconds
  }
}

/// Computes live scores from memory.
struct Scorer: Sendable {
  let catalogue: Catalogue
  let methodologies: MethodologyRegister
  let registry: Registry
  let board: ScoreBoard
  let clock: Clock
  private let memory = ScoreMemory()

  init(
    catalogue: Catalogue, methodologies: MethodologyRegister, registry: Registry, board: ScoreBoard, clock: Clock
  ) {
    self.catalogue = catalogue
    self.methodologies = methodologies
    self.registry = registry
    self.board = board
    self.clock = clock
  }

  /// The live score in short: evaluated at the latest of the current whole UTC minute, the newest counted result and
  /// the last decision, so that every instance gives the same numbers and neither result nor decision waits for the
  /// next minute.
  /// - Parameter scoring: a methodology whose cells are here. What is shown together is asked for under the same one.
  func standing(of provider: Provider, under scoring: ScoringMethodology) -> Standing {
    let state = state(of: provider)
    let key = ScoreMemory.StandingKey(provider: provider.id, methodology: scoring.id)
    if let standing = memory.standing(key), standing.isCurrent(in: state) { return standing }
    return remember(evaluation(of: provider, under: scoring, in: state))
  }

  /// The live score.
  /// - Parameter isKept: whether it is likely to be asked for again as it is.
  func document(
    of provider: Provider, isFull: Bool, in language: Language, under scoring: ScoringMethodology, isKept: Bool = true
  ) -> ScoreDocument {
    let state = state(of: provider)
    let standingKey = ScoreMemory.StandingKey(provider: provider.id, methodology: scoring.id)
    let key = ScoreMemory.DocumentKey(standing: standingKey, isFull: isFull, language: language)
    if let document = memory.document(key), document.standing.isCurrent(in: state) { return document }
    let evaluation = evaluation(of: provider, under: scoring, in: state)
    let known = memory.standing(standingKey)
    let standing = known.flatMap { $0.isCurrent(in: state) ? $0 : nil } ?? remember(evaluation)
    var json = JSONWriter(reservingBytes: isFull ? 32_768 : 4_096)
    ScoreEncoding(
      provider: ScoredProvider(evaluation.provider), methodology: scoring, catalogue: catalogue,
      assessment: evaluation.assessment,
      evaluatedAt: evaluation.instant, waivers: evaluation.evidence.waivedChecks.count,
      incidents: evaluation.evidence.openIncidents.count, disputes: evaluation.disputes,
      isFull: isFull, language: language
    ).write(to: &json)
    let document = ScoreDocument(body: json.bytes, standing: standing)
    if isKept { memory.remember(document, as: key) }
    return document
  }

  /// For how long an answer holds that was made of a provider's standing under the active methodology. What else it
  /// depends on, the registry, is the gate's to watch.
  /// - Parameters:
  ///   - standing: nil when the answer is made of none.
  ///   - set: the methodologies that were in force when it was asked for.
  ///   - made: when the answer was made.
  func reuse(
    of standing: Standing?, of provider: Provider?, under set: MethodologySet, made: Instant
  ) -> Reuse {
    let changeCount = provider.map { board.changeCount(of: $0.id) }
    return Reuse {
      let now = clock.now()
      guard ScoreDocument.isFresh(made, now: now), methodologies.version == set.version else { return false }
      guard let standing, let changeCount else { return true }
      return standing.isCurrent(at: now.startOfMinute, evidence: changeCount.value)
    }
  }

  /// Forgets what was computed under every other methodology.
  func forget(but methodologies: Set<String>) { memory.forget(but: methodologies) }

  // MARK: - Evaluating

  private struct Evaluation {
    let provider: Provider
    let scoring: ScoringMethodology
    let evidence: Evidence
    let decisions: Decisions
    let disputes: Int
    let assessment: Assessment
    let instant: Instant
    let basis: Standing.Basis
  }

  private func state(of provider: Provider) -> ScoreState {
    ScoreState(
      minute: clock.now().startOfMinute, evidence: board.generation(of: provider.id), provider: provider.version,
      sources: registry.sourceGeneration)
  }

  private func evaluation(
    of provider: Provider, under scoring: ScoringMethodology, in state: ScoreState
  ) -> Evaluation {
    // Read after the state, so that what is remembered is never older than it claims to be.
    let counted = counted(of: provider, under: scoring)
    let instant = max(state.minute, counted.newest)
    let evidence = Evidence(
      sources: counted.sources, entries: counted.entries,
      openIncidents: counted.decisions.openIncidents(at: instant),
      waivedChecks: counted.decisions.waivedChecks(at: instant))
    return Evaluation(
      provider: provider, scoring: scoring, evidence: evidence, decisions: counted.decisions,
      disputes: counted.decisions.openDisputes(at: instant, under: scoring.methodology, in: registry),
      assessment: counted.isEmpty ? scoring.unprobed : scoring.methodology.assess(evidence, at: instant),
      instant: instant,
      basis: Standing.Basis(
        newest: counted.newest, evidence: counted.generation, provider: state.provider, sources: state.sources))
  }

  /// What a live score counts, in one state of memory.
  struct Counted: Sendable {
    let sources: [Evidence.Source]
    let entries: [Evidence.Entry]
    let decisions: Decisions
    /// The newest of the results that count and the decisions; 1970 when there is none.
    let newest: Instant
    let generation: Int
    /// Whether nothing was ever seen or decided.
    let isEmpty: Bool
  }

  /// - Parameter scoring: a methodology whose cells are here.
  func counted(of provider: Provider, under scoring: ScoringMethodology) -> Counted {
    let (stored, names) = board.evidence(of: provider.id)
    let (entries, sources, newest) = counted(
      stored.cells[scoring.id] ?? CellTable(), names, scoring.methodology)
    let decisions = stored.decisions
    return Counted(
      sources: sources, entries: entries, decisions: decisions, newest: max(newest, decisions.lastTakenAt ?? newest),
      generation: stored.generation, isEmpty: stored.isEmpty)
  }

  private func remember(_ evaluation: Evaluation) -> Standing {
    let standing = Standing(
      evaluation.assessment, at: evaluation.instant, ends: ends(evaluation), basis: evaluation.basis)
    memory.remember(
      standing,
      as: ScoreMemory.StandingKey(provider: evaluation.provider.id, methodology: evaluation.scoring.id))
    return standing
  }

  /// The entries that count: of checks the methodology knows and of sources that are not suspended.
  private func counted(
    _ cells: CellTable, _ names: CellTable.Names, _ methodology: Methodology
  ) -> (entries: [Evidence.Entry], sources: [Evidence.Source], newest: Instant) {
    let checks = names.checks.values.map(methodology.checkIndex)
    // For each number of a source: its place among those that are heard; nil within when it does not count.
    var places = [Int??](repeating: nil, count: names.sources.values.count)
    var sources: [Evidence.Source] = []
    var entries: [Evidence.Entry] = []
    entries.reserveCapacity(cells.count)
    var newest = Instant(milliseconds: 0)
    let targets = cells.targets
    for row in cells.rows where !row.isEmpty {
      guard let check = checks[Int(row.check)] else { continue }
      let number = Int(row.source)
      if places[number] == nil {
        places[number] = .some(nil)
        if let source = registry.source(id: names.sources.values[number]), source.status == .active {
          places[number] = .some(sources.count)
          sources.append(Evidence.Source(slug: source.slug.text, trust: source.trust))
        }
      }
      guard let place = places[number]! else { continue }
      entries.append(Evidence.Entry(check: check, target: targets[Int(row.target)], source: place, cell: row.cell))
      newest = max(newest, row.cell.newest)
    }
    return (entries, sources, newest)
  }

  /// When a client has to ask again, in order; empty when no time changes the score.
  ///
  /// The score is evaluated at whole minutes, so what decay and expiries bring comes with the next one. That one ends
  /// what a client keeps if it moves the score by 0.1, or changes the verdict or the decisions in force; nobody keeps
  /// it beyond the one after that. An expiry ends it as well: nobody is to be told of a waiver that is over.
  private func ends(_ evaluation: Evaluation) -> [Instant] {
    let next = evaluation.instant.startOfMinute + 60_000
    let decisions = evaluation.decisions
    var evidence = evaluation.evidence
    evidence.waivedChecks = decisions.waivedChecks(at: next)
    evidence.openIncidents = decisions.openIncidents(at: next)
    let expiries = decisions.waivers.filter { $0.isInForce(at: evaluation.instant) }.map(\.expiresAt)
    var ends = expiries.min().map { [$0] } ?? []
    if evidence.isEmpty, evidence.waivedChecks == evaluation.evidence.waivedChecks { return ends }
    let (now, later) = (evaluation.assessment, evaluation.scoring.methodology.assess(evidence, at: next))
    if abs(later.score - now.score) >= 0.1 || later.verdict != now.verdict
      || evidence.waivedChecks != evaluation.evidence.waivedChecks
    {
      ends.append(next)
    }
    return ends.sorted()
  }
}

/// All that tells whether a remembered score would be computed again as it is.
struct ScoreState: Sendable {
  let minute: Instant
  let evidence: Int
  let provider: Int
  let sources: Int
}
