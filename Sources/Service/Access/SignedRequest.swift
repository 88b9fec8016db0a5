import HTTPServer
import JSON

extension Problem.Kind {
  static let invalidSignature = Problem.Kind(
    code: "invalid-signature", status: 401, title: "The signature of the request is not valid",
    explanation:
      "The request has no key or token but a signature (RFC 9421), and that does not prove which source sends it. "
      + "`errors` names every fault with the name of a header. The guide for authors of scanners says what has to be "
      + "covered; without `Signature` and `Signature-Input` a key with `results:write` will do.")
}

/// A request that is signed in the place of having a key, with all that is demanded of its head.
struct SignedRequest {
  let keyID: Identifier
  /// What the body has to match, which is not there yet.
  let digest: ContentDigest
  private let signature: [UInt8]
  private let base: [UInt8]

  /// How far the sender's clock may be from ours: for as long a request that somebody else got hold of can be sent
  /// again, which changes nothing, since results have an identity.
  static let ageSecondsMax: Int64 = 300

  /// Whether the request means to be authenticated so. With a key the key is what counts.
  static func isMeant(by head: RequestHead) -> Bool {
    head.headers["Authorization"] == nil
      && (head.headers[MessageSignature.inputHeader] != nil || head.headers[MessageSignature.header] != nil)
  }

  /// - Throws: everything that is wrong before the key is looked up.
  init(_ head: RequestHead, now: Instant) throws(JSONFaults) {
    var faults: [JSONFault] = []
    var digest: ContentDigest?
    do throws(JSONFault) { digest = try ContentDigest(head.headers) } catch { faults.append(error) }
    let signature: MessageSignature
    do throws(JSONFaults) { signature = try MessageSignature(head.headers) } catch {
      throw JSONFaults(error.faults + faults)
    }
    let required = ["@method", "@path", "content-digest"] + (head.rawQuery == nil ? [] : ["@query"])
    for name in required where !signature.components.contains(name) {
      faults.append(Self.fault("does not cover \(name)"))
    }
    var base: [UInt8] = []
    do throws(JSONFaults) { base = try signature.base(of: head) } catch { faults += error.faults }
    let keyID = Self.keyID(signature.parameters, now: now, &faults)
    guard faults.isEmpty, let digest, let keyID else { throw JSONFaults(faults) }
    self.keyID = keyID
    self.digest = digest
    self.signature = signature.value
    self.base = base
  }

  private static func fault(_ detail: String) -> JSONFault {
    JSONFault(pointer: MessageSignature.inputHeader, detail: detail)
  }

  /// Checks the parameters (section 2.3).
  private static func keyID(
    _ parameters: [StructuredField.Parameter], now: Instant, _ faults: inout [JSONFault]
  ) -> Identifier? {
    let seconds = now.milliseconds / 1000
    var keyID: Identifier?
    for parameter in parameters {
      switch (parameter.name, parameter.value) {
      case ("created", .integer(let created)):
        if abs(created - seconds) > ageSecondsMax {
          faults.append(
            fault("was created more than \(ageSecondsMax) seconds before or after \(seconds), the service's time"))
        }
      case ("expires", .integer(let expires)): if expires <= seconds { faults.append(fault("has expired")) }
      case ("keyid", .string(let id)):
        keyID = Identifier(parsing: id)
        if keyID == nil { faults.append(fault("has a keyid that is not the id of a signing key")) }
      case ("alg", .string(let algorithm)):
        if algorithm != "ed25519" { faults.append(fault("has another alg than ed25519")) }
      case ("nonce", .string), ("tag", .string): break
      default: faults.append(fault("has a parameter that is not known here or of another type: \(parameter)"))
      }
    }
    for name in ["created", "keyid"] where !parameters.contains(where: { $0.name == name }) {
      faults.append(fault("has no \(name)"))
    }
    return keyID
  }

  /// Whether the key's owner signed it.
  func isSigned(with key: SigningKey) -> Bool { key.publicKey.isValid(signature, of: base) }

  static func problem(_ faults: [JSONFault]) -> Problem {
    let count = faults.count == 1 ? "One fault" : "\(faults.count) faults"
    return Problem(
      .invalidSignature, "\(count), listed in `errors`.", faults: faults,
      headers: [("WWW-Authenticate", "Bearer realm=\"relayrisk\"")])
  }

  static let unknownKey = problem([fault("names a key that is not known or was revoked")])
  static let wrongSignature = problem([
    JSONFault(pointer: MessageSignature.header, detail: "is not the key's signature of this request")
  ])
  static let wrongDigest = problem([
    JSONFault(pointer: ContentDigest.header, detail: "is not the digest of the body as it was received")
  ])
}
