import HTTPServer
import JSON
import Postgres

/// A model that relays sell.
struct Model: Sendable, Equatable {
  enum Origin: String, Sendable, CaseIterable { case overseas, domestic }
  enum Tier: String, Sendable, CaseIterable { case flagship, small }
  let id: Slug
  let vendor: String
  let name: String
  let origin: Origin
  let tier: Tier
  /// How well it writes code, by a public index; nil where none is known.
  let codingIndex: Double?

  init(id: Slug, _ fields: inout JSONFields) throws(JSONFaults) {
    let vendor = fields.required("vendor") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let origin = fields.required("origin") { try $0.oneOf(Origin.self) }
    let tier = fields.required("tier") { try $0.oneOf(Tier.self) }
    let codingIndex = fields.optional("coding_index") { try $0.double() }
    try fields.finish()
    self.init(
      id: id, vendor: vendor!, name: name!, origin: origin!, tier: tier!, codingIndex: codingIndex)
  }

  fileprivate init(id: Slug, vendor: String, name: String, origin: Origin, tier: Tier, codingIndex: Double?) {
    (self.id, self.vendor, self.name) = (id, vendor, name)
    (self.origin, self.tier, self.codingIndex) = (origin, tier, codingIndex)
  }

  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("id", id.text)
      json.member("vendor", vendor)
      json.member("name", name)
      json.member("origin", origin.rawValue)
      json.member("tier", tier.rawValue)
      json.member("coding_index", codingIndex)
    }
  }
}

/// The statements on `model`. Nothing of it is kept in memory: it is read seldom.
struct ModelStore: Sendable {
  let database: Database

  /// A page in the order of ids.
  func page(after id: String, count: Int) async throws -> [Model] {
    try await database.query(Self.pageQuery(after: id, count: count), Self.decode)
  }

  static func pageQuery(after id: String, count: Int) -> Query {
    "select id, vendor, name, origin, tier, coding_index from model where id > \(id) order by id limit \(count)"
  }

  func model(_ id: Slug) async throws -> Model? {
    try await database.query(
      "select id, vendor, name, origin, tier, coding_index from model where id = \(id.text)", Self.decode
    ).first
  }

  /// Stores the model in the place of `before`.
  /// - Returns: false when what is stored is no longer `before`; nothing is stored then.
  func put(_ model: Model, over before: Model?, by author: Author, at now: Instant) async throws -> Bool {
    if model == before { return true }
    return try await database.withTransaction { connection in
      guard try await store(model, over: before, on: connection) else { return false }
      let action = before == nil ? AuditAction.modelCreate : .modelUpdate
      try await AuditLog.append(
        [try AuditChange(action, model, before: before)], by: author, at: now, to: connection)
      return true
    }
  }

  private func store(_ model: Model, over before: Model?, on connection: Connection) async throws -> Bool {
    guard let before else {
      return try await connection.execute(
        """
        insert into model (id, vendor, name, origin, tier, coding_index)
        values (\(model.id.text), \(model.vendor), \(model.name), \(model.origin.rawValue), \(model.tier.rawValue),
          \(model.codingIndex))
        on conflict (id) do nothing
        """) == 1
    }
    return try await connection.execute(
      """
      update model set vendor = \(model.vendor), name = \(model.name), origin = \(model.origin.rawValue),
        tier = \(model.tier.rawValue), coding_index = \(model.codingIndex)
      where id = \(model.id.text) and vendor = \(before.vendor) and name = \(before.name)
        and origin = \(before.origin.rawValue) and tier = \(before.tier.rawValue)
        and coding_index is not distinct from \(before.codingIndex)
      """) == 1
  }

  @Sendable private static func decode(_ row: inout Row) throws -> Model {
    Model(
      id: try Slug(try row.next(String.self)), vendor: try row.next(String.self), name: try row.next(String.self),
      origin: Model.Origin(rawValue: try row.next(String.self))!,
      tier: Model.Tier(rawValue: try row.next(String.self))!, codingIndex: try row.next(Double?.self))
  }
}

/// `/v1/models`.
struct ModelRoutes {
  let models: ModelStore
  let clock: Clock

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/models", requirement: .anyKey, parameters: ["limit", "cursor"],
        handler: .async(list)),
      Endpoint(method: .get, pattern: "/v1/models/{id}", requirement: .anyKey, handler: .async(read)),
      Endpoint(
        method: .put, pattern: "/v1/models/{id}", requirement: .scopes([.registryWrite]),
        contentTypes: ["application/json"], handler: .async(put)),
    ]
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    let after = query.cursor { try? Slug($0) }
    try query.finish()
    let found = try await models.page(after: after?.text ?? "", count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(to: &$0)
    } cursor: {
      Cursor(text: $0.id.text)
    }
  }

  @Sendable private func read(_ call: Call) async throws -> Response {
    guard let id = try? Slug(call.path("id")), let model = try await models.model(id) else {
      throw Problem(.notFound, "No model has the id \"\(call.path("id"))\".")
    }
    return respond(model)
  }

  @Sendable private func put(_ call: Call) async throws -> Response {
    let id: Slug
    do {
      id = try Slug(call.path("id"))
    } catch {
      throw Problem(.notFound, "No model can have the id \"\(call.path("id"))\": it \(error).")
    }
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let model = try Model(id: id, &fields)
    let before = try await models.model(id)
    if let before {
      try call.requireMatch(before.write)
    } else if call.request.headers["If-Match"] != nil {
      throw Problem(.preconditionFailed, "There is no such model yet, so no ETag of it is current.")
    }
    guard try await models.put(model, over: before, by: call.author, at: clock.now()) else {
      throw Problem(.conflict, "The model was changed by someone else at the same time. Read it and try again.")
    }
    return before == nil ? respond(model, status: 201) : respond(model)
  }

  private func respond(_ model: Model, status: Int = 200) -> Response {
    var json = JSONWriter()
    model.write(to: &json)
    let location = [("Location", "/v1/models/\(model.id)")]
    return .document(json.bytes, status: status, headers: status == 201 ? location : [])
  }
}
