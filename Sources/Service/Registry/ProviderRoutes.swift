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
        .document(try registry.existingProvider(call.path("p")).encoded)
      },
      Endpoint(
        method: .patch, pattern: "/v1/providers/{p}", requirement: .scopes([.registryWrite]),
        contentTypes: ["application/merge-patch+json", "application/json"], handler: .async(change)),
      Endpoint(
        method: .delete, pattern: "/v1/providers/{p}", requirement: .scopes([.registryWrite]),
        handler: .async(retire)),
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
    try await store(provider) { try await parts.providers.insert(provider) }
    return .document(provider.encoded, status: 201, headers: [("Location", "/v1/providers/\(provider.slug)")])
  }

  /// A merge patch (RFC 7396) of everything that a registration says, and of the status.
  @Sendable private func change(_ call: Call) async throws -> Response {
    let before = try parts.registry.existingProvider(call.path("p"))
    try call.requireMatch(entityTag(of: before.encoded))
    let (patch, readerFaults) = try call.json()
    guard case .object = patch else { throw JSONFault(pointer: "", detail: "must be an object, not \(patch.typeName)") }
    var registration = JSONWriter()
    registration.object { before.writeRegistration(to: &$0) }
    let patched = try JSONReader.read(registration.bytes).value.applying(mergePatch: patch)
    var fields = JSONFields(patched, faults: readerFaults)
    let status = fields.required("status") { try $0.oneOf(Provider.Status.self) }
    var after = before
    after.details = try Provider.Details(&fields)
    after.status = status!
    return .document(try await store(after, insteadOf: before).encoded)
  }

  @Sendable private func retire(_ call: Call) async throws -> Response {
    let before = try parts.registry.existingProvider(call.path("p"))
    try call.requireMatch(entityTag(of: before.encoded))
    var after = before
    after.status = .retired
    _ = try await store(after, insteadOf: before)
    return .noContent()
  }

  private func store(_ changed: Provider, insteadOf before: Provider) async throws -> Provider {
    guard before.status.mayBecome(changed.status) else {
      throw Problem(
        .conflict, "A provider that is \(before.status.rawValue) cannot become \(changed.status.rawValue) at once.")
    }
    // Saying what is so already changes nothing, not even the version.
    if changed == before { return before }
    var after = changed
    after.version += 1
    after.updatedAt = parts.clock.now()
    try await store(after) { [after] in
      guard let version = try await parts.providers.update(after) else {
        throw Problem(.conflict, "The provider was changed by someone else at the same time. Read it and try again.")
      }
      return version
    }
    return after
  }

  /// Writes to the database, then to memory.
  private func store(_ provider: Provider, _ write: () async throws -> Int) async throws {
    let version: Int
    do {
      version = try await write()
    } catch let taken as ProviderStore.Taken {
      let holders = taken.holders.map { "\($0.what) belongs to \($0.holder)" }.joined(separator: ", ")
      throw Problem(.conflict, "Already taken: \(holders).")
    }
    parts.registry.apply(provider)
    parts.changes.markApplied(version)
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    let limit = try call.parameters.limit()
    let status = try call.parameters.field("status")?.oneOf(Provider.Status.self)
    let after = try call.parameters["cursor"].map { try Cursor(parsing: $0).text }
    let filter = ProviderStore.Filter(status: status, tag: call.parameters["tag"], text: call.parameters["q"])
    // One more than asked for tells whether another page follows.
    let found = try await parts.providers.page(after: after, filter, count: limit + 1)
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
