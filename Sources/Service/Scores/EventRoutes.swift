import HTTPServer
import JSON

/// `/v1/providers/{p}/score/events` and `/v1/events`.
struct EventRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/providers/{p}/score/events", requirement: .scopes([.scoresRead]),
        parameters: ["since", "limit", "cursor"], handler: .async(list)),
      Endpoint(
        method: .get, pattern: "/v1/events", requirement: .scopes([.scoresRead]), produces: ["text/event-stream"],
        handler: .async(stream)),
    ]
  }

  private enum Bound {
    case version(Int)
    case instant(Instant)
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    let provider = try parts.registry.existingProvider(call.path("p"))
    var query = QueryFields(call.parameters)
    let bound = query.optional("since", Self.bound)
    let limit = query.limit()
    let last = query.cursor { Int($0) }
    try query.finish()
    var (version, instant) = (last ?? 0, Instant?.none)
    switch bound {
    case .version(let bound): version = max(version, bound)
    case .instant(let bound): instant = bound
    case nil: break
    }
    let found = try await parts.publications.events(of: provider.id, after: version, from: instant, count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(of: provider, to: &$0)
    } cursor: {
      Cursor(text: String($0.version))
    }
  }

  /// Events behind a version, or evaluated from a time on.
  private static func bound(_ field: JSONField) throws -> Bound {
    if let version = try? field.version() { return .version(version) }
    guard let instant = Instant(rfc3339: try field.string()) else {
      throw field.fault("must be a version, or a time as RFC 3339 writes it, such as 2026-11-23T08:00:00.000Z")
    }
    return .instant(instant)
  }

  @Sendable private func stream(_ call: Call) async throws -> Response {
    let stream = try await parts.events.stream(behind: call.request.headers["Last-Event-ID"], for: call.caller)
    return Response(
      status: 200,
      headers: [
        ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"),
        // nginx would collect events before it passes them on.
        ("X-Accel-Buffering", "no"),
      ], body: .stream(stream))
  }
}
