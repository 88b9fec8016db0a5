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
        parameters: ["status", "limit", "cursor"], handler: .async(list)),
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
      let holders = taken.holders.map { "\($0.what) belongs to \($0.holder)" }.joined(separator: ", ")
      throw Problem(.conflict, "Already taken: \(holders).")
    }
    parts.registry.apply(provider)
    parts.changes.markApplied(version)
    var json = JSONWriter()
    provider.write(to: &json)
    return .document(json.bytes, status: 201, headers: [("Location", "/v1/providers/\(provider.slug)")])
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    let limit = try call.parameters.limit()
    let status = try call.parameters.field("status")?.oneOf(Provider.Status.self)
    let after = try call.parameters["cursor"].map { try Cursor(parsing: $0).text }
    // One more than asked for tells whether another page follows.
    let found = try await parts.providers.page(after: after, status: status, count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(to: &$0)
    } cursor: {
      Cursor(text: $0.slug.text)
    }
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
