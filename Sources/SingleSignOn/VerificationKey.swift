import JSON
import JWTKit

/// A public key that signatures are checked with. Which algorithm it is for is the key's to say, never the token's.
struct VerificationKey: Sendable {
  let algorithm: SigningAlgorithm
  private let verifier: any JWTAlgorithm

  /// Beyond this a single check takes long.
  private static let rsaModulusBytesMax = 1024

  /// A JSON Web Key (RFC 7517).
  /// - Returns: nil for a key of another kind or use, of which an issuer may have some, and for one that is none.
  init?(_ key: JSONObject) async {
    if let use = key["use"], use != .string("sig") { return nil }
    if let operations = key["key_ops"] {
      guard case .array(let operations) = operations, operations.contains(.string("verify")) else { return nil }
    }
    guard let (algorithm, publicKey) = Self.publicKey(key) else { return nil }
    if let named = key["alg"], named != .string(algorithm.rawValue) { return nil }
    // A collection of one key: who picks among several is `KeySet`, which never falls back to a default.
    guard let collection = try? await JWTKeyCollection().add(jwk: publicKey),
      let verifier = try? await collection.getKey(for: Self.identifier)
    else { return nil }
    self.algorithm = algorithm
    self.verifier = verifier
  }

  private static let identifier = JWKIdentifier(string: "key")

  /// The public members alone, which are read more strictly here than JWTKit does: each value has one text, and no key
  /// is larger than it has to be.
  private static func publicKey(_ key: JSONObject) -> (SigningAlgorithm, JWK)? {
    func text(_ name: String, bytes lengths: ClosedRange<Int>) -> String? {
      guard case .string(let text) = key[name], let bytes = Base64URL.decode(text), lengths ~= bytes.count else {
        return nil
      }
      return text
    }
    switch (key["kty"], key["crv"]) {
    case (.string("RSA"), _):
      // At least 2,048 bits, or JWTKit refuses it.
      guard let n = text("n", bytes: 256...rsaModulusBytesMax), let e = text("e", bytes: 1...8) else { return nil }
      return (.rs256, .rsa(.rs256, identifier: identifier, modulus: n, exponent: e))
    case (.string("EC"), .string("P-256")):
      guard let x = text("x", bytes: 32...32), let y = text("y", bytes: 32...32) else { return nil }
      return (.es256, .ecdsa(.es256, identifier: identifier, x: x, y: y, curve: .p256))
    case (.string("OKP"), .string("Ed25519")):
      guard let x = text("x", bytes: 32...32) else { return nil }
      return (.edDSA, .octetKeyPair(.eddsa, identifier: identifier, x: x, y: nil, curve: .ed25519))
    default: return nil
    }
  }

  func isValid(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    (try? verifier.verify(signature, signs: message)) ?? false
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
  init(_ document: [UInt8]) async throws(KeySetFault) {
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
      guard case .string(let id) = member["kid"], let key = await VerificationKey(member) else { continue }
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
