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

  /// With other values in some places of the document.
  /// - Parameter field: an object of values by JSON pointer into the document.
  /// - Throws: `JSONFaults`: pointers to nothing that can be changed, and all that is wrong with what comes out.
  init(_ original: ScoringMethodology, changedBy field: JSONField) throws {
    guard case .object(let changes) = field.value else {
      throw field.fault("must be an object, not \(field.value.typeName)")
    }
    guard changes.members.count <= Self.changesCountMax else {
      throw field.fault("has \(changes.members.count) members, at most \(Self.changesCountMax) are allowed")
    }
    var document = try JSONReader.read(original.document).value
    var faults: [JSONFault] = []
    for (pointer, value) in changes.members {
      guard Self.isConstant(pointer, in: document), let changed = document.replacing(pointer, with: value) else {
        faults.append(
          JSONFault(pointer: jsonPointer(field.pointer, pointer), detail: "is no constant of \(original.id)"))
        continue
      }
      document = changed
    }
    var scoring: ScoringMethodology?
    do {
      scoring = try ScoringMethodology(document: Self.canonical(document), document)
    } catch let error as JSONFaults {
      faults += error.faults.map { Self.fault($0, in: changes, at: field.pointer) }
    }
    guard let scoring, faults.isEmpty else { throw JSONFaults(faults) }
    self = scoring
  }

  /// More places than a methodology of 60 checks has that anyone varies at once.
  static let changesCountMax = 500

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

  /// Whether a number or a word that scores depend on stands there, and not a name.
  private static func isConstant(_ pointer: String, in document: JSONValue) -> Bool {
    let names = ["/id", "/title", "/title_zh"]
    switch document.value(at: pointer) {
    case .number, .string: return !names.contains { pointer.hasSuffix($0) }
    default: return false
    }
  }

  /// A fault of the changed document, at the change that makes it where that can be told.
  private static func fault(_ fault: JSONFault, in changes: JSONObject, at pointer: String) -> JSONFault {
    if changes[fault.pointer] != nil {
      return JSONFault(pointer: jsonPointer(pointer, fault.pointer), detail: fault.detail)
    }
    return JSONFault(pointer: pointer, detail: "\(fault.pointer) \(fault.detail)")
  }
}
