/// A strict reader of RFC 8259 in one pass over UTF-8.
///
/// Unlike Foundation's decoders it reports duplicate members, numbers that no double holds and U+0000, each with its
/// place and all of them at once; and it is quick: nothing is read twice.
public struct JSONReader {
  /// Nesting that is read: an empty array is one level.
  public static let defaultDepthLevelsMax = 32

  let bytes: UnsafeBufferPointer<UInt8>
  var position = 0
  private var depth = 0
  private let depthLevelsMax: Int
  private var path: [PathToken] = []
  private var faults: [JSONFault] = []

  private enum PathToken {
    case name(String)
    case index(Int)
  }

  /// More faults than anyone reads; a document of nothing else must not grow the answer without bound. Of one with so
  /// many nobody knows what is right.
  public static let faultsMax = 100

  /// Values of one document, each of which costs far more memory than the two bytes it may be written in.
  static let valuesCountMax = 2_000_000
  private var valuesCount = 0

  /// Reads a whole document.
  /// - Returns: the document, and what is wrong in it although it can be read: duplicate members (the first one is
  ///   kept), numbers out of a double's range, U+0000 in a string.
  /// - Throws: what makes the bytes no JSON document, with its place.
  public static func read(
    _ bytes: [UInt8], depthLevelsMax: Int = defaultDepthLevelsMax
  ) throws(JSONSyntaxError) -> (value: JSONValue, faults: [JSONFault]) {
    let outcome = bytes.withUnsafeBufferPointer { buffer -> Result<(JSONValue, [JSONFault]), JSONSyntaxError> in
      var reader = JSONReader(bytes: buffer, depthLevelsMax: depthLevelsMax)
      do throws(JSONSyntaxError) {
        return .success((try reader.readDocument(), reader.faults))
      } catch {
        return .failure(error)
      }
    }
    return try outcome.get()
  }

  private init(bytes: UnsafeBufferPointer<UInt8>, depthLevelsMax: Int) {
    self.bytes = bytes
    self.depthLevelsMax = depthLevelsMax
  }

  private mutating func readDocument() throws(JSONSyntaxError) -> JSONValue {
    skipWhitespace()
    let value = try readValue()
    skipWhitespace()
    if position < bytes.count { throw unexpected("more after the end of the document") }
    return value
  }

  // MARK: - Values

  private mutating func readValue() throws(JSONSyntaxError) -> JSONValue {
    guard position < bytes.count else { throw endOfInput() }
    valuesCount += 1
    guard valuesCount <= Self.valuesCountMax else {
      throw unexpected("more than \(Self.valuesCountMax) values")
    }
    switch bytes[position] {
    case UInt8(ascii: "{"): return .object(try readObject())
    case UInt8(ascii: "["): return .array(try readArray())
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "t"):
      try readWord("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try readWord("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try readWord("null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try readNumber())
    default: throw unexpected("a value expected")
    }
  }

  private mutating func readObject() throws(JSONSyntaxError) -> JSONObject {
    try enter()
    defer { depth -= 1 }
    var members: [(name: String, value: JSONValue)] = []
    var names = NameSet()
    skipWhitespace()
    if take(UInt8(ascii: "}")) { return JSONObject(members: []) }
    while true {
      skipWhitespace()
      guard position < bytes.count else { throw endOfInput() }
      guard bytes[position] == UInt8(ascii: "\"") else { throw unexpected("a member name expected") }
      let name = try readString()
      path.append(.name(name))
      skipWhitespace()
      try expect(UInt8(ascii: ":"), "a colon expected")
      skipWhitespace()
      let value = try readValue()
      if names.insert(name, amongFirst: members) {
        members.append((name, value))
      } else {
        report("the member appears more than once")
      }
      path.removeLast()
      skipWhitespace()
      if take(UInt8(ascii: "}")) { return JSONObject(members: members) }
      try expect(UInt8(ascii: ","), "a comma or the end of the object expected")
    }
  }

  private mutating func readArray() throws(JSONSyntaxError) -> [JSONValue] {
    try enter()
    defer { depth -= 1 }
    var values: [JSONValue] = []
    skipWhitespace()
    if take(UInt8(ascii: "]")) { return [] }
    while true {
      skipWhitespace()
      path.append(.index(values.count))
      values.append(try readValue())
      path.removeLast()
      skipWhitespace()
      if take(UInt8(ascii: "]")) { return values }
      try expect(UInt8(ascii: ","), "a comma or the end of the array expected")
    }
  }

  private mutating func readWord(_ word: StaticString) throws(JSONSyntaxError) {
    for index in 0..<word.utf8CodeUnitCount {
      guard position < bytes.count else { throw endOfInput() }
      guard bytes[position] == word.utf8Start[index] else { throw unexpected("a value expected") }
      position += 1
    }
  }

  private mutating func readNumber() throws(JSONSyntaxError) -> JSONNumber {
    let start = position
    _ = take(UInt8(ascii: "-"))
    if take(UInt8(ascii: "0")) {
      if position < bytes.count, isDigit(bytes[position]) { throw unexpected("a number with a leading zero") }
    } else {
      try readDigits()
    }
    if take(UInt8(ascii: ".")) { try readDigits() }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      try readDigits()
    }
    let number = JSONNumber(lexeme: String(decoding: bytes[start..<position], as: UTF8.self))
    if !number.double.isFinite { report("the number is out of range") }
    return number
  }

