import HTTPServer
import JSON
import Postgres

/// What someone with a voice published about relays.
struct Advisory: Sendable {
  let id: Identifier
  let issuer: String
  let title: String
  let publishedAt: Instant
  /// The ids of the concerns that it speaks of.
  let concerns: [String]
  let summary: String
  let url: String?

  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("id", id.description)
      json.member("issuer", issuer)
      json.member("title", title)
      json.member("published_at", publishedAt.rfc3339)
      json.array("concerns", concerns) { $0.value($1) }
      json.member("summary", summary)
      json.member("url", url)
    }
  }
}

/// The statements on `advisory`. Nothing of it is kept in memory: it is read seldom.
struct AdvisoryStore: Sendable {
  let database: Database

  func insert(_ advisory: Advisory, by author: Author, at now: Instant) async throws {
    try await database.withTransaction { connection in
      try await connection.execute(
        """
        insert into advisory (id, issuer, title, published_at, concerns, summary, url)
        values (\(advisory.id), \(advisory.issuer), \(advisory.title), \(advisory.publishedAt.timestamp),
          \(advisory.concerns), \(advisory.summary), \(advisory.url))
        """)
      try await AuditLog.append([try AuditChange(advisory)], by: author, at: now, to: connection)
    }
  }

  /// A page in the order of ids.
  func page(after id: Identifier?, count: Int) async throws -> [Advisory] {
    try await database.query(Self.pageQuery(after: id, count: count), Self.decode)
  }

  static func pageQuery(after id: Identifier?, count: Int) -> Query {
    """
    select id, issuer, title, published_at, concerns, summary, url from advisory
    where id > \(id ?? .least) order by id limit \(count)
    """
  }

  func advisory(_ id: Identifier) async throws -> Advisory? {
    try await database.query(
      "select id, issuer, title, published_at, concerns, summary, url from advisory where id = \(id)", Self.decode
    ).first
  }

  @Sendable private static func decode(_ row: inout Row) throws -> Advisory {
    Advisory(
      id: try row.next(Identifier.self), issuer: try row.next(String.self), title: try row.next(String.self),
      publishedAt: Instant(try row.next(Timestamp.self)), concerns: try row.next([String].self),
      summary: try row.next(String.self), url: try row.next(String?.self))
  }
}

/// `/v1/advisories`.
struct AdvisoryRoutes {
  let parts: RiskService.Parts

  private var advisories: AdvisoryStore { AdvisoryStore(database: parts.database) }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/advisories", requirement: .scopes([.registryWrite]),
        contentTypes: ["application/json"], handler: .async(publish)),
      Endpoint(
        method: .get, pattern: "/v1/advisories", requirement: .anyKey, parameters: ["limit", "cursor"],
        handler: .async(list)),
      Endpoint(method: .get, pattern: "/v1/advisories/{id}", requirement: .anyKey, handler: .async(read)),
    ]
  }

  @Sendable private func publish(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    let now = parts.clock.now()
    var fields = JSONFields(value, faults: readerFaults)
    let issuer = fields.required("issuer") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let title = fields.required("title") { try $0.string(bytesMin: 1, bytesMax: 500) }
    let publishedAt = fields.required("published_at") { try ProbeResultDecoder.instant($0, now: now) }
    let concerns = fields.required("concerns", concerns)
    let summary = fields.required("summary") { try $0.string(bytesMin: 1, bytesMax: 10_000) }
    let url = fields.optional("url", Self.url)
    try fields.finish()
    let advisory = Advisory(
      id: parts.identifiers.next(at: now), issuer: issuer!, title: title!, publishedAt: publishedAt!,
      concerns: concerns!, summary: summary!, url: url)
    try await advisories.insert(advisory, by: call.author, at: now)
    var json = JSONWriter()
    advisory.write(to: &json)
    return .document(json.bytes, status: 201, headers: [("Location", "/v1/advisories/\(advisory.id)")])
  }

  private func concerns(_ field: JSONField) throws -> [String] {
    let known = parts.catalogue.methodology.concerns.map(\.id)
    var named: Set<String> = []
    return try field.array(count: 1...known.count) { element in
      let concern = try element.string()
      guard known.contains(concern) else {
        throw element.fault("must be one of \(known.joined(separator: ", "))")
      }
      guard named.insert(concern).inserted else { throw element.fault("is named twice") }
      return concern
    }
  }

  private static func url(_ field: JSONField) throws -> String {
    let text = try field.string(bytesMin: 1, bytesMax: TargetAddress.bytesMax)
    guard text.lowercased().hasPrefix("http://") || text.lowercased().hasPrefix("https://") else {
      throw field.fault("must be an http or https URL")
    }
    // Shown as a link later, so it must be one; it is kept as it was sent.
    _ = try TargetAddress(text)
    return text
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    let after = query.cursor { Identifier(parsing: $0) }
    try query.finish()
    let found = try await advisories.page(after: after, count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(to: &$0)
    } cursor: {
      Cursor(text: $0.id.description)
    }
  }

  @Sendable private func read(_ call: Call) async throws -> Response {
    guard let id = Identifier(anyCase: call.path("id")), let advisory = try await advisories.advisory(id)
    else { throw Problem(.notFound, "No advisory has the id \"\(call.path("id"))\".") }
    var json = JSONWriter()
    advisory.write(to: &json)
    return .document(json.bytes)
  }
}
