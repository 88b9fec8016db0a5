import HTTPServer

/// Decides who may pass, before a request's body or parameters are read.
struct Gate: Sendable {
  let keys: KeyRing
  let registry: Registry
  /// Reads what this instance does not know yet; throws when the database cannot be asked.
  let catchUp: @Sendable () async throws -> Void

  /// What came of asking.
  enum Passage {
    case passed(Principal?)
    /// The key is nil where it is none.
    case refused(Problem, Principal?)
    /// The key is not known here; asking again after catching up decides.
    case undecided
  }

  func check(_ head: RequestHead, _ requirement: Requirement) -> Passage {
    if requirement == .open { return .passed(nil) }
    if case .loopbackOr = requirement, head.isLocal { return .passed(nil) }
    guard let text = bearerToken(head) else {
      return .refused(Self.unauthorized("A key is needed: send `Authorization: Bearer rr_...`."), nil)
    }
    switch keys.verify(text) {
    case .unknown: return .undecided
    case .invalid(let detail): return .refused(Self.invalidToken(detail), nil)
    case .valid(let principal): return check(principal, head, requirement)
    }
  }

  private func check(_ principal: Principal, _ head: RequestHead, _ requirement: Requirement) -> Passage {
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
      return .refused(Problem(.forbidden, "The key needs the scope `\(names)`."), principal)
    }
  }

  /// The state of keys and sources in which a request was let pass, taken before it was.
  private struct State {
    let keys, registry: Int
  }

  private func state() -> State { State(keys: keys.generation, registry: registry.generation) }

  /// For how long, and from where, the same request would be let pass again.
  private func reuse(_ state: State, _ principal: Principal?, _ requirement: Requirement) -> Reuse? {
    // One that is given again is not counted.
    if principal?.meter != nil { return nil }
    var isForOnePeer = principal?.addressRanges.isEmpty == false
    if case .loopbackOr = requirement { isForOnePeer = true }
    let expiresAt = principal?.expiresAt
    return Reuse(forOnePeer: isForOnePeer) { [keys, registry] in
      keys.generation == state.keys && registry.generation == state.registry
        && expiresAt.map { !keys.isPast($0) } != false
    }
  }

  /// Wraps a handler so that it runs only for whom the requirement lets pass.
  /// - Parameter admit: is told how far an answer may be given again; nil for not at all.
  func admission(
    _ requirement: Requirement, _ admit: @escaping @Sendable (RequestHead, Principal?, Reuse?) -> Admission
  ) -> @Sendable (RequestHead) -> Admission {
    { head in
      let state = state()
      switch check(head, requirement) {
      case .passed(let principal):
        return metered(principal) { admit(head, principal, reuse(state, principal, requirement)) }
      case .refused(let problem, let principal): return metered(principal) { .refuse(problem) }
      case .undecided:
        return .later {
          do {
            try await catchUp()
          } catch {
            return .refuse(
              Problem(.databaseUnavailable, "The key cannot be verified now.", headers: [("Retry-After", "1")]))
          }
          let state = self.state()
          switch check(head, requirement) {
          case .passed(let principal):
            return metered(principal) { admit(head, principal, reuse(state, principal, requirement)) }
          case .refused(let problem, let principal): return metered(principal) { .refuse(problem) }
          case .undecided: return .refuse(Self.invalidToken(KeyRing.invalid))
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