  private mutating func readDigits() throws(JSONSyntaxError) {
    let start = position
    while position < bytes.count, isDigit(bytes[position]) { position += 1 }
    if position == start { throw position == bytes.count ? endOfInput() : unexpected("a digit expected") }
  }

  // MARK: - Pieces

  private mutating func enter() throws(JSONSyntaxError) {
    depth += 1
    guard depth <= depthLevelsMax else {
      throw JSONSyntaxError(reason: .tooDeep(levelsMax: depthLevelsMax), offset: position)
    }
    position += 1
  }

  private mutating func skipWhitespace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ byte: UInt8, _ what: String) throws(JSONSyntaxError) {
    guard position < bytes.count else { throw endOfInput() }
    guard take(byte) else { throw unexpected(what) }
  }

  private func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

  func unexpected(_ what: String) -> JSONSyntaxError {
    JSONSyntaxError(reason: .unexpected(what), offset: position)
  }

  func endOfInput() -> JSONSyntaxError { JSONSyntaxError(reason: .endOfInput, offset: bytes.count) }

  /// The first byte of the string that cannot be decoded.
  func notUTF8(from start: Int) -> JSONSyntaxError {
    var decoder = UTF8()
    var iterator = bytes[start...].makeIterator()
    var offset = start
    while case .scalarValue(let scalar) = decoder.decode(&iterator) { offset += UTF8.width(scalar) }
    return JSONSyntaxError(reason: .notUTF8, offset: offset)
  }

  mutating func report(_ detail: String) {
    guard faults.count < Self.faultsMax else { return }
    let pointer = path.reduce("") { pointer, token in
      switch token {
      case .name(let name): jsonPointer(pointer, name)
      case .index(let index): pointer + "/\(index)"
      }
    }
    faults.append(JSONFault(pointer: pointer, detail: detail))
  }
}

/// The member names seen in one object: a scan while there are few, a set when there are many, so that an object of
/// a hundred thousand members costs no quadratic time.
private struct NameSet {
  private var set: Set<String>?

  /// False when the name is there already. Names that Unicode holds canonically equivalent count as one: a receiver
  /// that normalises would see a duplicate.
  mutating func insert(_ name: String, amongFirst members: [(name: String, value: JSONValue)]) -> Bool {
    if members.count < 16 { return !members.contains { $0.name == name } }
    if set == nil { set = Set(members.map(\.name)) }
    return set!.insert(name).inserted
  }
}
