import HTTPServer
import JSON

/// Decides who may pass, before a request's body or parameters are read.
struct Gate: Sendable {
  let keys: KeyRing
  /// Nil without single sign-on.
  let tokens: TokenRing?
  let signingKeys: SigningKeyRing
  let registry: Registry
  let clock: Clock
  /// Reads what this instance does not know yet; throws when the database cannot be asked.
  let catchUp: @Sendable () async throws -> Void

  /// What came of asking.
  enum Passage {
    /// Of a signed request the body has to have this digest.
    case passed(Principal?, ContentDigest? = nil)
    /// The key is nil where it is none.
    case refused(Problem, Principal?)
    /// It is not known here; asking again after `settle` decides, which throws what to answer when it cannot.
    case undecided(settle: @Sendable () async throws(Problem) -> Void, Problem)
  }

  func check(_ head: RequestHead, _ requirement: Requirement, takesSignature: Bool) -> Passage {
    if requirement == .open { return .passed(nil) }
    if takesSignature, SignedRequest.isMeant(by: head) { return checkSignature(head, requirement) }
    if case .loopbackOr = requirement, head.isLocal { return .passed(nil) }
    guard let text = bearerToken(head) else {
      let what = tokens == nil ? "A key" : "A key or a token"
      return .refused(Self.unauthorized("\(what) is needed: send `Authorization: Bearer rr_...`."), nil)
    }
    if let tokens, !PresentedKey.isMeant(by: text) {
      return passage(
        tokens.verify(text), head, requirement,
        unknown: .undecided(
          settle: { () throws(Problem) in try await tokens.settle() },
          Self.invalidToken("The token is signed with a key that the issuer does not have.")))
    }
    return passage(
      keys.verify(text), head, requirement, unknown: .undecided(settle: settleKey, Self.invalidToken(KeyRing.invalid)))
  }

  private func checkSignature(_ head: RequestHead, _ requirement: Requirement) -> Passage {
    let request: SignedRequest
    do throws(JSONFaults) {
      request = try SignedRequest(head, now: clock.now())
    } catch {
      return .refused(SignedRequest.problem(error.faults), nil)
    }
    guard let key = signingKeys[request.keyID] else {
      return .undecided(settle: settleKey, SignedRequest.unknownKey)
    }
    guard key.revokedAt == nil else { return .refused(SignedRequest.unknownKey, nil) }
    guard request.isSigned(with: key) else { return .refused(SignedRequest.wrongSignature, nil) }
    let passage = check(Principal(key), head, requirement)
    if case .passed(let principal, _) = passage { return .passed(principal, request.digest) }
    return passage
  }

  private func passage(
    _ verdict: Principal.Verdict, _ head: RequestHead, _ requirement: Requirement,
    unknown: @autoclosure () -> Passage
  ) -> Passage {
    switch verdict {
    case .unknown: return unknown()
    case .invalid(let detail): return .refused(Self.invalidToken(detail), nil)
    case .valid(let principal): return check(principal, head, requirement)
    }
  }

  @Sendable private func settleKey() async throws(Problem) {
    do {
      try await catchUp()
    } catch {
      throw Problem(.databaseUnavailable, "The key cannot be verified now.", headers: [("Retry-After", "1")])
    }
  }

  private func check(_ principal: Principal, _ head: RequestHead, _ requirement: Requirement) -> Passage {
    if principal.scopes.isEmpty {
      return .refused(Problem(.forbidden, "None of the token's roles gives a scope."), principal)
    }
    guard principal.maySend(from: head.peer) else {
      return .refused(Problem(.forbidden, "The key may not be used from \(head.peer.address)."), principal)
    }
    keys.noteUse(by: principal)
    if let sourceID = principal.sourceID, registry.source(id: sourceID)?.status == .suspended {
      return .refused(Problem(.forbidden, "The source that this key posts for is suspended."), principal)
    }
    switch requirement {
    case .open, .anyKey: return .passed(principal)
    case .scopes(let scopes), .loopbackOr(let scopes):
      if scopes.contains(where: principal.has) { return .passed(principal) }
      let names = scopes.map(\.rawValue).joined(separator: "` or `")
      return .refused(
        Problem(.forbidden, "The \(principal.subject == nil ? "key" : "token") needs the scope `\(names)`."), principal)
    }
  }

  /// The state of keys and sources in which a request was let pass, taken before it was.
  private struct State: Equatable {
    let keys, tokens, registry: Int
  }

  private func state() -> State {
    State(keys: keys.generation, tokens: tokens?.generation ?? 0, registry: registry.generation)
  }

  /// For how long, and from where, the same request would be let pass again.
  private func reuse(_ state: State, _ principal: Principal?, _ requirement: Requirement) -> Reuse? {
    // One that is given again is not counted.
    if principal?.meter != nil { return nil }
    var isForOnePeer = principal?.addressRanges.isEmpty == false
    if case .loopbackOr = requirement { isForOnePeer = true }
    let expiresAt = principal?.expiresAt
    return Reuse(forOnePeer: isForOnePeer) { [self] in
      self.state() == state && expiresAt.map { !keys.isPast($0) } != false
    }
  }

  /// Wraps a handler so that it runs only for whom the requirement lets pass.
  /// - Parameter admit: is told how far an answer may be given again; nil for not at all.
  func admission(
    _ requirement: Requirement, takesSignature: Bool,
    _ admit: @escaping @Sendable (RequestHead, Principal?, Reuse?) -> Admission
  ) -> @Sendable (RequestHead) -> Admission {
    { head in
      let state = state()
      @Sendable func admitted(_ principal: Principal?, _ digest: ContentDigest?, _ state: State) -> Admission {
        let admission = metered(principal) { admit(head, principal, reuse(state, principal, requirement)) }
        guard let digest else { return admission }
        return .checking(
          { body throws(Problem) in if !digest.matches(body) { throw SignedRequest.wrongDigest } }, admission)
      }
      switch check(head, requirement, takesSignature: takesSignature) {
      case .passed(let principal, let digest): return admitted(principal, digest, state)
      case .refused(let problem, let principal): return metered(principal) { .refuse(problem) }
      case .undecided(let settle, let refusal):
        return .later {
          do throws(Problem) {
            try await settle()
          } catch {
            return .refuse(error)
          }
          let state = self.state()
          switch check(head, requirement, takesSignature: takesSignature) {
          case .passed(let principal, let digest): return admitted(principal, digest, state)
          case .refused(let problem, let principal): return metered(principal) { .refuse(problem) }
          case .undecided: return .refuse(refusal)
          }
        }
      }
    }
  }

  /// Counts the request of a key that has a quota, and lets its answer say what is left.
  private func metered(_ principal: Principal?, _ admission: () -> Admission) -> Admission {
    guard let meter = principal?.meter else { return admission() }
    do {
      try meter.takeRequest()
      return .noting(meter.headers, admission())
    } catch {
      return .noting(meter.headers, .refuse(error))
    }
  }

  private func bearerToken(_ head: RequestHead) -> String? {
    guard let header = head.headers["Authorization"] else { return nil }
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
    return String(parts[1])
  }

  private static func unauthorized(_ detail: String, error: String = "") -> Problem {
    Problem(.unauthorized, detail, headers: [("WWW-Authenticate", "Bearer realm=\"relayrisk\"\(error)")])
  }

  /// As RFC 6750 has it, section 3.1.
  private static func invalidToken(_ detail: String) -> Problem {
    unauthorized(detail, error: ", error=\"invalid_token\"")
  }
}
