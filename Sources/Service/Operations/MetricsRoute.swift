import HTTPServer

/// `/metrics`, in Prometheus' text format.
struct MetricsRoute {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  var endpoint: Endpoint {
    Endpoint(
      method: .get, pattern: "/metrics", requirement: .loopbackOr([.admin]), produces: ["text/plain"],
      isAlwaysReady: true, handler: .async(answer))
  }

  /// Off the loop: there are a thousand lines and more.
  @Sendable private func answer(_ call: Call) async throws -> Response {
    let body = try await service.computing { text() }
    return Response(
      status: 200,
      headers: [("Content-Type", "text/plain; version=0.0.4; charset=utf-8"), ("Cache-Control", "no-store")],
      body: .bytes(body))
  }

  private func text() -> [UInt8] {
    var text = PrometheusText()
    text.metric("relayrisk_build_info", .gauge, "Always 1: what is built in.")
    let migration = RiskService.migrations.last?.version ?? 0
    text.sample(1, ["migration": "\(migration)", "methodology": parts.catalogue.scoringMethodology.id])
    parts.requestMetrics.write(to: &text)
    parts.keyRing.refusals.write(to: &text)
    writeConnections(to: &text)
    parts.intakeMetrics.write(to: &text) { parts.registry.source(id: $0)?.slug.text }
    writeMemory(to: &text)
    writeDatabase(to: &text)
    ProcessMetrics.write(to: &text)
    return text.bytes
  }

  private func writeConnections(to text: inout PrometheusText) {
    // None are listened for when the routes are served by something else than a server of ours.
    guard let gate = service.connectionGate else { return }
    text.gauge(
      "relayrisk_http_connections", "Open connections of clients, idle ones included.",
      Double(gate.connectionsCurrent))
    text.counter(
      "relayrisk_http_connections_accepted_total", "Connections that were let in.", gate.connectionsAccepted)
    text.counter(
      "relayrisk_http_connections_refused_total", "Connections closed at once, because there were too many.",
      gate.connectionsRefused)
  }

  private func writeMemory(to text: inout PrometheusText) {
    let registry = parts.registry.counts
    text.gauge("relayrisk_providers", "Registered providers.", Double(registry.providers))
    text.gauge("relayrisk_sources", "Registered sources.", Double(registry.sources))
    text.gauge("relayrisk_evidence_cells", "Evidence cells in memory.", Double(parts.board.counts.cells))
    let age = parts.board.asOf.map { Double(parts.clock.now().milliseconds - $0.milliseconds) / 1000 }
    text.gauge("relayrisk_evidence_age_seconds", "Time since the database was last read.", age ?? .infinity)
    let versions = parts.changes.versions
    text.gauge(
      "relayrisk_change_version_known", "The newest version of the stored data that this instance knows of.",
      Double(versions.known))
    text.gauge(
      "relayrisk_change_version_applied", "The version of the stored data that this instance shows.",
      Double(versions.applied))
    let horizon = parts.horizon.instant.map { Double($0.milliseconds) / 1000 }
    text.gauge(
      "relayrisk_horizon_timestamp_seconds", "Results received before are no longer kept; 0 while all are.",
      horizon ?? 0)
    if let until = parts.horizon.partitionsUntil {
      text.gauge(
        "relayrisk_partitions_ahead_seconds", "For how long results that come have a partition to go to.",
        Double(until.milliseconds - parts.clock.now().milliseconds) / 1000)
    }
    text.gauge("relayrisk_ready", "1 when everything is loaded, as /readyz says.", service.isLoaded ? 1 : 0)
  }

  private func writeDatabase(to text: inout PrometheusText) {
    let pool = parts.database.statistics
    text.gauge(
      "relayrisk_writes_possible", "1 while there is a connection to the database, as /readyz?writes says.",
      parts.database.isAvailable ? 1 : 0)
    text.gauge(
      "relayrisk_database_connections", "Open connections to the database.",
      Double(pool.pipelinedConnectionsOpen + pool.leasedConnectionsOpen))
    text.gauge(
      "relayrisk_database_leased", "Connections in use by a transaction.", Double(pool.leasedConnectionsInUse))
    text.gauge(
      "relayrisk_database_waiting", "Statements and transactions that wait for a connection or their answer.",
      Double(pool.statementsWaiting + pool.leaseWaiters))
    text.counter(
      "relayrisk_database_refused_total", "Statements and transactions refused because too many waited, or too long.",
      pool.refused)
  }
}
