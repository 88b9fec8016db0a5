import HTTPServer
import JSON

/// `/v1/providers/{p}/waivers` and `/v1/providers/{p}/incidents`.
struct DecisionRoutes {
  let parts: RiskService.Parts

  /// How long a waiver may last: long enough to mend something, too short to be forgotten.
  private static let waiverMillisecondsMax: Int64 = 90 * 86_400_000

  var endpoints: [Endpoint] {
    let waivers = "/v1/providers/{p}/waivers"
    let incidents = "/v1/providers/{p}/incidents"
    return [
      Endpoint(
        method: .post, pattern: waivers, requirement: .scopes([.admin]), contentTypes: ["application/json"],
        handler: .async(waive)),
      Endpoint(
        method: .get, pattern: waivers, requirement: .scopes([.scoresRead]), parameters: ["limit", "cursor"],
        handler: .async(listWaivers)),
      Endpoint(
        method: .delete, pattern: waivers + "/{id}", requirement: .scopes([.admin]), parameters: ["note"], produces: [],
        handler: .async(revoke)),
      Endpoint(
        method: .post, pattern: incidents, requirement: .scopes([.admin]), contentTypes: ["application/json"],
        handler: .async(open)),
      Endpoint(
        method: .get, pattern: incidents, requirement: .scopes([.scoresRead]), parameters: ["limit", "cursor"],
        handler: .async(listIncidents)),
      Endpoint(
        method: .post, pattern: incidents + "/{id}/close", requirement: .scopes([.admin]),
        contentTypes: ["application/json"], handler: .async(close)),
    ]
  }

  // MARK: - Waivers

  @Sendable private func waive(_ call: Call) async throws -> Response {
    let provider = try parts.registry.existingProvider(call.path("p"))
    let now = parts.clock.now()
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let check = fields.required("check") { field in
      let check = try field.string()
      guard parts.catalogue.methodology.checkIndex(check) != nil else {
        throw field.fault("no such check; GET /v1/checks lists them")
      }
      return check
    }
    let reason = fields.required("reason", VoidRoutes.reason)
    let expiresAt = fields.required("expires_at") { try Self.expiry($0, now: now) }
    try fields.finish()
    let record = WaiverRecord(
      waiver: ScoreBoard.Waiver(
        id: parts.identifiers.next(at: now), check: check!, recordedAt: now, expiresAt: expiresAt!, revokedAt: nil),
      reason: reason!, recordedBy: call.author.recordedName, revokedBy: nil, revokedNote: nil)
    try await parts.decisions.insert(record, of: provider.id, by: call.author)
    parts.board.apply(waivers: [record.waiver], of: provider.id)
    var json = JSONWriter()
    record.write(to: &json, now: now)
    return .document(json.bytes, status: 201)
  }

  private static func expiry(_ field: JSONField, now: Instant) throws -> Instant {
    guard let instant = Instant(rfc3339: try field.string()) else {
      throw field.fault("must be a time as RFC 3339 writes it, such as 2026-11-23T08:00:00.000Z")
    }
    guard instant > now else { throw field.fault("is not in the future") }
    guard instant <= now + waiverMillisecondsMax else { throw field.fault("is more than 90 days ahead") }
    return instant
  }

  @Sendable private func listWaivers(_ call: Call) async throws -> Response {
    let now = parts.clock.now()
    return try await list(
      call, parts.decisions.waivers(of:after:count:), { $1.write(to: &$0, now: now) }, id: \.waiver.id)
  }

  @Sendable private func revoke(_ call: Call) async throws -> Response {
    // In the query, because the content of a DELETE has no meaning and may get lost on the way (RFC 9110, 9.3.5).
    let note = try call.parameters.field("note").map(VoidRoutes.reason)
    let (provider, record) = try await end("waiver", call) { id, provider in
      try await parts.decisions.revokeWaiver(
        id, of: provider, by: call.author, note: note, at: parts.clock.now())
    }
    parts.board.apply(waivers: [record.waiver], of: provider)
    return .noContent()
  }

  // MARK: - Incidents

