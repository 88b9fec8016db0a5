import JSON

/// What of an answer is kept for repetitions: no secret, which is given out once, and no evidence, which is in one
/// place alone so that it can be erased there. A repetition reads it anew.
struct KeptAnswer: Sendable {
  /// The member that is given out once; nil where there is none.
  let secret: String?
  /// Whether a success is a result, with its evidence.
  let showsResult: Bool

  /// - Parameters:
  ///   - bytes: as they were answered.
  ///   - headers: of the answer. One that is a result says where it is read; that to a thousand results is none, and is
  ///     not taken apart.
  func bytes(keptOf bytes: [UInt8], _ headers: [(name: String, value: String)]) throws -> [UInt8] {
    let isResult = showsResult && headers.contains { $0.name == "Location" }
    guard secret != nil || isResult, case .object(let object) = try JSONReader.read(bytes).value else { return bytes }
    if secret == nil, object["evidence"] == nil { return bytes }
    return Self.rewriting(object) { json, member in
      if member.name == secret { return }
      json.name(member.name)
      if showsResult, member.name == "evidence" { json.null() } else { json.value(member.value) }
    }
  }

  /// The id of the result whose evidence has to be filled in; nil when nothing is missing.
  func missingEvidence(in bytes: [UInt8]) throws -> Identifier? {
    guard showsResult, case .object(let object) = try JSONReader.read(bytes).value,
      object["evidence_status"] == .string(StoredResult.EvidenceStatus.stored.rawValue),
      case .string(let id)? = object["id"]
    else { return nil }
    return Identifier(parsing: id)
  }

  /// The answer as it was, with the evidence that there is now.
  func bytes(_ bytes: [UInt8], filledFrom stored: StoredResult) throws -> [UInt8] {
    guard case .object(let object) = try JSONReader.read(bytes).value else { return bytes }
    return Self.rewriting(object) { json, member in
      switch member.name {
      case "evidence": stored.writeEvidence(to: &json)
      case "evidence_status", "evidence_erased": return
      default:
        json.name(member.name)
        json.value(member.value)
      }
    }
  }

  private static func rewriting(
    _ object: JSONObject, _ write: (inout JSONWriter, _ member: (name: String, value: JSONValue)) -> Void
  ) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in for member in object.members { write(&json, member) } }
    return json.bytes
  }
}
