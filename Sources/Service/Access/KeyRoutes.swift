import HTTPServer
import JSON

/// `/v1/keys`, the same as `relayrisk keys`.
struct KeyRoutes {
  let parts: RiskService.Parts
  /// Reads what is stored now; the only thing that replaces the keys in memory, so that no older state comes last.
  let catchUp: @Sendable () async throws -> Void

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/keys", requirement: .scopes([.admin]), contentTypes: ["application/json"],
        secret: "key", handler: .async(create)),
      Endpoint(
        method: .get, pattern: "/v1/keys", requirement: .scopes([.admin]), parameters: ["limit", "cursor"],
        handler: .async(list)),
      Endpoint(
        method: .patch, pattern: "/v1/keys/{id}", requirement: .scopes([.admin]),
        contentTypes: ["application/merge-patch+json"], handler: .async(change)),
      Endpoint(
        method: .post, pattern: "/v1/keys/{id}/rotate", requirement: .scopes([.admin]),
        contentTypes: ["application/json"], secret: "key", handler: .async(rotate)),
      Endpoint(
        method: .delete, pattern: "/v1/keys/{id}", requirement: .scopes([.admin]), produces: [],
        handler: .async(revoke)),
    ]
  }

  @Sendable private func create(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let scopes = fields.required("scopes") { field in
      try field.array(count: 1...Scope.allCases.count) { try $0.oneOf(Scope.self) }
    }
    let source = fields.optional("source") { field in
      guard let source = parts.registry.source(try field.string()) else {
        throw field.fault("no source has this id or slug")
      }
      return source
    }
    let limits = KeyLimits(&fields, now: parts.clock.now())
    if let scopes, scopes.contains(.resultsWrite), !scopes.contains(.admin), source == nil,
      !fields.faults.contains(where: { $0.pointer == "/source" })
    {
      fields.fault("source", "is required: a key with results:write posts for one source")
    }
    try fields.finish()
    let (key, text) = try await KeyIssuing(parts: parts).create(
      name: name!, scopes: scopes!, source: source, limits: limits, by: call.author)
    // Stored is stored: when this fails, the change feed reads the key a moment later.
    try? await catchUp()
    return issued(key, text)
  }

  private func issued(_ key: APIKey, _ text: String) -> Response {
    var json = JSONWriter()
    write(key, to: &json, secret: text)
    return .json(json.bytes, status: 201, headers: [("Cache-Control", "no-store")])
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    let after = query.cursor { Identifier(parsing: $0) }
    try query.finish()
    let found = try await parts.keys.page(after: after, count: limit + 1)
    return .page(found, limit: limit, call) {
      write($1, to: &$0, secret: nil)
    } cursor: {
      Cursor(text: $0.id.description)
    }
  }

  @Sendable private func change(_ call: Call) async throws -> Response {
    let (patch, readerFaults) = try call.json()
    guard let id = Identifier(anyCase: call.path("id")) else { throw absent(call) }
    let now = parts.clock.now()
    let changed = try await parts.keys.setLimits(of: id, by: call.author, at: now) { limits in
      var json = JSONWriter()
      json.object { limits.write(to: &$0) }
      var fields = JSONFields(try JSONReader.read(json.bytes).value.merging(patch), faults: readerFaults)
      let limits = KeyLimits(&fields, now: now, before: limits)
      try fields.finish()
      return limits
    }
    guard let key = changed else { throw absent(call) }
    try? await catchUp()
    var json = JSONWriter()
    write(key, to: &json, secret: nil)
    return .json(json.bytes)
  }

  @Sendable private func rotate(_ call: Call) async throws -> Response {
    var overlapSeconds: Int?
    var expiresAt: Instant?
    if !call.request.body.isEmpty {
      let (value, readerFaults) = try call.json()
      var fields = JSONFields(value, faults: readerFaults)
      overlapSeconds = fields.optional("overlap_seconds") { try $0.integer(in: KeyIssuing.overlapSecondsRange) }
      expiresAt = fields.optional("expires_at") { try KeyLimits.expiry($0, now: parts.clock.now()) }
      try fields.finish()
    }
    guard let id = Identifier(anyCase: call.path("id")),
      let rotated = try await KeyIssuing(parts: parts).rotate(
        id, overlapSeconds: overlapSeconds ?? KeyIssuing.overlapSecondsDefault, expiresAt: expiresAt, by: call.author)
    else { throw absent(call) }
    try? await catchUp()
    return issued(rotated.successor, rotated.text)
  }

  private func absent(_ call: Call) -> Problem { Problem(.notFound, "No key has the id \"\(call.path("id"))\".") }

  @Sendable private func revoke(_ call: Call) async throws -> Response {
    guard let id = Identifier(anyCase: call.path("id")),
      try await parts.keys.revoke(id, by: call.author, at: parts.clock.now())
    else { throw absent(call) }
    try await catchUp()
    return .noContent()
  }

  private func write(_ key: APIKey, to json: inout JSONWriter, secret: String?) {
    json.object { json in
      json.member("id", key.id.description)
      json.member("name", key.name)
      json.array("scopes", key.scopes) { $0.value($1.rawValue) }
      json.member("source", key.sourceID.flatMap { parts.registry.source(id: $0) }?.slug.text)
      json.member("created_at", key.createdAt.rfc3339)
      json.member("last_used_at", key.lastUsedAt?.rfc3339)
      json.member("revoked_at", key.revokedAt?.rfc3339)
      json.member("successor", key.successorID?.description)
      key.limits.write(to: &json)
      if let secret { json.member("key", secret) }
    }
  }
}
