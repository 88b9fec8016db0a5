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
    if case .loopbackOr = requirement, head.peer.isLoopback { return .passed(nil) }
    guard let text = bearerToken(head) else {
      return .refused(Self.unauthorized("A key is needed: send `Authorization: Bearer rr_...`."), nil)
    }
    switch keys.verify(text) {
    case .unknown: return .undecided
    case .invalid: return .refused(Self.unauthorized("The key is not valid."), nil)
    case .valid(let principal): return check(principal, requirement)
    }
  }

  private func check(_ principal: Principal, _ requirement: Requirement) -> Passage {
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
  struct Passing: Sendable {
    fileprivate let keys, registry: Int
  }

  private func passing() -> Passing { Passing(keys: keys.generation, registry: registry.generation) }

  /// Whether the same request would be let pass again.
  func stillPasses(_ passing: Passing) -> Bool {
    keys.generation == passing.keys && registry.generation == passing.registry
  }

  /// Wraps a handler so that it runs only for whom the requirement lets pass.
  func admission(
    _ requirement: Requirement, _ admit: @escaping @Sendable (RequestHead, Principal?, Passing) -> Admission
  ) -> @Sendable (RequestHead) -> Admission {
    { head in
      let passing = passing()
      switch check(head, requirement) {
      case .passed(let principal): return metered(principal) { admit(head, principal, passing) }
      case .refused(let problem, let principal): return metered(principal) { .refuse(problem) }
      case .undecided:
        return .later {
          do {
            try await catchUp()
          } catch {
            return .refuse(
              Problem(.databaseUnavailable, "The key cannot be verified now.", headers: [("Retry-After", "1")]))
          }
          let passing = self.passing()
          switch check(head, requirement) {
          case .passed(let principal): return metered(principal) { admit(head, principal, passing) }
          case .refused(let problem, let principal): return metered(principal) { .refuse(problem) }
          case .undecided: return .refuse(Self.unauthorized("The key is not valid."))
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

  private static func unauthorized(_ detail: String) -> Problem {
    Problem(.unauthorized, detail, headers: [("WWW-Authenticate", "Bearer realm=\"relayrisk\"")])
  }
}
