import HTTPServer
import JSON
import RiskModel

/// Computes scores of the past from the stored results.
struct PastScores: Sendable {
  let scoring: ScoringMethodology
  let clock: Clock
  let catalogue: Catalogue
  let store: PastEvidenceStore

  private var methodology: Methodology { scoring.methodology }

  /// - Parameter scoring: the methodology; nil for the active one.
  init(_ parts: RiskService.Parts, _ scoring: ScoringMethodology? = nil) {
    self.scoring = scoring ?? parts.methodologies.active
    clock = parts.clock
    catalogue = parts.catalogue
    store = PastEvidenceStore(
      database: parts.database, registry: parts.registry, board: parts.board, horizon: parts.horizon,
      methodology: self.scoring.methodology)
  }

  /// The score document of a provider as seen from `viewpoint`.
  func document(
    of provider: Provider, from viewpoint: Viewpoint, isFull: Bool, in language: Language
  ) async throws -> [UInt8] {
    let past = try await evidence(of: provider, from: viewpoint)
    return document(of: provider, past, at: viewpoint.asOf, isFull: isFull, in: language).body
  }

  /// The live score, for a methodology that no cells are kept of: evaluated as `Scorer` does it.
  func live(
    of provider: Provider, isFull: Bool, in language: Language
  ) async throws -> (body: [UInt8], assessment: Assessment) {
    let minute = clock.now().startOfMinute
    let past = try await evidence(of: provider, from: Viewpoint(asOf: .endOfTime, knownAt: nil))
    let decided = past.decisions.lastTakenAt
    let instant = [past.newest, decided].compactMap(\.self).reduce(minute, max)
    return document(of: provider, past, at: instant, isFull: isFull, in: language)
  }

  private func evidence(
    of provider: Provider, from viewpoint: Viewpoint, earliest: Instant? = nil
  ) async throws -> PastEvidence {
    try await store.evidence(
      of: provider.id, from: viewpoint, carriedUnder: [methodology.id], earliest: earliest)
  }

  private func document(
    of provider: Provider, _ past: PastEvidence, at instant: Instant, isFull: Bool, in language: Language
  ) -> (body: [UInt8], assessment: Assessment) {
    var fold = EvidenceFold(methodology, past.carried)
    for result in past.results { fold.add(result) }
    let evidence = past.evidence(fold, at: instant)
    let assessment = methodology.assess(evidence, at: instant)
    var json = JSONWriter(reservingBytes: isFull ? 32_768 : 4_096)
    ScoreEncoding(
      provider: ScoredProvider(provider), methodology: scoring, catalogue: catalogue, assessment: assessment,
      evaluatedAt: instant, waivers: evidence.waivedChecks.count, incidents: evidence.openIncidents.count,
      disputes: past.decisions.openDisputes(at: instant, under: methodology, in: store.registry),
      isFull: isFull, language: language
    ).write(to: &json)
    return (json.bytes, assessment)
  }

  /// The score at each of the instants, which ascend. Results are read and folded once, whatever the number of points.
  func history(of provider: Provider, at instants: [Instant]) async throws -> [UInt8] {
    let viewpoint = Viewpoint(asOf: instants.last!, knownAt: nil)
    let past = try await evidence(of: provider, from: viewpoint, earliest: instants.first)
    var fold = EvidenceFold(methodology, past.carried)
    var results = past.results[...]
    var json = JSONWriter(reservingBytes: 256 * instants.count)
    json.object { json in
      json.array("items", instants) { json, instant in
        while let next = results.first, next.countedAt <= instant {
          fold.add(next)
          results.removeFirst()
        }
        let assessment = methodology.assess(past.evidence(fold, at: instant), at: instant)
        json.object { json in
          json.member("at", instant.rfc3339)
          json.member("score", assessment.isShown ? assessment.score : nil)
          json.member("provisional_score", assessment.score)
          json.member("grade", assessment.isShown ? assessment.grade : nil)
          json.member("verdict", assessment.verdict.rawValue)
          json.member("low", assessment.low)
          json.member("high", assessment.high)
        }
      }
    }
    return json.bytes
  }

  /// Everything that the score is computed from, in the form of the methodology's worked cases, so that anyone can
  /// compute it again.
  func inputs(of provider: Provider, from viewpoint: Viewpoint) async throws -> [UInt8] {
    let past = try await evidence(of: provider, from: viewpoint)
    var json = JSONWriter(reservingBytes: 1_024 + 200 * past.results.count)
    json.object { json in
      json.name("provider")
      ScoredProvider(provider).write(to: &json)
      json.member("methodology", methodology.id)
      json.member("methodology_hash", scoring.hash)
      json.member("at", viewpoint.asOf.rfc3339)
      json.object("sources") { json in
        for source in past.sources.sorted(by: { $0.slug < $1.slug }) {
          json.name(source.slug)
          json.value(source.trust)
        }
      }
      json.array("incidents", past.decisions.openIncidents(at: viewpoint.asOf).sorted()) { $0.value($1) }
      json.array("waivers", past.decisions.waivedChecks(at: viewpoint.asOf).sorted()) { $0.value($1) }
      json.member(
        "disputes", past.decisions.openDisputes(at: viewpoint.asOf, under: methodology, in: store.registry))
      json.array("carried", past.carried) { json, carried in
        json.object { json in
          json.member("source", past.sources[carried.source].slug)
          json.member("check", carried.check)
          json.member("target", carried.target.address)
          if let model = carried.target.model { json.member("model", model) }
          json.member("newest", carried.cell.newest.rfc3339)
          json.member("fail_weight", carried.cell.failWeight)
          json.member("pass_weight", carried.cell.passWeight)
        }
      }
      json.array("results", past.results) { json, result in
        json.object { json in
          json.member("source", past.sources[result.source].slug)
          json.member("check", methodology.checks[result.check].id)
          json.member("target", result.target.address)
          if let model = result.target.model { json.member("model", model) }
          json.member("outcome", result.outcome.rawValue)
          json.member("observed_at", result.countedAt.rfc3339)
          json.member("confidence", result.confidence)
        }
      }
    }
    return json.bytes
  }
}

extension PastEvidence {
  /// What was folded, with the decisions in force at an instant.
  func evidence(_ fold: EvidenceFold, at instant: Instant) -> Evidence {
    Evidence(
      sources: sources, entries: fold.entries, openIncidents: decisions.openIncidents(at: instant),
      waivedChecks: decisions.waivedChecks(at: instant))
  }
}
