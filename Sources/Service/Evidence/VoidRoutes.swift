import HTTPServer
import JSON

/// `/v1/probe-results/{id}/void` and `/v1/probe-results/void`.
struct VoidRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/probe-results/{id}/void", requirement: .scopes([.admin]),
        contentTypes: ["application/json"], handler: .async(voidOne)),
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
    guard let id = Identifier(parsing: call.path("id").lowercased()), let before = try await parts.results.result(id)
    else { throw absent }
    if before.voided == nil {
      let voiding = Voiding(at: parts.clock.now(), by: call.author.recordedName, reason: reason!)
      let (_, cells) = try await store.void(
        VoidStore.Selection(result: (before.result.provider, id)), voiding, by: call.author)
      try await takeOver(cells)
    }
    // Read again, because someone else may have voided it first.
    guard let after = try await parts.results.result(id) else { throw absent }
    var json = JSONWriter()
    after.write(to: &json, slugs: parts.registry.slugs(of: after))
    return .document(json.bytes)
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
    var selection = VoidStore.Selection()
    selection.source = fields.optional("source") { field in
      guard let source = parts.registry.source(try field.string()) else {
        throw field.fault("no source has this id or slug")
      }
      return source.id
    }
    selection.runID = fields.optional("run_id") { try $0.string(bytesMin: 1, bytesMax: 200) }
    selection.receivedFrom = fields.optional("received_from") { try ProbeResultDecoder.instant($0, now: now) }
    selection.receivedUntil = fields.optional("received_until") { try ProbeResultDecoder.instant($0, now: now) }
    let isDryRun = fields.optional("dry_run") { try $0.bool() } ?? false
    if selection.isEmpty, fields.faults.isEmpty {
      fields.fault("", "must select results by source, run_id, received_from or received_until")
    }
    if let from = selection.receivedFrom, let until = selection.receivedUntil, from > until {
      fields.fault("received_until", "is before received_from")
    }
    try fields.finish()

    let voiding = Voiding(at: now, by: call.author.recordedName, reason: reason!)
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

extension VoidStore.Selection {
  var isEmpty: Bool {
    result == nil && source == nil && runID == nil && receivedFrom == nil && receivedUntil == nil
  }
}
