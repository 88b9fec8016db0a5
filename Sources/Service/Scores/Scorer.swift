import JSON
import RiskModel

/// A provider's score as it is sent, and what must still hold for it to be sent again.
struct ScoreDocument: Sendable {
  let body: [UInt8]
  /// Strong, in quotes.
  let etag: String
  /// For how long a client may keep it, in seconds.
  let maxAgeSeconds: Int
  /// What it comes to, for lookups and lists.
  let standing: Standing
  fileprivate let basis: Basis

  fileprivate struct Basis {
    /// The newest of the results that count and the decisions; 1970 when there is none.
    let newest: Instant
    let evidence: Int
    let registry: Int
  }

  /// Whether it would be computed again as it is, told without looking at the evidence.
  fileprivate func isCurrent(at minute: Instant, evidence: Int, registry: Int) -> Bool {
    standing.evaluatedAt == max(minute, basis.newest) && basis.evidence == evidence && basis.registry == registry
  }
}

/// Computes live scores from memory.
struct Scorer: Sendable {
  let methodologies: MethodologyRegister
  let registry: Registry
  let board: ScoreBoard
  let clock: Clock

  /// The live score: evaluated at the latest of the current whole UTC minute, the newest counted result and the last
  /// decision, so that every instance gives the same bytes and neither result nor decision waits for the next minute.
  /// - Parameter scoring: the methodology, whose cells are here; nil for the active one. Documents that are shown
  ///   together are asked for with the same one.
  func document(
    of provider: Provider, isFull: Bool, under scoring: ScoringMethodology? = nil
  ) -> ScoreDocument {
    let scoring = scoring ?? methodologies.active
    let methodology = scoring.methodology
    let generation = registry.generation
    let minute = clock.now().startOfMinute
    let key = ScoreBoard.DocumentKey(provider: provider.id, methodology: scoring.id, isFull: isFull)
    if let document = board.document(key),
      document.isCurrent(at: minute, evidence: board.generation(of: provider.id), registry: generation)
    {
      return document
    }
    // Read after the generation: the caller's copy may be older, and would be remembered as current.
    let provider = registry.provider(id: provider.id) ?? provider
    let stored = board.evidence(of: provider.id)
    let (entries, sources, newestResult) = counted(stored, methodology)
    let newest = max(newestResult, stored.lastDecidedAt ?? newestResult)
    let instant = max(minute, newest)
    let evidence = Evidence(
      sources: sources, entries: entries,
      openIncidents: Set(stored.incidents.values.filter { $0.isOpen(at: instant) }.map(\.concern)),
      waivedChecks: Set(stored.waivers.values.filter { $0.isInForce(at: instant) }.map(\.check)))
    let assessment = methodology.assess(evidence, at: instant)
    var json = JSONWriter(reservingBytes: isFull ? 32_768 : 4_096)
    ScoreEncoding(
      provider: ScoredProvider(provider), methodology: scoring, assessment: assessment,
      evaluatedAt: instant,
      waivers: evidence.waivedChecks.count, incidents: evidence.openIncidents.count, isFull: isFull
    ).write(to: &json)
    let document = ScoreDocument(
      body: json.bytes, etag: entityTag(of: json.bytes),
      maxAgeSeconds: maxAgeSeconds(evidence, assessment, methodology, at: instant),
      standing: Standing(assessment, at: instant),
      basis: ScoreDocument.Basis(newest: newest, evidence: stored.generation, registry: generation))
    board.remember(document, as: key)
    return document
  }

  /// The entries that count: of checks the methodology knows and of sources that are not suspended.
  private func counted(
    _ stored: ScoreBoard.Evidence, _ methodology: Methodology
  ) -> (entries: [Evidence.Entry], sources: [Evidence.Source], newest: Instant) {
    var indices: [Identifier: Int] = [:]
    var sources: [Evidence.Source] = []
    var entries: [Evidence.Entry] = []
    let cells = stored.cells[methodology.id] ?? [:]
    entries.reserveCapacity(cells.count)
    var newest = Instant(milliseconds: 0)
    for cell in cells.values where !cell.isEmpty {
      guard let check = methodology.checkIndex(cell.key.check), let source = registry.source(id: cell.key.source),
        source.status == .active
      else { continue }
      let index =
        indices[source.id]
        ?? {
          sources.append(Evidence.Source(slug: source.slug.text, trust: source.trust))
          indices[source.id] = sources.count - 1
          return sources.count - 1
        }()
      entries.append(Evidence.Entry(check: check, target: cell.key.target, source: index, cell: cell.cell))
      newest = max(newest, cell.cell.newest)
    }
    return (entries, sources, newest)
  }

  /// At most 30, and small enough that decay cannot move the score by 0.1 or change the verdict meanwhile.
  private func maxAgeSeconds(_ evidence: Evidence, _ now: Assessment, _ methodology: Methodology, at instant: Instant)
    -> Int
  {
    for seconds in [30, 10, 3] {
      let later = methodology.assess(evidence, at: instant + Int64(seconds * 1000))
      if abs(later.score - now.score) < 0.1, later.verdict == now.verdict { return seconds }
    }
    return 0
  }
}
