import HTTPServer
import JSON

/// `/v1/providers`.
struct ProviderRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/providers", requirement: .scopes([.registryWrite]),
        contentTypes: ["application/json"], handler: .async(register)),
      Endpoint(
        method: .get, pattern: "/v1/providers", requirement: .scopes([.scoresRead, .registryWrite]),
        parameters: ["status", "tag", "q", "limit", "cursor"], handler: .async(list)),
      .get("/v1/providers/{p}", .scopes([.scoresRead, .registryWrite])) { [registry = parts.registry] call in
        var json = JSONWriter()
        try registry.existingProvider(call.path("p")).write(to: &json)
        return .document(json.bytes)
      },
    ]
  }

  @Sendable private func register(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let details = try Provider.Details(&fields)
    let now = parts.clock.now()
    let provider = Provider(
      id: parts.identifiers.next(at: now), details: details, status: .pending, version: 1, createdAt: now,
      updatedAt: now)
    let version: Int
    do {
      version = try await parts.providers.insert(provider)
    } catch let taken as ProviderStore.Taken {
      throw Problem(taken)
    }
    parts.registry.apply(provider)
    parts.changes.markApplied(version)
    var json = JSONWriter()
    provider.write(to: &json)
    return .document(json.bytes, status: 201, headers: [("Location", "/v1/providers/\(provider.slug)")])
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    let limit = try call.parameters.limit()
    var query = QueryFields(call.parameters)
    var filter = ProviderStore.Filter()
    if let status = query.optional("status", { try $0.oneOf(Provider.Status.self) }) { filter.statuses = [status] }
    filter.tag = query.optional("tag") { try $0.storableString(bytesMax: 64) }
    filter.text = query.optional("q") { try $0.storableString(bytesMax: 200) }
    try query.finish()
    let after = try call.parameters["cursor"].map { try Cursor(parsing: $0).text }
    // One more than asked for tells whether another page follows.
    let found = try await parts.providers.page(after: after, filter, count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(to: &$0)
    } cursor: {
      Cursor(text: $0.slug.text)
    }
  }
}

extension Problem {
  init(_ taken: ProviderStore.Taken) {
    let holders = taken.holders.map { "\($0.what) belongs to \($0.holder)" }.joined(separator: ", ")
    self.init(.conflict, "Already taken: \(holders).")
  }
}

extension Registry {
  /// - Throws: the 404 that a reference in a path deserves.
  func existingProvider(_ reference: String) throws -> Provider {
    guard let provider = provider(reference) else {
      throw Problem(.notFound, "No provider has the id, slug or host \"\(reference)\".")
    }
    return provider
  }
}

extension JSONField {
  /// A query parameter that goes into a statement: PostgreSQL has no U+0000 in its texts, which bodies are searched
  /// for when they are read.
  fileprivate func storableString(bytesMax: Int) throws -> String {
    let text = try string(bytesMin: 1, bytesMax: bytesMax)
    if text.utf8.contains(0) { throw fault("must not hold U+0000") }
    return text
  }
}
