import HTTPServer
import JSON

/// `/v1/disputes`: objections to results.
///
/// Providers have no keys. Their objections come to those who keep the registry and are in touch with them, hence the
/// scope; whether one is upheld is an admin's decision, as it voids evidence.
struct DisputeRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    let all = "/v1/disputes"
    let reading = Requirement.scopes([.scoresRead, .registryWrite])
    return [
      Endpoint(
        method: .post, pattern: all, requirement: .scopes([.registryWrite]), contentTypes: ["application/json"],
        handler: .async(open)),
      Endpoint(
        method: .get, pattern: all, requirement: reading, parameters: ["status", "provider", "limit", "cursor"],
        handler: .async(list)),
      Endpoint(method: .get, pattern: all + "/{id}", requirement: reading, handler: .async(read)),
      Endpoint(
        method: .patch, pattern: all + "/{id}", requirement: .scopes([.admin]),
        contentTypes: ["application/merge-patch+json", "application/json"], handler: .async(decide)),
    ]
  }

  // MARK: - Opening

  @Sendable private func open(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    let found = try await result(in: value)
    var fields = JSONFields(value, faults: readerFaults)
    let result = fields.required("result") { field in
      _ = try field.string()
      guard let found else { throw field.fault("no probe result has this id") }
      return found
    }
    let reason = fields.required("reason", VoidRoutes.reason)
    try fields.finish()
    let disputed = result!
    guard disputed.voided == nil else {
      throw Problem(.conflict, "The result \(disputed.id) is void and does not count any more.")
    }
    let now = parts.clock.now()
    let outcome = disputed.result.outcome
    let dispute = Dispute(
      id: parts.identifiers.next(at: now), provider: disputed.result.provider, result: disputed.id,
      source: disputed.result.source, check: disputed.result.checkID,
      countedAt: outcome == .pass || outcome == .fail ? disputed.countedAt : nil, reason: reason!, recordedAt: now,
      recordedBy: call.author.recordedName, decision: nil)
    if case .held(let holder) = try await parts.disputes.open(dispute, by: call.author) {
      throw Problem(.conflict, "The dispute \(holder) against the result \(disputed.id) is open already.")
    }
    parts.board.apply(disputes: [ScoreBoard.Dispute(dispute, resultVoidedAt: nil)], of: dispute.provider)
    return document(dispute, status: 201, headers: [("Location", "/v1/disputes/\(dispute.id)")])
  }

  /// The result that a body names; nil when there is none.
  /// - Throws: the 410 of one that is no longer kept.
  private func result(in body: JSONValue) async throws -> StoredResult? {
    guard case .object(let object) = body, case .string(let text)? = object["result"],
      let id = Identifier(anyCase: text)
    else { return nil }
    if let found = try await parts.results.result(id) { return found }
    let absent = parts.horizon.absent(text)
    if absent.kind == .gone { throw absent }
    return nil
  }

  // MARK: - Reading

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let status = query.optional("status") { try $0.oneOf(Dispute.Status.self) }
    let provider = query.optional("provider") { try $0.provider(in: parts.registry).id }
    let limit = query.limit()
    let after = query.cursor { Identifier(parsing: $0) }
    try query.finish()
    let found = try await parts.disputes.page(status, of: provider, after: after, count: limit + 1)
    return .page(found, limit: limit, call) {
      $1.write(to: &$0, parts.registry)
    } cursor: {
      Cursor(text: $0.id.description)
    }
  }

  @Sendable private func read(_ call: Call) async throws -> Response { document(try await existing(call)) }

  private func existing(_ call: Call) async throws -> Dispute {
    guard let id = Identifier(anyCase: call.path("id")), let dispute = try await parts.disputes.dispute(id)
    else { throw Problem(.notFound, "No dispute has the id \"\(call.path("id"))\".") }
    return dispute
  }

  private func document(
    _ dispute: Dispute, status: Int = 200, headers: [(name: String, value: String)] = []
  ) -> Response {
    var json = JSONWriter()
    dispute.write(to: &json, parts.registry)
    return .document(json.bytes, status: status, headers: headers)
  }

  // MARK: - Deciding

  @Sendable private func decide(_ call: Call) async throws -> Response {
    let dispute = try await existing(call)
    try call.requireMatch { dispute.write(to: &$0, parts.registry) }
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let status = fields.required("status") { field in
      let status = try field.oneOf(Dispute.Status.self)
      guard status != .open else { throw field.fault("must be upheld or rejected") }
      return status
    }
    let note = fields.required("note", VoidRoutes.reason)
    try fields.finish()
    let now = parts.clock.now()
    let decision = Dispute.Decision(
      isUpheld: status == .upheld, at: now, by: call.author.recordedName, note: note!)
    guard let (decided, cells) = try await parts.disputes.decide(dispute, decision, by: call.author) else {
      throw Problem(.conflict, "The dispute \(dispute.id) is decided, and a decision is final.")
    }
    parts.board.apply(cells)
    let voidedAt = decision.isUpheld ? now : nil
    parts.board.apply(disputes: [ScoreBoard.Dispute(decided, resultVoidedAt: voidedAt)], of: dispute.provider)
    return document(decided)
  }
}
