import HTTPServer
import JSON

/// `/v1/sources`.
struct SourceRoutes {
  let parts: RiskService.Parts

  /// Trust of a source that is registered without one.
  private static let defaultTrust = 0.8

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/sources", requirement: .scopes([.admin]), contentTypes: ["application/json"],
        handler: .async(register)),
      Endpoint(
        method: .get, pattern: "/v1/sources", requirement: .scopes([.admin]), parameters: ["limit", "cursor"],
        handler: .async(list)),
      .get("/v1/sources/{s}", .scopes([.admin])) { call in
        var json = JSONWriter()
        try parts.registry.existingSource(call.path("s")).write(to: &json)
        return .document(json.bytes)
      },
      Endpoint(
        method: .patch, pattern: "/v1/sources/{s}", requirement: .scopes([.admin]),
        contentTypes: ["application/merge-patch+json", "application/json"], handler: .async(change)),
    ]
  }

  @Sendable private func register(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let slug = fields.required("slug") { try Slug(try $0.string()) }
    let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let trust = fields.optional("trust", Self.trust)
    let status = fields.optional("status") { try $0.oneOf(Source.Status.self) }
    try fields.finish()
    let now = parts.clock.now()
    let source = Source(
      id: parts.identifiers.next(at: now), slug: slug!, name: name!, trust: trust ?? Self.defaultTrust,
      status: status ?? .active, version: 1, createdAt: now, updatedAt: now)
    guard try await parts.sources.insert(source, by: call.author, as: call.author.recordedName) else {
      throw Problem(.conflict, "Already taken: slug \(source.slug) belongs to the source \(source.slug).")
    }
    parts.registry.apply(source)
    var json = JSONWriter()
    source.write(to: &json)
    return .document(json.bytes, status: 201, headers: [("Location", "/v1/sources/\(source.slug)")])
  }

  /// A merge patch (RFC 7396) of what may change: name, trust, status.
  @Sendable private func change(_ call: Call) async throws -> Response {
    let id = try parts.registry.existingSource(call.path("s")).id
    // As it is stored, which may be newer than what is remembered here. Sources are never deleted.
    let before = try await parts.sources.all().first { $0.id == id }!
    try call.requireMatch(before.write)
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    var source = before
    source.name = fields.replacement("name") { try $0.string(bytesMin: 1, bytesMax: 200) } ?? before.name
    source.trust = fields.replacement("trust", Self.trust) ?? before.trust
    source.status = fields.replacement("status") { try $0.oneOf(Source.Status.self) } ?? before.status
    try fields.finish()
    if source != before {
      source.version += 1
      source.updatedAt = parts.clock.now()
      guard try await parts.sources.update(source, over: before, by: call.author) else {
        throw Problem(.conflict, "The source was changed by someone else at the same time. Read it and try again.")
      }
      parts.registry.apply(source)
    }
    var json = JSONWriter()
    source.write(to: &json)
    return .document(json.bytes)
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    let after = query.cursor { try? Slug($0) }
    try query.finish()
    let found = try await parts.sources.page(after: after, count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(to: &$0)
    } cursor: {
      Cursor(text: $0.slug.text)
    }
  }

  private static func trust(_ field: JSONField) throws -> Double {
    let trust = try field.double()
    guard trust > 0, trust <= 1 else { throw field.fault("must be above 0 and at most 1") }
    return trust
  }
}

extension Registry {
  /// - Throws: 404 when no source has this id or slug.
  func existingSource(_ reference: String) throws(Problem) -> Source {
    guard let source = source(reference) else {
      throw Problem(.notFound, "No source has the id or slug \"\(reference)\".")
    }
    return source
  }
}
