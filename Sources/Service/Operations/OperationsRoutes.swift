import HTTPServer
import JSON

/// Health, readiness, metrics, the contract and the explanations of problems.
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
      .get("/metrics", .loopbackOr([.admin]), produces: "text/plain", metrics),
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

  @Sendable private func metrics(_ call: Call) -> Response {
    let board = parts.board.counts
    let registry = parts.registry.counts
    let pool = parts.database.statistics
    let age = parts.board.asOf.map { Double(parts.clock.now().milliseconds - $0.milliseconds) / 1000 }
    let gauges: [Metrics.Gauge] = [
      .init(name: "relayrisk_providers", help: "Registered providers.", value: Double(registry.providers)),
      .init(name: "relayrisk_sources", help: "Registered sources.", value: Double(registry.sources)),
      .init(name: "relayrisk_evidence_cells", help: "Evidence cells in memory.", value: Double(board.cells)),
      .init(
        name: "relayrisk_evidence_age_seconds", help: "Time since the database was last read.",
        value: age ?? .infinity),
      .init(
        name: "relayrisk_database_connections", help: "Open connections to the database.",
        value: Double(pool.pipelinedConnectionsOpen + pool.leasedConnectionsOpen)),
      .init(
        name: "relayrisk_database_leased", help: "Connections in use by a transaction.",
        value: Double(pool.leasedConnectionsInUse)),
      .init(
        name: "relayrisk_database_waiting", help: "Statements and transactions that wait for a connection.",
        value: Double(pool.statementsWaiting + pool.leaseWaiters)),
    ]
    return Response(
      status: 200,
      headers: [("Content-Type", "text/plain; version=0.0.4; charset=utf-8"), ("Cache-Control", "no-store")],
      body: .bytes(parts.metrics.text(gauges: gauges)))
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
