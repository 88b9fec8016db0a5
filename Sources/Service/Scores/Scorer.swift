import HTTPServer
import JSON
import RiskModel

/// A provider's score as it is sent.
struct ScoreDocument: Sendable {
  let body: [UInt8]
  /// Strong, in quotes.
  let etag: String
  /// What it comes to, for lookups and lists.
  let standing: Standing
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
      incidents: evaluation.evidence.openIncidents.count, isFull: isFull, language: language
    ).write(to: &json)
    let document = ScoreDocument(body: json.bytes, etag: entityTag(of: json.bytes), standing: standing)
    if isKept { memory.remember(document, as: key) }
    return document
  }

  /// Forgets what was computed under every other methodology.
  func forget(but methodologies: Set<String>) { memory.forget(but: methodologies) }

  // MARK: - Evaluating

  private struct Evaluation {
    let provider: Provider
    let scoring: ScoringMethodology
    let evidence: Evidence
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
    let (stored, names) = board.evidence(of: provider.id)
    let (entries, sources, newestResult) = counted(
      stored.cells[scoring.id] ?? CellTable(), names, scoring.methodology)
    let newest = max(newestResult, stored.lastDecidedAt ?? newestResult)
    let instant = max(state.minute, newest)
    let evidence = Evidence(
      sources: sources, entries: entries,
      openIncidents: Set(stored.incidents.values.filter { $0.isOpen(at: instant) }.map(\.concern)),
      waivedChecks: Set(stored.waivers.values.filter { $0.isInForce(at: instant) }.map(\.check)))
    return Evaluation(
      provider: provider, scoring: scoring, evidence: evidence,
      assessment: stored.isEmpty ? scoring.unprobed : scoring.methodology.assess(evidence, at: instant),
      instant: instant,
      basis: Standing.Basis(
        newest: newest, evidence: stored.generation, provider: state.provider, sources: state.sources))
  }

  private func remember(_ evaluation: Evaluation) -> Standing {
    let standing = Standing(
      evaluation.assessment, at: evaluation.instant, maxAgeSeconds: maxAgeSeconds(evaluation), basis: evaluation.basis)
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

  /// At most 30, and small enough that decay cannot move the score by 0.1 or change the verdict meanwhile.
  private func maxAgeSeconds(_ evaluation: Evaluation) -> Int {
    if evaluation.evidence.isEmpty { return 30 }
    let now = evaluation.assessment
    for seconds in [30, 10, 3] {
      let later = evaluation.scoring.methodology.assess(
        evaluation.evidence, at: evaluation.instant + Int64(seconds * 1000))
      if abs(later.score - now.score) < 0.1, later.verdict == now.verdict { return seconds }
    }
    return 0
  }
}

/// All that tells whether a remembered score would be computed again as it is.
struct ScoreState: Sendable {
  let minute: Instant
  let evidence: Int
  let provider: Int
  let sources: Int
}
