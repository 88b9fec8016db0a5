/// What a key may do; the contract's table.
public enum Scope: String, Sendable, CaseIterable {
  case scoresRead = "scores:read"
  case resultsWrite = "results:write"
  case evidenceRead = "evidence:read"
  case registryWrite = "registry:write"
  case auditRead = "audit:read"
  /// All of it.
  case admin
}

/// What a route asks of its caller.
public enum Requirement: Sendable, Equatable {
  /// Nothing, not even a key.
  case open
  /// Any valid key.
  case anyKey
  /// A key with at least one of the scopes (or `admin`).
  case scopes([Scope])
  /// A client on this machine that asks for itself, or a key with at least one of the scopes.
  case loopbackOr([Scope])
}
