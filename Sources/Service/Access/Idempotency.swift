import Crypto
import EventLoop
import HTTPServer
import JSON

extension Problem.Kind {
  static let stillRunning = Problem.Kind(
    code: "still-running", status: 409, title: "The first request is still running",
    explanation: "A request with this Idempotency-Key has not been answered yet. Send it again after `Retry-After` "
      + "seconds to get that answer. If its instance died, the key is free again after a minute.")
}

/// `Idempotency-Key`: a write that is sent again within a day gets the first final answer again.
///
/// The key is claimed before the work and answered after it, in transactions of their own. When the instance dies in
/// between, or cannot store the answer, nobody knows whether the work was done; the claim runs out after a minute and
/// the next attempt does the work anew. What guards against doing it twice is then the work itself: a result is
/// recognised by its identity and answered as a duplicate, a slug or host is taken and named in a 409, a change or a
/// deletion comes to the same. A key, waiver, incident or advisory would be there twice, each in its list. One
/// transaction around both would rule that out, but results share theirs with other requests. What was answered with
/// a 5xx is as uncertain, and free to be tried again at once.
struct Idempotency: Sendable {
  let store: IdempotencyStore
  /// Answers say of results what nobody else is to read, and are kept as evidence is.
  let vault: EvidenceVault
  /// Where the evidence is that answers are kept without.
  let results: ResultStore
  /// The installation's, so that neither keys nor bodies can be guessed from what is stored.
  let digestKey: SymmetricKey
  let identifiers: IdentifierGenerator
  let clock: Clock
  /// Where large bodies are hashed: 32 MiB would hold up a loop that answers requests.
  let reader: EventLoop

  static let header = "Idempotency-Key"

  /// Runs `work`, or answers as it was answered before.
  /// - Parameters:
  ///   - path: the segments that name the thing, decoded.
  ///   - kept: what of the answer is kept.
  /// - Throws: 422 for a wrong key, or one that was sent with another request; 409 while the first one runs.
  func answer(
    _ request: Request, of caller: Principal, path: [String], kept: KeptAnswer,
    _ work: @Sendable () async throws -> Response
  ) async throws -> Response {
    let key = try Self.key(request.headers)
    let claim = IdempotencyStore.Claim(
      apiKey: caller.keyID, identity: code(path + [key]), token: identifiers.next(at: clock.now()))
    let query = request.target.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
    let digest = await digest(of: [request.method.rawValue, String(query)], request.body)
    guard let holder = try await store.take(claim, requestDigest: digest) else {
      return try await perform(request, claim, kept, work)
    }
    guard holder.requestDigest == digest else {
      throw JSONFault(pointer: Self.header, detail: "was sent before with another method, query or body")
    }
    guard let answer = holder.answer else {
      throw Problem(
        .stillRunning, "The request that was sent first with this \(Self.header) is still running.",
        headers: [("Retry-After", "1")])
    }
    return try await response(answer, to: holder.claim, kept)
  }

  private func response(
    _ answer: IdempotencyStore.Answer, to claim: IdempotencyStore.Claim, _ kept: KeptAnswer
  ) async throws -> Response {
    let body = EvidenceVault.Body(owner: claim.apiKey, id: claim.token, bytes: answer.body)
    guard let bytes = try await vault.opened([body])[claim.token] else {
      throw Problem(
        .evidenceKeyUnavailable,
        "The first answer cannot be read here: the master key is not that of this installation.",
        headers: [("Retry-After", "60")])
    }
    guard !bytes.isEmpty, let id = try await reading(bytes, { try kept.missingEvidence(in: bytes) }) else {
      return Response(status: answer.status, headers: answer.headers, body: bytes.isEmpty ? .none : .bytes(bytes))
    }
    guard let stored = try await results.result(id) else { throw Problem.contentGone(of: id) }
    let whole = try await reading(bytes, { try kept.bytes(bytes, filledFrom: stored) })
    // The same as then, unless the evidence was erased since.
    let headers = answer.headers.map { $0.name == "ETag" ? ($0.name, entityTag(of: whole)) : $0 }
    return Response(status: answer.status, headers: headers, body: .bytes(whole))
  }

  private func reading<Value: Sendable>(
    _ bytes: [UInt8], _ work: @Sendable @escaping () throws -> Value
  ) async throws -> Value {
    if bytes.count < RiskService.ownThreadBytesMin { return try work() }
    return try await withTaskExecutorPreference(reader) { try work() }
  }

  private func perform(
    _ request: Request, _ claim: IdempotencyStore.Claim, _ kept: KeptAnswer,
    _ work: @Sendable () async throws -> Response
  ) async throws -> Response {
    let renewal = Task {
      while !Task.isCancelled {
        try await Task.sleep(for: .seconds(IdempotencyStore.renewalSeconds))
        try? await store.renew(claim)
      }
    }
    defer { renewal.cancel() }
    let response: Response
    do {
      response = try await work()
    } catch {
      guard let problem = error as? Problem ?? Problem.rendering(error), Self.isFinal(problem.kind.status) else {
        await Self.shielded { try await store.release(claim) }
        throw error
      }
      response = problem.response(instance: request.id)
    }
    await Self.shielded {
      guard Self.isFinal(response.status) else { return try await store.release(claim) }
      let answered = Self.bytes(of: response)
      let bytes = try await reading(answered) { try kept.bytes(keptOf: answered, response.headers) }
      let body = EvidenceVault.Body(owner: claim.apiKey, id: claim.token, bytes: bytes)
      try await store.keep(
        response.status, response.headers, bytes.isEmpty ? [] : try await vault.sealed(body), for: claim)
    }
    return response
  }

  /// Whether sending the same again would come to the same.
  private static func isFinal(_ status: Int) -> Bool { 200..<300 ~= status || status == 409 || status == 422 }

  /// Also when the request was given up: what was done is done. A failure leaves the claim to run out.
  private static func shielded(_ work: @escaping @Sendable () async throws -> Void) async {
    await Task { try? await work() }.value
  }

  /// 1 to 255 visible ASCII characters.
  private static func key(_ headers: Headers) throws(JSONFault) -> String {
    let sent = headers.all(header)
    guard sent.count == 1, 1...255 ~= sent[0].utf8.count, sent[0].utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
      throw JSONFault(pointer: header, detail: "must be sent once and be 1 to 255 visible ASCII characters")
    }
    return sent[0]
  }

  private func digest(of texts: [String], _ body: [UInt8]) async -> [UInt8] {
    if body.count < RiskService.ownThreadBytesMin { return code(texts, body) }
    return await withTaskExecutorPreference(reader) { code(texts, body) }
  }

  private func code(_ texts: [String], _ body: [UInt8] = []) -> [UInt8] {
    var fields = FieldHasher()
    for text in texts { fields.add(text) }
    fields.add(body)
    return Array(HMAC<SHA256>.authenticationCode(for: fields.bytes, using: digestKey))
  }

  private static func bytes(of response: Response) -> [UInt8] {
    switch response.body {
    // What is streamed is read, and reads take no key.
    case .none, .stream: []
    case .bytes(let bytes): bytes
    case .prepared(let prepared): prepared.body
    }
  }
}
