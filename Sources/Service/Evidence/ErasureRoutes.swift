import HTTPServer
import JSON

/// `/v1/probe-results/{id}/erase-evidence` and `/v1/probe-results/erase-evidence`.
struct ErasureRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/probe-results/{id}/erase-evidence", requirement: .scopes([.admin]),
        contentTypes: ["application/json"], showsResult: true, handler: .async(eraseOne)),
      Endpoint(
        method: .post, pattern: "/v1/probe-results/erase-evidence", requirement: .scopes([.admin]),
        contentTypes: ["application/json"], handler: .async(eraseMany)),
    ]
  }

  private var store: ErasureStore { ErasureStore(database: parts.database) }

  @Sendable private func eraseOne(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let reason = fields.required("reason", VoidRoutes.reason)
    try fields.finish()
    let absent = parts.horizon.absent(call.path("id"))
    guard let id = Identifier(anyCase: call.path("id")), let before = try await parts.results.result(id)
    else { throw absent }
    // What has none, or no longer, stays as it is.
    _ = try await store.erase(
      ResultSelection(result: id, of: before.result.provider), erasure(reason!, call), by: call.author)
    guard let after = try await parts.results.result(id) else { throw absent }
    return parts.registry.response(after)
  }

  @Sendable private func eraseMany(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let reason = fields.required("reason", VoidRoutes.reason)
    var selection = ResultSelection(&fields, registry: parts.registry, now: parts.clock.now())
    selection.provider = fields.optional("provider") { field in
      guard let provider = parts.registry.provider(try field.string()) else {
        throw field.fault("no provider has this id, slug or host")
      }
      return provider.id
    }
    let isDryRun = fields.optional("dry_run") { try $0.bool() } ?? false
    if selection.isEmpty, fields.faults.isEmpty {
      fields.fault("", "must select results by provider, source, run_id, received_from or received_until")
    }
    try fields.finish()

    let matched = try await store.erase(selection, erasure(reason!, call), isDryRun: isDryRun, by: call.author)
    var json = JSONWriter()
    json.object { json in
      json.member("matched", matched)
      json.member("erased", isDryRun ? 0 : matched)
      json.member("dry_run", isDryRun)
    }
    return .json(json.bytes)
  }

  private func erasure(_ reason: String, _ call: Call) -> ResultDecision {
    ResultDecision(at: parts.clock.now(), by: call.author.recordedName, reason: reason)
  }
}
