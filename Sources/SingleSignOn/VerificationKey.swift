import Crypto
import CryptoExtras
import JSON

/// A public key that signatures are checked with. Which algorithm it is for is the key's to say, never the token's.
struct VerificationKey: Sendable {
  private enum Material {
    case rsa(_RSA.Signing.PublicKey)
    case p256(P256.Signing.PublicKey)
    case ed25519(Curve25519.Signing.PublicKey)
  }

  let algorithm: SigningAlgorithm
  private let material: Material

  /// Beyond this a single check takes long.
  private static let rsaModulusBytesMax = 1024

  /// A JSON Web Key (RFC 7517).
  /// - Returns: nil for a key of another kind or use, of which an issuer may have some, and for one that is none.
  init?(_ key: JSONObject) {
    if let use = key["use"], use != .string("sig") { return nil }
    if let operations = key["key_ops"] {
      guard case .array(let operations) = operations, operations.contains(.string("verify")) else { return nil }
    }
    guard let material = Self.material(key) else { return nil }
    self.material = material
    algorithm =
      switch material {
      case .rsa: .rs256
      case .p256: .es256
      case .ed25519: .edDSA
      }
    if let named = key["alg"], named != .string(algorithm.rawValue) { return nil }
  }

  private static func material(_ key: JSONObject) -> Material? {
    func bytes(_ name: String) -> [UInt8]? {
      guard case .string(let text) = key[name] else { return nil }
      return Base64URL.decode(text)
    }
    switch (key["kty"], key["crv"]) {
    case (.string("RSA"), _):
      // At least 2,048 bits, or it is refused.
      guard let n = bytes("n"), let e = bytes("e"), n.count <= rsaModulusBytesMax, e.count <= 8 else { return nil }
      return (try? _RSA.Signing.PublicKey(n: n, e: e)).map(Material.rsa)
    case (.string("EC"), .string("P-256")):
      guard let x = bytes("x"), let y = bytes("y"), x.count == 32, y.count == 32 else { return nil }
      return (try? P256.Signing.PublicKey(x963Representation: [4] + x + y)).map(Material.p256)
    case (.string("OKP"), .string("Ed25519")):
      guard let x = bytes("x") else { return nil }
      return (try? Curve25519.Signing.PublicKey(rawRepresentation: x)).map(Material.ed25519)
    default: return nil
    }
  }

  func isValid(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    switch material {
    case .rsa(let key):
      key.isValidSignature(
        _RSA.Signing.RSASignature(rawRepresentation: signature), for: SHA256.hash(data: message),
        padding: .insecurePKCS1v1_5)
    case .p256(let key):
      (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map {
        key.isValidSignature($0, for: SHA256.hash(data: message))
      } ?? false
    case .ed25519(let key): key.isValidSignature(signature, for: message)
    }
  }
}

/// The keys of an issuer that can be used here, by their ids.
struct KeySet: Sendable {
  private let keys: [String: [VerificationKey]]

  private static let keysCountMax = 100

  static let none = KeySet(keys: [:])

  private init(keys: [String: [VerificationKey]]) { self.keys = keys }

  /// - Parameter document: a JSON Web Key Set.
  /// - Throws: why it is none, or has no key that can be used.
  init(_ document: [UInt8]) throws(KeySetFault) {
    let (value, faults): (JSONValue, [JSONFault])
    do throws(JSONSyntaxError) {
      (value, faults) = try JSONReader.read(document)
    } catch {
      throw KeySetFault("it is not JSON: \(error)")
    }
    if let fault = faults.first { throw KeySetFault("\(fault.pointer) \(fault.detail)") }
    guard case .object(let object) = value, case .array(let listed) = object["keys"] else {
      throw KeySetFault("it has no array of keys")
    }
    guard listed.count <= Self.keysCountMax else { throw KeySetFault("it has more than \(Self.keysCountMax) keys") }
    var keys: [String: [VerificationKey]] = [:]
    for case .object(let member) in listed {
      guard case .string(let id) = member["kid"], let key = VerificationKey(member) else { continue }
      // Of keys of different kinds (RFC 7517, 4.5); two of one kind could not be told apart.
      guard keys[id]?.contains(where: { $0.algorithm == key.algorithm }) != true else {
        throw KeySetFault("two keys for \(key.algorithm.rawValue) have the id \(id)")
      }
      keys[id, default: []].append(key)
    }
    if keys.isEmpty {
      let names = SigningAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
      throw KeySetFault("it has no key with an id for one of \(names)")
    }
    self.keys = keys
  }

  /// Empty when the id is not known.
  func keys(_ id: String) -> [VerificationKey] { keys[id] ?? [] }
}

/// Why keys of an issuer cannot be had.
public struct KeySetFault: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}
