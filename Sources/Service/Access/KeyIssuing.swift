import HTTPServer

/// Makes keys, for the API and the command alike.
struct KeyIssuing {
  let parts: RiskService.Parts

  static let overlapSecondsRange = 0...30 * 86_400
  static let overlapSecondsDefault = 86_400

  /// - Returns: the key and its text, which is nowhere else from now on.
  func create(
    name: String, scopes: [Scope], source: Source?, limits: KeyLimits, by author: Author
  ) async throws -> (key: APIKey, text: String) {
    let now = parts.clock.now()
    let id = parts.identifiers.next(at: now)
    let (text, hash) = PresentedKey.make(id: id)
    let key = APIKey(
      id: id, name: name, scopes: scopes, sourceID: source?.id, secretHash: hash, createdAt: now, limits: limits)
    try await parts.keys.insert(key, by: author)
    return (key, text)
  }

  /// What became of a rotation.
  struct Rotation: Sendable {
    let successor: APIKey
    /// Of the successor; it is nowhere else from now on.
    let text: String
    let former: APIKey
  }

  /// Makes a key with the same rights, and lets the former one end after the overlap, or when it would have anyway.
  /// - Parameter expiresAt: of the successor; nil for as long after now as the former was made for.
  /// - Returns: nil when there is no such key.
  /// - Throws: 409 for a key that is no longer valid or has a successor already.
  func rotate(
    _ id: Identifier, overlapSeconds: Int, expiresAt: Instant?, by author: Author
  ) async throws -> Rotation? {
    let now = parts.clock.now()
    let successorID = parts.identifiers.next(at: now)
    let (text, hash) = PresentedKey.make(id: successorID)
    let end = now + Int64(overlapSeconds) * 1000
    let keys = try await parts.keys.replace(id, by: author, at: now) { former in
      if let holder = former.successorID {
        throw Problem(.conflict, "The key was rotated already: its successor is \(holder).")
      }
      let formerEnd = former.limits.expiresAt
      if former.isRevoked || formerEnd.map({ $0 <= now }) == true {
        throw Problem(.conflict, "The key is \(former.isRevoked ? "revoked" : "expired"): make a new one instead.")
      }
      var limits = former.limits
      limits.expiresAt = expiresAt ?? formerEnd.map { now + ($0.milliseconds - former.createdAt.milliseconds) }
      let successor = APIKey(
        id: successorID, name: former.name, scopes: former.scopes, sourceID: former.sourceID, secretHash: hash,
        createdAt: now, limits: limits)
      return (successor, min(end, formerEnd ?? end))
    }
    return keys.map { Rotation(successor: $0.successor, text: text, former: $0.former) }
  }
}
