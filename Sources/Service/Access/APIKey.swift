import Crypto

/// A key as it is stored: everything but its secret.
public struct APIKey: Sendable, Equatable {
  public let id: Identifier
  public let name: String
  public let scopes: [Scope]
  public let sourceID: Identifier?
  public let secretHash: [UInt8]
  public let createdAt: Instant
  public var revokedAt: Instant?
  public var quota: KeyQuota

  public var isRevoked: Bool { revokedAt != nil }
}

/// The text of a key, `rr_<id>_<secret>`, taken apart.
struct PresentedKey {
  let id: Identifier
  let secretHash: [UInt8]

  /// Nil for anything that is no key of this service.
  init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "rr", let id = Identifier(parsing: String(parts[1])),
      parts[2].utf8.count == Self.secretDigits
    else { return nil }
    self.id = id
    secretHash = Self.hash(String(parts[2]))
  }

  /// 256 bits in hexadecimal: no `_`, nothing a shell or URL would change.
  private static let secretDigits = 64

  static func hash(_ secret: String) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }

  /// A fresh key's text and what is stored of it.
  static func make(id: Identifier) -> (text: String, secretHash: [UInt8]) {
    // SystemRandomNumberGenerator reads getrandom(2).
    let secret = (0..<4).map { _ in
      let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
      return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }.joined()
    return ("rr_\(id)_\(secret)", hash(secret))
  }
}
