import Foundation
import JSON
import RiskModel

/// The documents under Fixtures, each read once.
enum Fixtures {
  static let rm1Document = read("rm-1.json")
  static let rm1 = try! Methodology(rm1Document)
  static let vectors = read("score-rm-1.json")

  private static func read(_ name: String) -> JSONValue {
    let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/\(name)")
    let (value, faults) = try! JSONReader.read([UInt8](Data(contentsOf: url)))
    precondition(faults.isEmpty, "\(name): \(faults)")
    return value
  }
}

extension JSONValue {
  subscript(name: String) -> JSONValue {
    guard case .object(let object) = self, let value = object[name] else { return .null }
    return value
  }
  var array: [JSONValue] { if case .array(let values) = self { values } else { [] } }
  var members: [(name: String, value: JSONValue)] { if case .object(let object) = self { object.members } else { [] } }
  var string: String? { if case .string(let string) = self { string } else { nil } }
  var double: Double? { if case .number(let number) = self { number.double } else { nil } }

  /// The document with changes by JSON pointer: other JSON text, or nil to take the value out. A pointer to a member
  /// that is not there yet adds it.
  func edited(_ edits: [String: String?]) -> JSONValue {
    var json = JSONWriter()
    write(to: &json, at: "", edits)
    return try! JSONReader.read(json.bytes).value
  }

  private func write(to json: inout JSONWriter, at pointer: String, _ edits: [String: String?]) {
    if case .some(.some(let text)) = edits[pointer] { return json.raw(text.utf8) }
    switch self {
    case .array(let values):
      let kept = values.enumerated().filter { edits["\(pointer)/\($0.offset)"] != .some(nil) }
      json.array(kept) { json, value in value.element.write(to: &json, at: "\(pointer)/\(value.offset)", edits) }
    case .object(let object):
      json.object { json in
        for (name, value) in object.members where edits[jsonPointer(pointer, name)] != .some(nil) {
          json.name(name)
          value.write(to: &json, at: jsonPointer(pointer, name), edits)
        }
        for (edit, text) in edits where edit.hasPrefix(pointer + "/") {
          let name = String(edit.dropFirst(pointer.count + 1))
          guard let text, !name.contains("/"), object[name] == nil else { continue }
          json.name(name)
          json.raw(text.utf8)
        }
      }
    default: json.value(self)
    }
  }
}

extension Instant {
  static let day: Int64 = 86_400_000

  /// Reads `2026-01-30T00:00:00.000Z`.
  init(_ text: String) {
    let parts = text.split { "-T:.Z".contains($0) }.map { Int64($0)! }
    // Howard Hinnant's days_from_civil: years begin in March, so that the leap day is the last.
    let year = parts[1] <= 2 ? parts[0] - 1 : parts[0]
    let dayOfYear = (153 * ((parts[1] + 9) % 12) + 2) / 5 + parts[2] - 1
    let days = year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
    let seconds = parts[3] * 3_600 + parts[4] * 60 + parts[5]
    self.init(milliseconds: days * Self.day + seconds * 1_000 + parts[6])
  }

  func earlier(days: Double) -> Instant { Instant(milliseconds: milliseconds - Int64(days * Double(Self.day))) }
}
