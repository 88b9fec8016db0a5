/// The header fields of a request: names compare without case, order and duplicates are kept.
public struct Headers: Sendable {
  /// Where a field stands in `bytes`; the value without white space around it.
  struct Entry: Sendable {
    var name: Range<Int>
    var value: Range<Int>
  }

  // Two allocations for any number of fields; strings are made only of what a handler asks for.
  private let bytes: [UInt8]
  private let entries: [Entry]

  init(bytes: [UInt8], entries: [Entry]) {
    self.bytes = bytes
    self.entries = entries
  }

  /// Fields that did not come from a socket, as tests of handlers need them.
  public init(_ fields: [(name: String, value: String)]) {
    var bytes: [UInt8] = []
    entries = fields.map { field in
      let start = bytes.count
      bytes.append(contentsOf: field.name.utf8)
      let middle = bytes.count
      bytes.append(contentsOf: field.value.utf8)
      return Entry(name: start..<middle, value: middle..<bytes.count)
    }
    self.bytes = bytes
  }

  /// The number of fields, each line counted.
  public var count: Int { entries.count }

  /// The first value of the field; bytes that are not UTF-8 are replaced.
  public subscript(_ name: String) -> String? {
    for entry in entries where matches(entry, name) { return string(entry.value) }
    return nil
  }

  /// Every value of the field, line by line, in the order they came.
  public func all(_ name: String) -> [String] {
    entries.compactMap { matches($0, name) ? string($0.value) : nil }
  }

  func occurrences(of name: String) -> Int {
    entries.reduce(0) { $0 + (matches($1, name) ? 1 : 0) }
  }

  /// Calls `body` with each field's raw name and value, valid during the call.
  func forEachField<Fault: Error>(
    _ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) throws(Fault) -> Void
  ) throws(Fault) {
    let outcome = bytes.withUnsafeBufferPointer { bytes -> Result<Void, Fault> in
      do throws(Fault) {
        for entry in entries {
          try body(
            UnsafeBufferPointer(rebasing: bytes[entry.name]), UnsafeBufferPointer(rebasing: bytes[entry.value]))
        }
        return .success(())
      } catch {
        return .failure(error)
      }
    }
    try outcome.get()
  }

  private func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  private func matches(_ entry: Entry, _ name: String) -> Bool {
    let wanted = name.utf8
    guard entry.name.count == wanted.count else { return false }
    var position = entry.name.lowerBound
    for byte in wanted {
      guard lowercased(bytes[position]) == lowercased(byte) else { return false }
      position += 1
    }
    return true
  }
}

/// ASCII only: field names, tokens and hexadecimal digits have no other letters.
@inline(__always)
func lowercased(_ byte: UInt8) -> UInt8 {
  UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
}

/// Whether ASCII bytes are `text`, which is in lower case, in any case.
func equals(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
  guard bytes.count == text.utf8CodeUnitCount else { return false }
  for index in bytes.indices where lowercased(bytes[index]) != text.utf8Start[index] { return false }
  return true
}

/// RFC 9110's `tchar`: what a method or a field name may consist of.
func isTokenByte(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"):
    true
  case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
    UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
    UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
    true
  default: false
  }
}

/// What a field value may hold: no control character but a tab, so it cannot end its line.
func isFieldValueByte(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == 0x09 }
