import JSON

/// A JSON Web Token as it was sent (RFC 7519, in the compact form of RFC 7515), taken apart and not believed.
struct SignedToken {
  let algorithm: SigningAlgorithm
  let keyID: String
  let signature: [UInt8]
  /// What is signed.
  let message: [UInt8]
  /// Not looked at before the signature is.
  private let payload: Substring

  static let bytesMax = 8 * 1024

  /// - Throws: why it can be no token for us, before anything is computed.
  init(_ text: String) throws(TokenFault) {
    guard text.utf8.count <= Self.bytesMax else { throw TokenFault("is longer than \(Self.bytesMax) bytes") }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw .notAToken }
    let header = try Self.object(parts[0])
    guard case .string(let name) = header["alg"], let algorithm = SigningAlgorithm(rawValue: name) else {
      let names = SigningAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
      throw TokenFault("is not signed with one of \(names)")
    }
    // Extensions that have to be understood, and none is (RFC 7515, 4.1.11).
    if header["crit"] != nil { throw TokenFault("demands extensions") }
    guard Self.isTyped(header["typ"]) else { throw TokenFault("is of another type") }
    guard case .string(let keyID) = header["kid"], !keyID.isEmpty else { throw TokenFault("does not name its key") }
    guard let signature = Base64URL.decode(parts[2]), !signature.isEmpty else { throw .notAToken }
    self.algorithm = algorithm
    self.keyID = keyID
    self.signature = signature
    message = Array(text.utf8.dropLast(parts[2].utf8.count + 1))
    payload = parts[1]
  }

  /// What it says, once its signature was checked.
  func claims() throws(TokenFault) -> JSONObject { try Self.object(payload) }

  private static func object(_ part: Substring) throws(TokenFault) -> JSONObject {
    // A member that is there twice would be another one for another reader.
    guard let bytes = Base64URL.decode(part), let (value, faults) = try? JSONReader.read(bytes), faults.isEmpty,
      case .object(let object) = value
    else { throw .notAToken }
    return object
  }

  /// A token for another purpose, such as logging out, has a type of its own (RFC 8725, 3.11).
  private static func isTyped(_ type: JSONValue?) -> Bool {
    guard let type else { return true }
    guard case .string(let name) = type else { return false }
    return ["jwt", "at+jwt", "application/at+jwt"].contains(name.lowercased())
  }
}

/// What keeps a token from being one of ours: the end of a sentence that begins with "The token".
public struct TokenFault: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }

  static let notAToken = TokenFault("cannot be read")
}
