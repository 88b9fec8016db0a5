import HTTPServer
import JSON
import RiskModel

/// The checks and the methodology that the service ships with.
public struct Catalogue: Sendable {
  /// The methodology that is shipped, with its document as it is.
  let scoringMethodology: ScoringMethodology
  /// What a scanner author needs to know of a check: evidence fields, mappings, pitfalls.
  private let descriptions: [String: JSONObject]
  /// By the concern's id. Not in the methodology, whose document never changes and whose hash scores name.
  private let concernTitlesChinese: JSONObject

  /// Its checks are those that results can be posted for.
  public var methodology: Methodology { scoringMethodology.methodology }

  /// - Throws: `JSONSyntaxError` or `JSONFaults` when a shipped document is wrong, which a test would have shown.
  public init() throws {
    let shipped = ShippedFiles.bytes("catalogue/rm-1.json")!
    scoringMethodology = try ScoringMethodology(document: shipped, try JSONReader.read(shipped).value)
    guard case .object(let document) = try JSONReader.read(ShippedFiles.bytes("catalogue/checks.json")!).value,
      case .array(let checks)? = document["checks"]
    else { throw JSONFault(pointer: "/checks", detail: "is missing from catalogue/checks.json") }
    guard case .object(let titles)? = document["concern_titles_zh"] else {
      throw JSONFault(pointer: "/concern_titles_zh", detail: "is missing from catalogue/checks.json")
    }
    concernTitlesChinese = titles
    var descriptions: [String: JSONObject] = [:]
    for case .object(let check) in checks {
      if case .string(let id)? = check["id"] { descriptions[id] = check }
    }
    self.descriptions = descriptions
  }

  // MARK: - Titles

  func title(of concern: Concern, in language: Language) -> String {
    guard language == .chinese, case .string(let title)? = concernTitlesChinese[concern.id] else {
      return concern.title
    }
    return title
  }

  func title(of check: Check, in language: Language) -> String {
    switch language {
    case .english: check.title
    case .chinese: check.titleChinese
    }
  }

  // MARK: - Documents

  func write(concern: Concern, in language: Language, to json: inout JSONWriter) {
    json.object { json in
      json.member("id", concern.id)
      json.member("title", title(of: concern, in: language))
      json.member("impact", concern.impact)
      json.member("base_rate", concern.baseRate)
      json.member("fail_half_life_days", concern.failHalfLifeDays)
      json.member("pass_half_life_days", concern.passHalfLifeDays)
      json.member("floor", concern.floor)
    }
  }

  func write(check: Check, in language: Language, to json: inout JSONWriter) {
    json.object { json in
      json.member("id", check.id)
      json.member("concern", check.concernID)
      json.member("title", title(of: check, in: language))
      json.member("title_zh", check.titleChinese)
      json.member("severity", check.severity.rawValue)
      json.member("kind", check.kind.rawValue)
      json.member("scored", check.isScored)
      json.member("sensitivity", check.sensitivity)
      json.member("objectivity", check.objectivity.rawValue)
      json.member("access", check.access.rawValue)
      let description = descriptions[check.id]
      json.member("evidence_fields", description?["evidence_fields"] ?? .array([]))
      json.member("mappings", description?["mappings"])
      json.member("producers", description?["producers"] ?? .array([]))
      json.member("pitfalls", description?["pitfalls"])
    }
  }
}

/// Lower case, two digits a byte.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
