import HTTPServer
import JSON

/// Health, readiness, the contract and the explanations of problems.
struct OperationsRoutes {
  let service: RiskService

  /// Evidence older than this counts as stale: the change feed asks four times a second.
  private static let freshMilliseconds: Int64 = 5_000

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    let contract = Self.contract
    var endpoints: [Endpoint] = [
      .get("/healthz", .open) { _ in .json(Array(#"{"status":"alive"}"#.utf8)) },
      .get("/readyz", .open, parameters: ["writes"], readiness),
      MetricsRoute(service: service).endpoint,
      .get("/openapi.yaml", .open, produces: "application/yaml") { _ in .prepared(contract) },
      .get("/problems/{code}", .open, problem),
    ]
    for index in endpoints.indices { endpoints[index].isAlwaysReady = true }
    return endpoints
  }

  /// Made once: it is open to everybody, and large.
  private static let contract: PreparedResponse = {
    let bytes = ShippedFiles.bytes("openapi.yaml")!
    let headers = [("Content-Type", "application/yaml"), ("ETag", entityTag(of: bytes))]
    guard let prepared = try? PreparedResponse(headers: headers, body: bytes) else {
      preconditionFailure("the headers of /openapi.yaml are constants")
    }
    return prepared
  }()

  @Sendable private func readiness(_ call: Call) -> Response {
    let asOf = parts.board.asOf
    let writes = parts.database.isAvailable
    let isFresh = asOf.map { parts.clock.now().milliseconds - $0.milliseconds <= Self.freshMilliseconds } ?? false
    let status = service.isLoaded ? isFresh ? "ready" : "stale" : "starting"
    var json = JSONWriter()
    json.object { json in
      json.member("status", status)
      json.member("writes", writes)
      json.member("evidence_as_of", asOf?.rfc3339)
    }
    let isReady = service.isLoaded && (writes || call.parameters["writes"] == nil)
    let headers = [("Cache-Control", "no-store")] + (isReady ? [] : [("Retry-After", "1")])
    return .json(json.bytes, status: isReady ? 200 : 503, headers: headers)
  }

  @Sendable private func problem(_ call: Call) throws -> Response {
    guard let kind = Problem.Kind.served.first(where: { $0.code == call.path("code") }) else {
      throw Problem(.notFound, "No problem has the code \"\(call.path("code"))\".")
    }
    var json = JSONWriter()
    json.object { json in
      json.member("type", "/problems/\(kind.code)")
      json.member("title", kind.title)
      json.member("status", kind.status)
      json.member("explanation", kind.explanation)
    }
    return .document(json.bytes)
  }
}
