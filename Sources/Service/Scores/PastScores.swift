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
  func document(of provider: Provider, from viewpoint: Viewpoint, isFull: Bool) async throws -> [UInt8] {
    let past = try await store.evidence(of: provider.id, from: viewpoint)
    var fold = EvidenceFold(catalogue.methodology)
    for result in past.results { fold.add(result) }
    let evidence = past.evidence(fold, at: viewpoint.asOf)
    let assessment = catalogue.methodology.assess(evidence, at: viewpoint.asOf)
    var json = JSONWriter(reservingBytes: isFull ? 32_768 : 4_096)
    ScoreEncoding(
      provider: provider, catalogue: catalogue, assessment: assessment, evaluatedAt: viewpoint.asOf,
      waivers: evidence.waivedChecks.count, incidents: evidence.openIncidents.count, isFull: isFull
    ).write(to: &json)
    return json.bytes
  }
}

extension PastEvidence {
  /// What was folded, with the decisions in force at an instant.
  func evidence(_ fold: EvidenceFold, at instant: Instant) -> Evidence {
    Evidence(
      sources: sources, entries: fold.entries, openIncidents: openIncidents(at: instant),
      waivedChecks: waivedChecks(at: instant))
  }
}