  @Sendable private func open(_ call: Call) async throws -> Response {
    let provider = try parts.registry.existingProvider(call.path("p"))
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let concern = fields.required("concern") { try $0.concern(of: parts.catalogue.methodology) }
    let summary = fields.required("summary", VoidRoutes.reason)
    try fields.finish()
    let now = parts.clock.now()
    let record = IncidentRecord(
      incident: ScoreBoard.Incident(
        id: parts.identifiers.next(at: now), concern: concern!, recordedAt: now, closedAt: nil),
      summary: summary!, recordedBy: call.author.recordedName, closedBy: nil, closedNote: nil)
    try await parts.decisions.insert(record, of: provider.id, by: call.author)
    parts.board.apply(incidents: [record.incident], of: provider.id)
    var json = JSONWriter()
    record.write(to: &json)
    return .document(json.bytes, status: 201)
  }

  @Sendable private func listIncidents(_ call: Call) async throws -> Response {
    try await list(call, parts.decisions.incidents(of:after:count:), { $1.write(to: &$0) }, id: \.incident.id)
  }

  @Sendable private func close(_ call: Call) async throws -> Response {
    let note = try Self.note(call)
    let (provider, record) = try await end("incident", call) { id, provider in
      try await parts.decisions.closeIncident(
        id, of: provider, by: call.author, note: note, at: parts.clock.now())
    }
    parts.board.apply(incidents: [record.incident], of: provider)
    var json = JSONWriter()
    record.write(to: &json)
    return .document(json.bytes)
  }
}

// What decisions of both kinds share.
extension DecisionRoutes {
  /// A page of one provider's decisions, in the order they were recorded.
  private func list<Record: Sendable>(
    _ call: Call, _ found: (Identifier, Identifier?, Int) async throws -> [Record],
    _ write: (inout JSONWriter, Record) -> Void, id: (Record) -> Identifier
  ) async throws -> Response {
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    let after = query.cursor { Identifier(parsing: $0) }
    try query.finish()
    let provider = try parts.registry.existingProvider(call.path("p"))
    return .page(try await found(provider.id, after, limit + 1), limit: limit, call, write) {
      Cursor(text: id($0).description)
    }
  }

  /// Ends the decision that the path names.
  private func end<Record: Sendable>(
    _ kind: String, _ call: Call, _ end: (Identifier, Identifier) async throws -> Record?
  ) async throws -> (provider: Identifier, record: Record) {
    let provider = try parts.registry.existingProvider(call.path("p"))
    guard let id = Identifier(anyCase: call.path("id")), let record = try await end(id, provider.id)
    else { throw Problem(.notFound, "\(provider.slug) has no \(kind) with the id \"\(call.path("id"))\".") }
    return (provider.id, record)
  }

  /// The body may be left out, and so may the note.
  private static func note(_ call: Call) throws -> String? {
    if call.request.body.isEmpty { return nil }
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let note = fields.optional("note", VoidRoutes.reason)
    try fields.finish()
    return note
  }
}

extension WaiverRecord {
  fileprivate func write(to json: inout JSONWriter, now: Instant) {
    json.object { json in
      writeMembers(to: &json)
      json.member("in_force", waiver.isInForce(at: now))
    }
  }

  /// Without what depends on the time.
  func writeMembers(to json: inout JSONWriter) {
    json.member("id", waiver.id.description)
    json.member("check", waiver.check)
    json.member("reason", reason)
    json.member("recorded_at", waiver.recordedAt.rfc3339)
    json.member("recorded_by", recordedBy)
    json.member("expires_at", waiver.expiresAt.rfc3339)
    json.member("revoked_at", waiver.revokedAt?.rfc3339)
    json.member("revoked_by", revokedBy)
    json.member("revoked_note", revokedNote)
  }
}

extension IncidentRecord {
  fileprivate func write(to json: inout JSONWriter) { json.object(writeMembers) }

  func writeMembers(to json: inout JSONWriter) {
    json.member("id", incident.id.description)
    json.member("concern", incident.concern)
    json.member("summary", summary)
    json.member("recorded_at", incident.recordedAt.rfc3339)
    json.member("recorded_by", recordedBy)
    json.member("closed_at", incident.closedAt?.rfc3339)
    json.member("closed_by", closedBy)
    json.member("closed_note", closedNote)
  }
}
