import HTTPServer
import JSON

/// `/v1/probe-results/{id}/void` and `/v1/probe-results/void`.
struct VoidRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/probe-results/{id}/void", requirement: .scopes([.admin]),
        contentTypes: ["application/json"], showsResult: true, handler: .async(voidOne)),
      Endpoint(
        method: .post, pattern: "/v1/probe-results/void", requirement: .scopes([.admin]),
        contentTypes: ["application/json"], handler: .async(voidMany)),
    ]
  }

  private var store: VoidStore {
    VoidStore(database: parts.database, changes: parts.changes, methodologies: parts.methodologyStore)
  }

  static func reason(_ field: JSONField) throws -> String { try field.string(bytesMin: 1, bytesMax: 2_000) }

  @Sendable private func voidOne(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let reason = fields.required("reason", Self.reason)
    try fields.finish()
    let absent = parts.horizon.absent(call.path("id"))
    guard let id = Identifier(anyCase: call.path("id")), let before = try await parts.results.result(id)
    else { throw absent }
    if before.voided == nil {
      let voiding = ResultDecision(at: parts.clock.now(), by: call.author.recordedName, reason: reason!)
      let (_, cells) = try await store.void(
        ResultSelection(result: id, of: before.result.provider), voiding, by: call.author)
      try await takeOver(cells)
    }
    // Read again, because someone else may have voided it first.
    guard let after = try await parts.results.result(id) else { throw absent }
    return parts.registry.response(after)
  }

  /// Memory shows what was voided from the next read on: the cells, and that disputes of the results have no more
  /// object.
  private func takeOver(_ cells: [StoredCell]) async throws {
    parts.board.apply(cells)
    let providers = Array(Set(cells.map(\.provider)))
    if providers.isEmpty { return }
    for (provider, disputes) in try await parts.disputes.disputes(of: providers) {
      parts.board.apply(disputes: disputes, of: provider)
    }
  }

  @Sendable private func voidMany(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let now = parts.clock.now()
    let reason = fields.required("reason", Self.reason)
    let selection = ResultSelection(&fields, registry: parts.registry, now: now)
    let isDryRun = fields.optional("dry_run") { try $0.bool() } ?? false
    if selection.isEmpty, fields.faults.isEmpty {
      fields.fault("", "must select results by source, run_id, received_from or received_until")
    }
    try fields.finish()

    let voiding = ResultDecision(at: now, by: call.author.recordedName, reason: reason!)
    let (matched, cells) = try await store.void(selection, voiding, isDryRun: isDryRun, by: call.author)
    try await takeOver(cells)
    var json = JSONWriter()
    json.object { json in
      json.member("matched", matched)
      json.member("voided", isDryRun ? 0 : matched)
      json.member("dry_run", isDryRun)
    }
    return .json(json.bytes)
  }
}
