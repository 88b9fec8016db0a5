import HTTPServer
import JSON
import RiskModel

/// Computes a score as it is and as it would be. Nothing is stored.
///
/// Both are computed from one state of the evidence and at one instant, so that what differs is what was asked. Where
/// the folded cells do, memory alone is asked; an earlier instant and other half-lives need the results themselves.
struct ScoreSimulation: Sendable {
  let request: SimulationRequest
  let parts: RiskService.Parts
  let language: Language
  let now: Instant

  private var active: ScoringMethodology { request.set.active }

  /// What is so.
  private struct Start {
    let instant: Instant
    let sources: [Evidence.Source]
    let evidence: Folded
    let decisions: Decisions
  }
  private enum Folded {
    /// Under the active methodology.
    case cells([Evidence.Entry])
    /// With checks by their place in the catalogue; and what is carried on of results that were dropped.
    case results([CountedResult], [CarriedCell])
  }

  /// A score and what it is written with.
  private struct Side {
    let scoring: ScoringMethodology
    let evidence: Evidence
    let disputes: Int
    let assessment: Assessment
  }

  /// The answer: both score documents, and by how much each check's points differ.
  func run() async throws -> [UInt8] {
    let start = try await start()
    let before = side(start, start.sources, fold(start, under: active, without: []), active)
    let after = after(start)
    var json = JSONWriter(reservingBytes: 65_536)
    json.object { json in
      for (name, side) in [("before", before), ("after", after)] {
        json.name(name)
        ScoreEncoding(
          provider: ScoredProvider(request.provider), methodology: side.scoring, catalogue: parts.catalogue,
          assessment: side.assessment, evaluatedAt: start.instant, waivers: side.evidence.waivedChecks.count,
          incidents: side.evidence.openIncidents.count, disputes: side.disputes, isFull: true, language: language
        ).write(to: &json)
      }
      json.array("difference", difference(before, after)) { json, difference in
        json.object { json in
          json.member("check", difference.check)
          json.member("before", difference.before)
          json.member("after", difference.after)
          json.member("change", difference.change)
        }
      }
    }
    return json.bytes
  }

  // MARK: - Before

  private func start() async throws -> Start {
    let live = parts.scorer.counted(of: request.provider, under: active)
    let newestAdded = request.added.map(countedAt).max() ?? live.newest
    let instant = request.at ?? max(now.startOfMinute, live.newest, newestAdded)
    if request.at == nil, request.scoring == nil {
      return Start(
        instant: instant, sources: live.sources, evidence: .cells(live.entries), decisions: live.decisions)
    }
    // Every check of any methodology is of the catalogue.
    let past = try await PastScores(parts, parts.catalogue.scoringMethodology).store.evidence(
      of: request.provider.id, from: Viewpoint(asOf: instant, knownAt: nil),
      carriedUnder: [active.id] + (request.scoring.map { [$0.id] } ?? []))
    return Start(
      instant: instant, sources: past.sources, evidence: .results(past.results, past.carried),
      decisions: past.decisions)
  }

  private func fold(_ start: Start, under scoring: ScoringMethodology, without dropped: Set<Int>) -> EvidenceFold {
    let methodology = scoring.methodology
    var fold = EvidenceFold(methodology)
    switch start.evidence {
    case .cells(let entries): for entry in entries where !dropped.contains(entry.source) { fold.add(entry) }
    case .results(let results, let carried):
      fold = EvidenceFold(methodology, carried.filter { !dropped.contains($0.source) })
      let places = parts.catalogue.methodology.checks.map { methodology.checkIndex($0.id) }
      for result in results where !dropped.contains(result.source) {
        guard let check = places[result.check] else { continue }
        fold.add(
          CountedResult(
            check: check, target: result.target, source: result.source, outcome: result.outcome,
            countedAt: result.countedAt, confidence: result.confidence))
      }
    }
    return fold
  }

  private func side(
    _ start: Start, _ sources: [Evidence.Source], _ fold: EvidenceFold, _ scoring: ScoringMethodology,
    changes: SimulationRequest? = nil
  ) -> Side {
    let evidence = Evidence(
      sources: sources, entries: fold.entries,
      openIncidents: start.decisions.openIncidents(at: start.instant).union(changes?.openIncidents ?? []),
      waivedChecks: start.decisions.waivedChecks(at: start.instant).union(changes?.waivedChecks ?? []))
    return Side(
      scoring: scoring, evidence: evidence,
      disputes: start.decisions.openDisputes(
        at: start.instant, under: scoring.methodology, in: parts.registry, without: changes?.droppedSources ?? []),
      assessment: scoring.methodology.assess(evidence, at: start.instant))
  }

  // MARK: - After

  /// Evidence of a source that is dropped goes before that comes which is added.
  private func after(_ start: Start) -> Side {
    let scoring = request.scoring ?? active
    let slugs = Set(request.droppedSources.compactMap { parts.registry.source(id: $0)?.slug.text })
    let dropped = Set(start.sources.indices.filter { slugs.contains(start.sources[$0].slug) })
    var sources = start.sources
    var fold = fold(start, under: scoring, without: dropped)
    var places = Dictionary(uniqueKeysWithValues: sources.enumerated().map { ($1.slug, $0) })
    for result in request.added where countedAt(result) <= start.instant {
      // Sources are never deleted.
      guard let check = scoring.methodology.checkIndex(result.checkID),
        let source = parts.registry.source(id: result.source)
      else { continue }
      let place = places[source.slug.text] ?? sources.count
      if place == sources.count {
        places[source.slug.text] = place
        sources.append(Evidence.Source(slug: source.slug.text, trust: source.trust))
      }
      fold.add(
        CountedResult(
          check: check, target: result.target, source: place, outcome: result.outcome,
          countedAt: countedAt(result), confidence: result.confidence))
    }
    return side(start, sources, fold, scoring, changes: request)
  }

  /// A result dated ahead of the clock counts from its receipt.
  private func countedAt(_ result: ProbeResult) -> Instant { min(result.observedAt, now) }

  // MARK: - The difference

  private struct Difference {
    let check: String
    let before, after: Double
    var change: Double { after - before }
  }

  /// What folding in another grouping may change without a meaning, in points.
  private static let changeMin = 1e-9

  /// The checks whose points differ, the largest change first.
  private func difference(_ before: Side, _ after: Side) -> [Difference] {
    let (old, new) = (points(before), points(after))
    return parts.catalogue.methodology.checks.compactMap { check -> Difference? in
      let difference = Difference(check: check.id, before: old[check.id] ?? 0, after: new[check.id] ?? 0)
      return abs(difference.change) > Self.changeMin ? difference : nil
    }.enumerated().sorted { one, other in
      (-abs(one.element.change), one.offset) < (-abs(other.element.change), other.offset)
    }.map(\.element)
  }

  /// A check that is not scored has none.
  private func points(_ side: Side) -> [String: Double] {
    Dictionary(
      uniqueKeysWithValues: side.assessment.checks.map { (side.scoring.methodology.checks[$0.check].id, $0.points) })
  }
}
