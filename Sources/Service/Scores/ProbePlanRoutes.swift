import HTTPServer
import JSON
import RiskModel

/// `/v1/probe-plan`: what to probe next.
struct ProbePlanRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/probe-plan", requirement: .scopes([.scoresRead]),
        parameters: ["source", "provider", "limit", "cursor"], handler: .async(list))
    ]
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let source = query.optional("source") { field in
      guard let source = parts.registry.source(try field.string()) else {
        throw field.fault("no source has this id or slug")
      }
      return source
    }
    let provider = query.optional("provider") { try $0.provider(in: parts.registry) }
    let limit = query.limit()
    let position = query.cursor { ProbePlan.Position($0) }
    try query.finish()
    while true {
      let plan = ProbePlan(
        parts: parts, scoring: parts.methodologies.active, source: source, now: parts.clock.now())
      // Off the request's loop: assessing what a page takes may take milliseconds.
      let page = try await service.computing { () -> ([ProbePlan.Probe], ProbePlan.Position?)? in
        if let provider { return (plan.page(of: provider, after: position, count: limit + 1), nil) }
        return await plan.page(after: position, count: limit + 1)
      }
      // None where another methodology was made active in between.
      guard let (found, end) = page else { continue }
      return .page(found, limit: limit, call, end: end?.cursor) {
        write($1, of: plan.scoring.methodology, to: &$0)
      } cursor: {
        $0.position.cursor
      }
    }
  }

  private func write(_ probe: ProbePlan.Probe, of methodology: Methodology, to json: inout JSONWriter) {
    json.object { json in
      json.member("provider", probe.provider.slug.text)
      json.member("check", methodology.checks[probe.check].id)
      json.member("target", probe.target.address)
      json.member("model", probe.target.model)
      json.member("reason", probe.reason.rawValue)
      json.member("gain", probe.gain)
      json.member("last_observed_at", probe.lastObservedAt?.rfc3339)
    }
  }
}

extension JSONField {
  /// A registered provider, whatever its status.
  func provider(in registry: Registry) throws -> Provider {
    guard let provider = registry.provider(try string()) else { throw fault("no provider has this id, slug or host") }
    return provider
  }
}
