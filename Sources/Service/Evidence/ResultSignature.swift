import Crypto
import HTTPServer
import JSON
import Postgres

/// A source's signature of one result: whoever has the public key can verify it later and elsewhere, also when the
/// evidence was redacted or is gone.
///
/// A reference, since results are handed around and most have none.
final class ResultSignature: Sendable {
  let keyID: Identifier
  let publicKey: SigningKey.PublicKey
  /// Ed25519 over `signed`.
  let value: [UInt8]
  /// What is signed, which what is stored beside it could not be turned back into: times, hosts and numbers are stored
  /// in one form, and secrets are not stored at all.
  let signed: String

  static let valueBytes = 64

  init(keyID: Identifier, publicKey: SigningKey.PublicKey, value: [UInt8], signed: String) {
    self.keyID = keyID
    self.publicKey = publicKey
    self.value = value
    self.signed = signed
  }

  /// What a source signs of a result: all that it sends but the signature, with the SHA-256 of the evidence in its
  /// place, both in the one form that RFC 8785 gives them.
  /// - Throws: `JSONFaults`, every number that this form does not hold.
  static func signedBytes(of sent: JSONValue) throws(JSONFaults) -> [UInt8] {
    guard case .object(let object) = sent else { return sent.canonical }
    let members = object.members.filter { $0.name != "signature" }
    var faults: [JSONFault] = []
    inexactNumbers(in: .object(JSONObject(members: members)), at: "", &faults)
    if !faults.isEmpty { throw JSONFaults(faults) }
    let signed = members.map { member in
      guard member.name == "evidence", case .object = member.value else { return member }
      return (member.name, .string(hexadecimal(SHA256.hash(data: member.value.canonical))))
    }
    return JSONValue.object(JSONObject(members: signed)).canonical
  }

  /// Numbers are doubles there, and of a large integer the last digits would not be signed.
  private static func inexactNumbers(in value: JSONValue, at pointer: String, _ faults: inout [JSONFault]) {
    switch value {
    case .number(let number):
      let isInteger = !number.lexeme.utf8.contains { ".eE".utf8.contains($0) }
      guard !number.double.isFinite || isInteger && number.double.magnitude > 9_007_199_254_740_991 else { return }
      if faults.count < JSONFaults.countMax {
        faults.append(JSONFault(pointer: pointer, detail: "is no number that RFC 8785 can sign; a string can be"))
      }
    case .array(let values):
      for (index, value) in values.enumerated() { inexactNumbers(in: value, at: "\(pointer)/\(index)", &faults) }
    case .object(let object):
      for member in object.members { inexactNumbers(in: member.value, at: jsonPointer(pointer, member.name), &faults) }
    case .null, .bool, .string: break
    }
  }

  /// Reads the columns of a row; nil for a result that is not signed.
  static func decode(_ row: inout Row) throws -> ResultSignature? {
    let keyID = try row.next(Identifier?.self)
    let publicKey = try row.next([UInt8]?.self)
    let value = try row.next([UInt8]?.self)
    let signed = try row.next(String?.self)
    guard let keyID, let publicKey, let value, let signed else { return nil }
    return ResultSignature(
      keyID: keyID, publicKey: SigningKey.PublicKey(rawRepresentation: publicKey), value: value, signed: signed)
  }

  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("keyid", keyID.description)
      json.member("value", Base64.encode(value))
      json.member("signed", signed)
      json.member("public_key", publicKey.pem)
    }
  }
}

extension ProbeResultDecoder {
  /// The member `signature`, verified.
  /// - Parameters:
  ///   - sent: the result as it was sent.
  ///   - source: nil when that has a fault.
  /// - Returns: nil when there is none, or with a fault.
  func verifiedSignature(
    _ fields: inout JSONFields, of sent: JSONValue, by source: Source?, note: String?, evidence: JSONValue?
  ) -> ResultSignature? {
    let signature = fields.optional("signature") { field in
      let (key, value) = try field.object { fields in
        let key = fields.required("keyid") { try signingKey($0, of: source) }
        let value = fields.required("value", Self.signatureValue)
        try fields.finish()
        return (key!, value!)
      }
      let signed = try ResultSignature.signedBytes(of: sent)
      guard key.publicKey.isValid(value, of: signed) else {
        // Who made another text than the service can tell so by its hash.
        let hash = hexadecimal(SHA256.hash(data: signed))
        throw JSONFault(
          pointer: field.pointer + "/value",
          detail: "is not the key's signature of what is signed of this result, which has the SHA-256 \(hash)")
      }
      return ResultSignature(
        keyID: key.id, publicKey: key.publicKey, value: value, signed: String(decoding: signed, as: UTF8.self))
    }
    guard let signature, case .object(let sent) = sent else { return nil }
    if let note, Redactor.finds(in: note, beside: evidence) { fields.fault("note", Self.signedSecret) }
    // What is stored has no query.
    if case .string(let target)? = sent["target"], let query = target.firstIndex(where: { "?#".contains($0) }),
      Redactor.finds(in: String(target[query...]), beside: evidence)
    {
      fields.fault("target", Self.signedSecret)
    }
    return signature
  }

  private static let signedSecret =
    "holds what is known as a secret, and what is signed is kept and shown as it is: leave the secret out"

  private func signingKey(_ field: JSONField, of source: Source?) throws -> SigningKey {
    guard let id = Identifier(parsing: try field.string()), let key = signingKeys[id],
      source.map({ $0.id == key.sourceID }) ?? true
    else { throw field.fault("is the id of no signing key of the source") }
    guard key.revokedAt == nil else { throw field.fault("is the id of a signing key that was revoked") }
    return key
  }

  private static func signatureValue(_ field: JSONField) throws -> [UInt8] {
    guard let bytes = Base64.decode(try field.string().utf8), bytes.count == ResultSignature.valueBytes else {
      throw field.fault("must be the \(ResultSignature.valueBytes) bytes of an Ed25519 signature in base64")
    }
    return bytes
  }
}
