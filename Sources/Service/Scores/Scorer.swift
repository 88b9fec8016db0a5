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
  let registry: Registry
  let board: ScoreBoard
  let clock: Clock
  private let memory = ScoreMemory()
  /// What a provider comes to of which nothing was ever seen or decided, which no time changes.
  private let unprobed: Assessment

  init(catalogue: Catalogue, registry: Registry, board: ScoreBoard, clock: Clock) {
    self.catalogue = catalogue
    self.registry = registry
    self.board = board
    self.clock = clock
    unprobed = catalogue.methodology.assess(Evidence(sources: [], entries: []), at: Instant(milliseconds: 0))
  }

  private var methodology: Methodology { catalogue.methodology }

  /// The live score in short: evaluated at the latest of the current whole UTC minute, the newest counted result and
  /// the last decision, so that every instance gives the same numbers and neither result nor decision waits for the
  /// next minute.
  func standing(of provider: Provider) -> Standing {
    let state = state(of: provider)
    if let standing = memory.standing(of: provider.id), standing.isCurrent(in: state) { return standing }
    return remember(evaluation(of: provider, in: state))
  }

  /// The live score.
  func document(of provider: Provider, isFull: Bool, in language: Language) -> ScoreDocument {
    let state = state(of: provider)
    let key = ScoreMemory.DocumentKey(provider: provider.id, isFull: isFull, language: language)
    if let document = memory.document(key), document.standing.isCurrent(in: state) { return document }
    let evaluation = evaluation(of: provider, in: state)
    let known = memory.standing(of: provider.id)
    let standing = known.flatMap { $0.isCurrent(in: state) ? $0 : nil } ?? remember(evaluation)
    var json = JSONWriter(reservingBytes: isFull ? 32_768 : 4_096)
    ScoreEncoding(
      provider: evaluation.provider, methodology: catalogue.scoringMethodology, catalogue: catalogue,
      assessment: evaluation.assessment, evaluatedAt: evaluation.instant,
      waivers: evaluation.evidence.waivedChecks.count,
      incidents: evaluation.evidence.openIncidents.count, disputes: evaluation.disputes, isFull: isFull,
      language: language
    ).write(to: &json)
    let document = ScoreDocument(body: json.bytes, etag: entityTag(of: json.bytes), standing: standing)
    memory.remember(document, as: key)
    return document
  }

  // MARK: - Evaluating

  private struct Evaluation {
    let provider: Provider
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

  private func evaluation(of provider: Provider, in state: ScoreState) -> Evaluation {
    // Read after the state, so that what is remembered is never older than it claims to be.
    let counted = counted(of: provider)
    let instant = max(state.minute, counted.newest)
    let evidence = Evidence(
      sources: counted.sources, entries: counted.entries,
      openIncidents: counted.decisions.openIncidents(at: instant),
      waivedChecks: counted.decisions.waivedChecks(at: instant))
    return Evaluation(
      provider: provider, evidence: evidence, decisions: counted.decisions,
      disputes: counted.decisions.openDisputes(at: instant, under: methodology, in: registry),
      assessment: counted.isEmpty ? unprobed : methodology.assess(evidence, at: instant), instant: instant,
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

  func counted(of provider: Provider) -> Counted {
    let (stored, names) = board.evidence(of: provider.id)
    let (entries, sources, newest) = counted(stored.cells, names)
    let decisions = stored.decisions
    return Counted(
      sources: sources, entries: entries, decisions: decisions, newest: max(newest, decisions.lastTakenAt ?? newest),
      generation: stored.generation, isEmpty: stored.isEmpty)
  }

  private func remember(_ evaluation: Evaluation) -> Standing {
    let standing = Standing(
      evaluation.assessment, at: evaluation.instant, ends: ends(evaluation), basis: evaluation.basis)
    memory.remember(standing, of: evaluation.provider.id)
    return standing
  }

  /// The entries that count: of checks the methodology knows and of sources that are not suspended.
  private func counted(
    _ cells: CellTable, _ names: CellTable.Names
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
    let (now, later) = (evaluation.assessment, methodology.assess(evidence, at: next))
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
