/// Reads structured fields by the algorithms of RFC 8941, section 4.2.
struct StructuredFieldParser {
  private let bytes: [UInt8]
  private var position = 0

  init(_ text: String) { bytes = Array(text.utf8) }

  mutating func dictionary() throws(StructuredField.Fault) -> [StructuredField.Entry] {
    var entries: [StructuredField.Entry] = []
    skip { $0 == 0x20 }
    while let first = next {
      let start = position
      let name = try key(first)
      guard !entries.contains(where: { $0.name == name }) else { throw fault("\(name) is there twice", at: start) }
      entries.append(StructuredField.Entry(name: name, member: try member()))
      skip { $0 == 0x20 || $0 == 0x09 }
      guard next != nil else { break }
      try expect(",")
      skip { $0 == 0x20 || $0 == 0x09 }
      if next == nil { throw fault("nothing stands behind the comma") }
    }
    return entries
  }

  private mutating func member() throws(StructuredField.Fault) -> StructuredField.Member {
    guard take("=") else {
      return .item(StructuredField.Item(value: .boolean(true), parameters: try parameters()))
    }
    return next == UInt8(ascii: "(") ? try innerList() : .item(try item())
  }

  private mutating func innerList() throws(StructuredField.Fault) -> StructuredField.Member {
    try expect("(")
    var items: [StructuredField.Item] = []
    while true {
      skip { $0 == 0x20 }
      if take(")") { return .innerList(items, parameters: try parameters()) }
      items.append(try item())
      guard next == 0x20 || next == UInt8(ascii: ")") else { throw fault("a space or ) is missing") }
    }
  }

  private mutating func item() throws(StructuredField.Fault) -> StructuredField.Item {
    let value = try bareItem()
    return StructuredField.Item(value: value, parameters: try parameters())
  }

  private mutating func parameters() throws(StructuredField.Fault) -> [StructuredField.Parameter] {
    var parameters: [StructuredField.Parameter] = []
    while take(";") {
      skip { $0 == 0x20 }
      let start = position
      let name = try key(next)
      guard !parameters.contains(where: { $0.name == name }) else { throw fault("\(name) is there twice", at: start) }
      parameters.append(
        StructuredField.Parameter(name: name, value: take("=") ? try bareItem() : .boolean(true)))
    }
    return parameters
  }

  private mutating func key(_ first: UInt8?) throws(StructuredField.Fault) -> String {
    guard let first, Self.isLower(first) || first == UInt8(ascii: "*") else { throw fault("a name is missing") }
    return text { Self.isLower($0) || Self.isDigit($0) || "_-.*".utf8.contains($0) }
  }

  private mutating func bareItem() throws(StructuredField.Fault) -> StructuredField.BareItem {
    // No value begins with it.
    switch next ?? 0 {
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: ":"): return .bytes(try byteSequence())
    case UInt8(ascii: "?"):
      position += 1
      if take("1") { return .boolean(true) }
      if take("0") { return .boolean(false) }
      throw fault("a boolean is ?0 or ?1")
    case UInt8(ascii: "*"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"):
      return .token(text { isTokenByte($0) || ":/".utf8.contains($0) })
    default: throw fault("a value is missing")
    }
  }

  private mutating func number() throws(StructuredField.Fault) -> StructuredField.BareItem {
    let start = position
    let isNegative = take("-")
    let whole = text(Self.isDigit)
    guard !whole.isEmpty else { throw fault("a digit is missing") }
    guard take(".") else {
      guard whole.count <= 15 else { throw fault("an integer has at most 15 digits", at: start) }
      return .integer(isNegative ? -Int64(whole)! : Int64(whole)!)
    }
    let fraction = text(Self.isDigit)
    guard whole.count <= 12, 1...3 ~= fraction.count else {
      throw fault("a decimal has at most 12 digits before the point and 1 to 3 behind it", at: start)
    }
    let thousandths = Int64(whole + fraction + String(repeating: "0", count: 3 - fraction.count))!
    return .decimal(thousandths: isNegative ? -thousandths : thousandths)
  }

  private mutating func string() throws(StructuredField.Fault) -> String {
    position += 1
    var text: [UInt8] = []
    while let byte = next {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"):
        guard let escaped = next, "\"\\".utf8.contains(escaped) else { throw fault("only \" and \\ are escaped") }
        position += 1
        text.append(escaped)
      case 0x20...0x7E: text.append(byte)
      default: throw fault("a string has visible ASCII characters and spaces only", at: position - 1)
      }
    }
    throw fault("the string does not end")
  }

  private mutating func byteSequence() throws(StructuredField.Fault) -> [UInt8] {
    let start = position
    position += 1
    guard let end = bytes[position...].firstIndex(of: UInt8(ascii: ":")) else { throw fault("the bytes do not end") }
    guard let decoded = Base64.decode(bytes[position..<end]) else { throw fault("it is not base64", at: start) }
    position = end + 1
    return decoded
  }

  // MARK: - Bytes

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(StructuredField.Fault) {
    guard take(character) else { throw fault("\(character) is missing") }
  }

  private mutating func skip(_ isSkipped: (UInt8) -> Bool) {
    while let byte = next, isSkipped(byte) { position += 1 }
  }

  private mutating func text(_ isPart: (UInt8) -> Bool) -> String {
    let start = position
    skip(isPart)
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private func fault(_ reason: String, at offset: Int? = nil) -> StructuredField.Fault {
    StructuredField.Fault(offset: offset ?? position, reason: reason)
  }

  private static func isLower(_ byte: UInt8) -> Bool { UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte }
  private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
}
