import HTTPServer
import JSON

/// `/v1/providers/{p}/score`.
struct ScoreRoutes {
  let service: RiskService

  private enum Detail: String, CaseIterable { case summary, full }

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/providers/{p}/score", requirement: .scopes([.scoresRead]),
        parameters: ["detail"] + Viewpoint.parameters,
        handler: .directWithout(Viewpoint.parameters, live, otherwise: past))
    ]
  }

  @Sendable private func live(_ call: Call) throws -> Response {
    let detail = try call.parameters.field("detail")?.oneOf(Detail.self) ?? .summary
    let provider = try parts.registry.existingProvider(call.path("p"))
    // Asked before the score is computed, so that it never claims more than the score counts.
    let asOf = parts.board.asOf
    let document = parts.scorer.document(of: provider, isFull: detail == .full)
    var headers = [
      ("Content-Type", "application/json"), ("ETag", document.etag),
      ("Cache-Control", "private, max-age=\(document.maxAgeSeconds)"),
    ]
    if let asOf { headers.append(("Evidence-As-Of", asOf.rfc3339)) }
    return Response(status: 200, headers: headers, body: .bytes(document.body))
  }

  /// Never kept without asking again: what is recorded later about the past changes it, and so does a source that is
  /// suspended.
  @Sendable private func past(_ call: Call) async throws -> Response {
    let now = parts.clock.now()
    let viewpoint = try Viewpoint(call.parameters, now: now)
    let detail = try call.parameters.field("detail")?.oneOf(Detail.self) ?? .summary
    let provider = try parts.registry.existingProvider(call.path("p"))
    let scores = PastScores(parts)
    let body = try await service.computing {
      try await scores.document(of: provider, from: viewpoint, isFull: detail == .full)
    }
    let evidenceAsOf = min(now, viewpoint.knownAt ?? now)
    return .document(
      body, headers: [("Cache-Control", "private, max-age=0"), ("Evidence-As-Of", evidenceAsOf.rfc3339)])
  }
}
