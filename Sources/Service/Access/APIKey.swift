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
  public var limits: KeyLimits
  /// When a request was last let pass with it, half a minute late; nil for never.
  public var lastUsedAt: Instant?
  /// The key that takes its place, once it was rotated.
  public var successorID: Identifier?

  public var isRevoked: Bool { revokedAt != nil }
}

/// The text of a key, `rr_<id>_<secret>`, taken apart.
///
/// The secret is 256 bits in hexadecimal, no `_` and nothing that a shell or URL would change, and behind it the CRC-32
/// of all that stands before it, so that a mistyped key is told from a wrong one without asking, and scanners for
/// leaked keys have few false alarms. The first keys were made without a checksum: theirs are the shorter secrets.
struct PresentedKey {
  let id: Identifier
  let secretHash: [UInt8]

  enum Fault: Error {
    case notAKey
    case mistyped
  }

  private static let prefix = "rr"
  private static let secretDigits = 64
  private static let checksumDigits = 8

  /// Whether the text means to be a key.
  static func isMeant(by text: String) -> Bool { text.hasPrefix("\(prefix)_") }

  init(_ text: String) throws(Fault) {
    let parts = text.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == Self.prefix, let id = Identifier(parsing: String(parts[1])) else {
      throw .notAKey
    }
    switch parts[2].utf8.count {
    case Self.secretDigits: break
    case Self.secretDigits + Self.checksumDigits:
      let checked = text.utf8.dropLast(Self.checksumDigits)
      guard Self.checksum(checked).utf8.elementsEqual(text.utf8.suffix(Self.checksumDigits)) else { throw .mistyped }
    default: throw .notAKey
    }
    self.id = id
    secretHash = Self.hash(parts[2])
  }

  /// Of the whole secret: without its checksum it is another one.
  private static func hash(_ secret: some StringProtocol) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }

  private static func checksum(_ bytes: some Sequence<UInt8>) -> String {
    hexadecimal(withUnsafeBytes(of: crc32(bytes).bigEndian, Array.init))
  }

  /// A fresh key's text and what is stored of it.
  static func make(id: Identifier) -> (text: String, secretHash: [UInt8]) {
    // SystemRandomNumberGenerator reads getrandom(2).
    let digits = hexadecimal((0..<secretDigits / 2).map { _ in UInt8.random(in: 0...UInt8.max) })
    let secret = digits + checksum("\(prefix)_\(id)_\(digits)".utf8)
    return ("\(prefix)_\(id)_\(secret)", hash(secret))
  }
}

/// The checksum of gzip and zip, bit by bit: a key is short, and checked once.
private func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
  ~bytes.reduce(UInt32.max) { sum, byte in
    (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 1 ? 0xEDB8_8320 : 0) }
  }
}
