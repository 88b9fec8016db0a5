import HTTPServer
import JSON
import RiskModel

/// Computes scores of the past from the stored results.
struct PastScores: Sendable {
  let catalogue: Catalogue
  let store: PastEvidenceStore

  init(_ parts: RiskService.Parts) {
    catalogue = parts.catalogue
    store = PastEvidenceStore(
      database: parts.database, registry: parts.registry, board: parts.board,
      methodology: parts.catalogue.methodology)
  }

  /// The score document of a provider as seen from `viewpoint`.
  func document(
    of provider: Provider, from viewpoint: Viewpoint, isFull: Bool, in language: Language
  ) async throws -> [UInt8] {
    let past = try await store.evidence(of: provider.id, from: viewpoint)
    var fold = EvidenceFold(catalogue.methodology)
    for result in past.results { fold.add(result) }
    let evidence = past.evidence(fold, at: viewpoint.asOf)
    let assessment = catalogue.methodology.assess(evidence, at: viewpoint.asOf)
    var json = JSONWriter(reservingBytes: isFull ? 32_768 : 4_096)
    ScoreEncoding(
      provider: provider, methodology: catalogue.scoringMethodology, catalogue: catalogue, assessment: assessment,
      evaluatedAt: viewpoint.asOf, waivers: evidence.waivedChecks.count, incidents: evidence.openIncidents.count,
      disputes: past.decisions.openDisputes(
        at: viewpoint.asOf, under: catalogue.methodology, in: store.registry),
      isFull: isFull, language: language
    ).write(to: &json)
    return json.bytes
  }

  /// The score at each of the instants, which ascend. Results are read and folded once, whatever the number of points.
  func history(of provider: Provider, at instants: [Instant]) async throws -> [UInt8] {
    let past = try await store.evidence(of: provider.id, from: Viewpoint(asOf: instants.last!, knownAt: nil))
    var fold = EvidenceFold(catalogue.methodology)
    var results = past.results[...]
    var json = JSONWriter(reservingBytes: 256 * instants.count)
    json.object { json in
      json.array("items", instants) { json, instant in
        while let next = results.first, next.countedAt <= instant {
          fold.add(next)
          results.removeFirst()
        }
        let assessment = catalogue.methodology.assess(past.evidence(fold, at: instant), at: instant)
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
    let past = try await store.evidence(of: provider.id, from: viewpoint)
    let methodology = catalogue.methodology
    var json = JSONWriter(reservingBytes: 1_024 + 200 * past.results.count)
    json.object { json in
      json.member("methodology", methodology.id)
      json.member("methodology_hash", catalogue.scoringMethodology.hash)
      json.member("at", viewpoint.asOf.rfc3339)
      json.object("sources") { json in
        for source in past.sources.sorted(by: { $0.slug < $1.slug }) {
          json.name(source.slug)
          json.value(source.trust)
        }
      }
      json.array("incidents", past.decisions.openIncidents(at: viewpoint.asOf).sorted()) { $0.value($1) }
      json.array("waivers", past.decisions.waivedChecks(at: viewpoint.asOf).sorted()) { $0.value($1) }
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
