import Crypto
import JSON
import RiskModel

/// A methodology with the document it was read from.
struct ScoringMethodology: Sendable {
  let methodology: Methodology
  let document: [UInt8]
  /// SHA-256 of the document's bytes in hexadecimal.
  let hash: String
  /// What a provider comes to of which nothing was ever seen or decided, which no time changes.
  let unprobed: Assessment

  var id: String { methodology.id }

  /// - Throws: `JSONFaults`, all that is wrong with it.
  init(document: [UInt8], _ value: JSONValue) throws {
    methodology = try Methodology(value)
    self.document = document
    hash = hexadecimal(SHA256.hash(data: document))
    unprobed = methodology.assess(Evidence(sources: [], entries: []), at: Instant(milliseconds: 0))
  }
}

extension ScoringMethodology {
  /// A document that was sent; it is kept as it was written but for white space.
  /// - Throws: `JSONFaults`, all that is wrong with it.
  init(posted value: JSONValue, faults: [JSONFault], catalogue: Methodology) throws {
    var faults = faults
    if case .object(let object) = value {
      if case .string(let id)? = object["id"], !id.isEmpty {
        do { _ = try Slug(id) } catch { faults.append(JSONFault(pointer: "/id", detail: "\(error)")) }
      }
      if case .array(let checks)? = object["checks"] {
        for (index, check) in checks.enumerated() where faults.count < JSONFaults.countMax {
          guard case .object(let check) = check, case .string(let id)? = check["id"] else { continue }
          if !id.isEmpty, catalogue.checkIndex(id) == nil {
            faults.append(
              JSONFault(pointer: "/checks/\(index)/id", detail: "is not a check of the catalogue; see GET /v1/checks"))
          }
        }
      }
    }
    var scoring: ScoringMethodology?
    do {
      scoring = try ScoringMethodology(document: Self.canonical(value), value)
    } catch let error as JSONFaults {
      faults += error.faults
    }
    guard let scoring, faults.isEmpty else { throw JSONFaults(faults) }
    self = scoring
  }

  /// The members in the order they were written, without white space.
  static func canonical(_ value: JSONValue) -> [UInt8] {
    var json = JSONWriter(reservingBytes: 32_768)
    json.value(value)
    return json.bytes
  }

  /// Whether the documents differ in white space at most.
  func hasContent(of other: ScoringMethodology) -> Bool {
    func canonical(_ document: [UInt8]) -> [UInt8]? { try? Self.canonical(JSONReader.read(document).value) }
    return hash == other.hash || canonical(document) == canonical(other.document)
  }
}
