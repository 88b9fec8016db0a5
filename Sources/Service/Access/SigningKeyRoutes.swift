import HTTPServer
import JSON

/// `/v1/sources/{s}/signing-keys`.
struct SigningKeyRoutes {
  let parts: RiskService.Parts
  /// Reads what is stored now; the only thing that replaces the keys in memory.
  let catchUp: @Sendable () async throws -> Void

  private static let pattern = "/v1/sources/{s}/signing-keys"

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: Self.pattern, requirement: .scopes([.admin]), contentTypes: ["application/json"],
        handler: .async(register)),
      Endpoint(
        method: .get, pattern: Self.pattern, requirement: .scopes([.admin]), parameters: ["limit", "cursor"],
        handler: .async(list)),
      Endpoint(
        method: .delete, pattern: Self.pattern + "/{id}", requirement: .scopes([.admin]), produces: [],
        handler: .async(revoke)),
    ]
  }

  @Sendable private func register(_ call: Call) async throws -> Response {
    let source = try parts.registry.existingSource(call.path("s"))
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let publicKey = fields.required("public_key") { try SigningKey.PublicKey($0) }
    try fields.finish()
    let now = parts.clock.now()
    let key = SigningKey(
      id: parts.identifiers.next(at: now), sourceID: source.id, name: name!, publicKey: publicKey!, createdAt: now)
    guard try await parts.signingKeys.insert(key, by: call.author) else {
      throw Problem(.conflict, "The source \(source.slug) has this public key already, or had it until it was revoked.")
    }
    // Stored is stored: when this fails, the change feed reads the key a moment later.
    try? await catchUp()
    var json = JSONWriter()
    key.write(to: &json)
    return .json(json.bytes, status: 201)
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    let after = query.cursor { Identifier(parsing: $0) }
    try query.finish()
    let source = try parts.registry.existingSource(call.path("s"))
    let found = try await parts.signingKeys.page(of: source.id, after: after, count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(to: &$0)
    } cursor: {
      Cursor(text: $0.id.description)
    }
  }

  @Sendable private func revoke(_ call: Call) async throws -> Response {
    let source = try parts.registry.existingSource(call.path("s"))
    guard let id = Identifier(anyCase: call.path("id")),
      try await parts.signingKeys.revoke(id, of: source.id, by: call.author, at: parts.clock.now())
    else {
      throw Problem(.notFound, "The source \(source.slug) has no signing key with the id \"\(call.path("id"))\".")
    }
    try await catchUp()
    return .noContent()
  }
}
