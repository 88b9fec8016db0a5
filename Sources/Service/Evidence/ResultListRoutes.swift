import HTTPServer
import JSON

/// `/v1/providers/{p}/probe-results`: what was seen of one provider, newest received first.
struct ResultListRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/providers/{p}/probe-results", requirement: .scopes([.evidenceRead, .resultsWrite]),
        parameters: [
          "check", "source", "outcome", "target", "model", "run_id", "since", "until", "received_since", "voided",
          "limit", "cursor",
        ], handler: .async(list))
    ]
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    let provider = try parts.registry.existingProvider(call.path("p"))
    // Nobody's id for a key that may read its own source's results and has none.
    let own = call.caller.sourceID ?? Identifier(high: 0, low: 0)
    let filter = try ResultFilter(
      call.parameters, of: provider.id, ownSource: call.caller.has(.evidenceRead) ? nil : own, parts: parts)
    let (found, next) = try await parts.results.results(filter)
    return .page(found, next: next.map { Cursor(text: $0.description) }, call) { json, stored in
      // Sources are never deleted, so a stored result's is there.
      let source = parts.registry.source(id: stored.result.source)?.slug.text ?? stored.result.source.description
      stored.write(to: &json, slugs: (provider.slug.text, source))
    }
  }
}
