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
  /// A peer on the loopback interface, or a key with at least one of the scopes.
  case loopbackOr([Scope])
}

/// Who calls: a key that was verified.
public struct Principal: Sendable {
  public let keyID: Identifier
  public let keyName: String
  public let scopes: Set<Scope>
  /// The one source the key posts for, when it is bound to one.
  public let sourceID: Identifier?
  /// Nil without a quota.
  let meter: KeyMeter?

  public func has(_ scope: Scope) -> Bool { scopes.contains(scope) || scopes.contains(.admin) }

  /// The caller as one who speaks of every source, where nothing is posted for any.
  var ofNoSource: Principal { Principal(keyID: keyID, keyName: keyName, scopes: scopes, sourceID: nil, meter: meter) }
}
