import Crypto
import HTTPServer
import JSON
import Synchronization

/// An Ed25519 key that a source signs with: its public half.
struct SigningKey: Sendable {
  let id: Identifier
  let sourceID: Identifier
  let name: String
  let publicKey: PublicKey
  let createdAt: Instant
  var revokedAt: Instant?

  struct PublicKey: Sendable, Equatable {
    let rawRepresentation: [UInt8]
    /// What stands before the 32 bytes of the key in DER: a SubjectPublicKeyInfo of id-Ed25519 (RFC 8410, section 4).
    private static let derPrefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
    private static let begin = "-----BEGIN PUBLIC KEY-----"
    private static let end = "-----END PUBLIC KEY-----"

    /// - Parameter rawRepresentation: 32 bytes.
    init(rawRepresentation: [UInt8]) { self.rawRepresentation = rawRepresentation }

    /// - Parameter field: PEM, as `openssl pkey -pubout` prints it.
    init(_ field: JSONField) throws {
      let lines = try field.string(bytesMin: 1, bytesMax: 1_000).split(whereSeparator: \.isNewline)
      guard lines.first == Substring(Self.begin), lines.last == Substring(Self.end),
        let der = Base64.decode(Array(lines.dropFirst().dropLast().joined().utf8)), der.starts(with: Self.derPrefix),
        der.count == Self.derPrefix.count + 32
      else { throw field.fault("must be an Ed25519 public key in PEM, as `openssl pkey -pubout` prints it") }
      rawRepresentation = Array(der.dropFirst(Self.derPrefix.count))
    }

    var pem: String {
      "\(Self.begin)\n\(Base64.encode(Self.derPrefix + rawRepresentation))\n\(Self.end)\n"
    }

    func isValid(_ signature: [UInt8], of message: [UInt8]) -> Bool {
      guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: rawRepresentation) else { return false }
      return key.isValidSignature(signature, for: message)
    }
  }

  func write(to json: inout JSONWriter) { json.object { writeMembers(to: &$0) } }

  func writeMembers(to json: inout JSONWriter) {
    json.member("id", id.description)
    json.member("name", name)
    json.member("public_key", publicKey.pem)
    json.member("created_at", createdAt.rfc3339)
    json.member("revoked_at", revokedAt?.rfc3339)
  }
}

/// The signing keys in memory, so that checking a signature waits for nothing.
final class SigningKeyRing: Sendable {
  private let keys = Mutex<[Identifier: SigningKey]>([:])

  /// Takes over the keys as they are stored now.
  func replace(with stored: [SigningKey]) {
    let byID = Dictionary(uniqueKeysWithValues: stored.map { ($0.id, $0) })
    keys.withLock { $0 = byID }
  }

  /// Revoked ones too.
  subscript(_ id: Identifier) -> SigningKey? { keys.withLock { $0[id] } }
}
