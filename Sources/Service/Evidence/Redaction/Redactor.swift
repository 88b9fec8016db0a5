import Crypto
import JSON

/// Replaces secrets in what a scanner sends beside its finding, before it is stored.
///
/// What replaces one is `[redacted:<kind>:<fingerprint>]`: 16 hexadecimal digits of an HMAC-SHA-256 of the secret, so
/// that the same secret can be recognised in another result without being there.
struct Redactor: Sendable {
  private let begun: HMAC<SHA256>

  /// - Parameter key: of the installation.
  init(key: SymmetricKey) { begun = HMAC<SHA256>(key: key) }

  /// A key of its own, which the digests of contents tell nothing about.
  static func key(from installationKey: [UInt8]) -> SymmetricKey {
    HKDF<SHA256>.deriveKey(
      inputKeyMaterial: SymmetricKey(data: installationKey), info: Array("relayrisk fingerprints of secrets".utf8),
      outputByteCount: 32)
  }

  /// The result without secrets in its evidence and its note. One that has neither costs nothing.
  func redacted(_ result: ProbeResult) -> ProbeResult {
    if result.note == nil, result.evidence == nil { return result }
    let (note, evidence) = replaced(result.note, result.evidence)
    var redacted = result
    if let note { redacted.note = note }
    if let evidence { redacted.evidence = evidence }
    return redacted
  }

  /// Whether a note beside this evidence would be stored with something replaced.
  static func finds(in note: String, beside evidence: JSONValue?) -> Bool {
    finder.replaced(note, evidence).note != nil
  }
  /// Whose replacements nobody sees.
  private static let finder = Redactor(key: SymmetricKey(size: .bits256))

  /// Nil for what has no secrets.
  private func replaced(_ note: String?, _ evidence: JSONValue?) -> (note: String?, evidence: JSONValue?) {
    var pass = Pass(redactor: self, companions: [])
    let replaced = pass.run(note, evidence)
    if pass.ids.isEmpty { return replaced }
    // An id of a cloud's key was found: what looks like a key beside it is one, before it or after.
    pass = Pass(redactor: self, companions: pass.ids)
    return pass.run(note, evidence)
  }

  private func replacement(_ secret: FoundSecret, in bytes: UnsafeBufferPointer<UInt8>) -> String {
    var code = begun
    let identifying = bytes[secret.identifying]
    // The check digit of an identity number is written as x or X.
    if secret.kind == .chineseID {
      code.update(data: identifying.map { $0 == UInt8(ascii: "x") ? UInt8(ascii: "X") : $0 })
    } else {
      code.update(data: Array(identifying))
    }
    return "[redacted:\(secret.kind.rawValue):\(hexadecimal(Array(code.finalize()).prefix(8)))]"
  }

  // MARK: - Walking

  private struct Pass {
    let redactor: Redactor
    let companions: SecretScanner.Companions
    /// Which ids of keys were found.
    var ids: SecretScanner.Companions = []

    /// Nil for what has no secrets.
    mutating func run(_ note: String?, _ evidence: JSONValue?) -> (note: String?, evidence: JSONValue?) {
      (note.flatMap { text($0, under: nil) }, evidence.flatMap { value($0, under: nil) })
    }

    /// - Parameter label: the name that the value stands under.
    /// - Returns: nil when there is nothing to replace.
    private mutating func value(_ value: JSONValue, under label: SecretLabel?) -> JSONValue? {
      switch value {
      case .null, .bool, .number: return nil
      case .string(let string): return text(string, under: label).map(JSONValue.string)
      case .array(let values):
        var replaced: [JSONValue]?
        for (index, item) in values.enumerated() {
          guard let item = self.value(item, under: label) else { continue }
          if replaced == nil { replaced = values }
          replaced![index] = item
        }
        return replaced.map(JSONValue.array)
      case .object(let object): return self.object(object).map(JSONValue.object)
      }
    }

    private mutating func object(_ object: JSONObject) -> JSONObject? {
      var members = object.members
      var isChanged = false
      // Captured headers are often written as {"name": "Authorization", "value": "…"}.
      let pair = label(ofPair: object)
      for index in members.indices {
        let member = object.members[index]
        let label = member.name == "value" ? pair : SecretLabel(named: member.name.utf8)
        if let value = value(member.value, under: label) {
          members[index].value = value
          isChanged = true
        }
        if let name = text(member.name, under: nil) {
          members[index].name = name
          isChanged = true
        }
      }
      return isChanged ? JSONObject(members: Self.withUniqueNames(members)) : nil
    }

    private func label(ofPair object: JSONObject) -> SecretLabel? {
      guard object["value"] != nil, case .string(let name)? = object["name"] ?? object["key"] ?? object["header"]
      else { return nil }
      return SecretLabel(named: name.utf8)
    }

    private mutating func text(_ text: String, under label: SecretLabel?) -> String? {
      if text.utf8.count < SecretScanner.bytesMin { return nil }
      var text = text
      return text.withUTF8 { bytes in
        var scanner = SecretScanner(bytes, companions: companions)
        let secrets = scanner.secrets(under: label)
        if secrets.isEmpty { return nil }
        var replaced = ""
        var end = 0
        for secret in secrets {
          ids.formUnion(SecretScanner.Companions(of: secret.kind))
          replaced += String(decoding: bytes[end..<secret.range.lowerBound], as: UTF8.self)
          replaced += redactor.replacement(secret, in: bytes)
          end = secret.range.upperBound
        }
        return replaced + String(decoding: bytes[end...], as: UTF8.self)
      }
    }

    /// The same secret may have been two names, with a country code and without.
    private static func withUniqueNames(
      _ members: [(name: String, value: JSONValue)]
    ) -> [(name: String, value: JSONValue)] {
      var seen: Set<String> = []
      return members.map { member in
        var name = member.name
        var count = 1
        while !seen.insert(name).inserted {
          count += 1
          name = "\(member.name) (\(count))"
        }
        return (name, member.value)
      }
    }
  }
}
