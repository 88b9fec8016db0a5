import HTTPServer
import JSON
import RiskModel

/// `/v1/methodologies`: the ways of scoring that exist, to read, to add and to put into force.
struct MethodologyRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  /// A catalogue of ten thousand checks.
  private static let documentBytesMax = 4 * 1024 * 1024

  var endpoints: [Endpoint] {
    [
      .get("/v1/methodologies", .anyKey, parameters: ["limit", "cursor"], list),
      Endpoint(
        method: .post, pattern: "/v1/methodologies", requirement: .scopes([.admin]),
        bodyBytesMax: Self.documentBytesMax, contentTypes: ["application/json"], handler: .async(add)),
      .get("/v1/methodologies/{id}", .anyKey) { [parts] call in
        Self.respond(try parts.methodologies.existing(call.path("id")))
      },
      Endpoint(
        method: .patch, pattern: "/v1/methodologies/{id}", requirement: .scopes([.admin]),
        contentTypes: ["application/merge-patch+json", "application/json"], handler: .async(patch)),
    ]
  }

  @Sendable private func list(_ call: Call) throws -> Response {
    let set = parts.methodologies.current
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    // None is ever removed.
    let after = query.cursor { set[$0]?.id } ?? ""
    try query.finish()
    let rest = set.all.filter { after.utf8.lexicographicallyPrecedes($0.id.utf8) }
    return .page(Array(rest.prefix(limit + 1)), limit: limit, call) {
      $1.write(to: &$0, withDocument: false)
    } cursor: {
      Cursor(text: $0.id)
    }
  }

  private static func respond(
    _ methodology: StoredMethodology, status: Int = 200, headers: [(name: String, value: String)] = []
  ) -> Response {
    var json = JSONWriter(reservingBytes: 32_768)
    methodology.write(to: &json)
    return .document(json.bytes, status: status, headers: headers)
  }

  // MARK: - Adding

  @Sendable private func add(_ call: Call) async throws -> Response {
    let scoring = try await service.computing { [parts] in
      let (value, faults) = try call.json()
      return try ScoringMethodology(posted: value, faults: faults, catalogue: parts.catalogue.methodology)
    }
    let now = parts.clock.now()
    let added = StoredMethodology(
      scoring: scoring, status: .draft, foldingVersion: nil, isComplete: false, recordedAt: now,
      recordedBy: call.author.recordedName, changedAt: now, changedBy: call.author.recordedName)
    let isNew = try await parts.methodologyStore.insert(added, by: call.author)
    try await service.feed.catchUp()
    let stored = try parts.methodologies.existing(scoring.id)
    guard isNew || stored.scoring.hasContent(of: scoring) else {
      throw Problem(
        .conflict,
        "There is a methodology \(scoring.id) with other content, and none ever changes: give yours another id."
      )
    }
    return isNew
      ? Self.respond(stored, status: 201, headers: [("Location", "/v1/methodologies/\(stored.id)")])
      : Self.respond(stored)
  }

  // MARK: - Changing the status

  private enum Target: String, CaseIterable { case shadow, active, retired }

  @Sendable private func patch(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let target = fields.required("status") { try $0.oneOf(Target.self) }
    try fields.finish()
    let status = StoredMethodology.Status(rawValue: target!.rawValue)!
    let id = call.path("id")
    let author = call.author
    let changed = try await parts.methodologyStore.change(id, at: parts.clock.now(), by: author) { methodology in
      try call.requireMatch { methodology.write(to: &$0) }
      try methodology.become(status)
    }
    guard let changed else { throw Problem(.notFound, "No methodology has the id \"\(id)\".") }
    if changed.isFolded, !changed.isComplete {
      // Not a part of this task: a client that gives up waiting does not end it.
      try await Task { try await complete(changed, by: author) }.value
    }
    try await service.feed.catchUp()
    return Self.respond(try parts.methodologies.existing(id))
  }

  /// Folds what was stored before, and says that the cells are complete; unless it was retired meanwhile.
  private func complete(_ methodology: StoredMethodology, by author: Author) async throws {
    try await CellBackfill(database: parts.database).run(methodology.scoring.methodology)
    _ = try await parts.methodologyStore.change(methodology.id, at: parts.clock.now(), by: author) { stored in
      if stored.foldingVersion == methodology.foldingVersion { stored.isComplete = true }
    }
  }
}

extension StoredMethodology {
  /// draft -> shadow <-> active, any but active -> retired, retired -> shadow. Another one's activation alone ends one.
  /// - Throws: the 409 of any other step.
  fileprivate mutating func become(_ next: Status) throws {
    if next == status { return }
    switch (status, next) {
    case (.active, _):
      throw Problem(.conflict, "\(id) is active; it becomes a shadow when another methodology is made active.")
    case (.draft, .active), (.retired, .active):
      throw Problem(.conflict, "\(id) is \(status.rawValue); only a shadow can become active, so make it one first.")
    case (.shadow, .active) where !isComplete:
      throw Problem(.conflict, "The stored results are not all folded under \(id) yet; make it a shadow again first.")
    default: status = next
    }
    if status == .retired { isComplete = false }
  }
}

extension MethodologyRegister {
  /// - Throws: 404.
  func existing(_ id: String) throws -> StoredMethodology {
    guard let methodology = current[id] else { throw Problem(.notFound, "No methodology has the id \"\(id)\".") }
    return methodology
  }
}
