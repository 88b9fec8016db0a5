import HTTPServer
import SingleSignOn

/// Who calls: a key, a token or a signature that was verified.
public struct Principal: Sendable {
  /// The key's id; of a token one made of issuer and subject, the same for all of their tokens.
  public let keyID: Identifier
  public let keyName: String
  /// The subject of a token; nil for a key.
  let subject: String?
  public let scopes: Set<Scope>
  /// The one source the key posts for, when it is bound to one.
  public private(set) var sourceID: Identifier?
  /// From then on it is nobody's any more; nil for never.
  let expiresAt: Instant?
  /// Where it may be used from; empty for anywhere.
  let addressRanges: [AddressRange]
  /// Nil for a token or a signature.
  let use: KeyUse?
  /// Nil without a quota.
  let meter: KeyMeter?

  init(_ key: APIKey, use: KeyUse, meter: KeyMeter?) {
    keyID = key.id
    keyName = key.name
    subject = nil
    scopes = Set(key.scopes)
    sourceID = key.sourceID
    expiresAt = key.limits.expiresAt
    addressRanges = key.limits.addressRanges
    self.use = use
    self.meter = meter
  }

  /// A token is bound to no source, and good from anywhere.
  init(_ token: VerifiedToken, id: Identifier, scopes: Set<Scope>) {
    keyID = id
    keyName = token.name ?? token.subject
    subject = token.subject
    self.scopes = scopes
    sourceID = nil
    expiresAt = Instant(milliseconds: token.expiresAt)
    addressRanges = []
    use = nil
    meter = nil
  }

  /// Who signs may post for its source, and nothing else.
  init(_ key: SigningKey) {
    keyID = key.id
    keyName = key.name
    subject = nil
    scopes = [.resultsWrite]
    sourceID = key.sourceID
    expiresAt = nil
    addressRanges = []
    use = nil
    meter = nil
  }

  /// What a credential proved to be.
  enum Verdict {
    case valid(Principal)
    /// Why, for its sender.
    case invalid(String)
    /// Nothing is known here by that name; it may be newer than what this instance has read.
    case unknown
  }

  public func has(_ scope: Scope) -> Bool { scopes.contains(scope) || scopes.contains(.admin) }

  /// Whether it may call from there; from an address that is not known only when it may from anywhere.
  func maySend(from peer: Peer) -> Bool {
    if addressRanges.isEmpty { return true }
    guard let address = peer.ip else { return false }
    return addressRanges.contains { $0.contains(address) }
  }

  func isExpired(at now: Instant) -> Bool { expiresAt.map { now >= $0 } ?? false }

  /// The caller as one who speaks of every source, where nothing is posted for any.
  var ofNoSource: Principal {
    var principal = self
    principal.sourceID = nil
    return principal
  }

  /// How the caller stands in what is recorded of a change.
  public var auditName: String {
    guard let subject else { return "key:\(keyID)" }
    return keyName == subject ? "oidc:\(subject)" : "oidc:\(subject) (\(keyName))"
  }
}
