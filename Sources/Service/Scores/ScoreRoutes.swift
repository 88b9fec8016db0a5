import HTTPServer
import JSON

/// `/v1/providers/{p}/score`.
struct ScoreRoutes {
  let parts: RiskService.Parts

  private enum Detail: String, CaseIterable { case summary, full }

  var endpoints: [Endpoint] {
    [
      .get("/v1/providers/{p}/score", .scopes([.scoresRead]), parameters: ["detail"]) { [parts] call in
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
    ]
  }
}
