/// Writes a JSON document, member by member, straight into UTF-8. Commas are its own business.
///
///     var json = JSONWriter()
///     json.object { json in
///       json.member("slug", provider.slug)
///       json.array("hosts", provider.hosts) { $0.value($1) }
///     }
///     let body = json.bytes
public struct JSONWriter: Sendable {
  public private(set) var bytes: [UInt8] = []
  private var needsComma = false

  public init(reservingBytes capacity: Int = 512) { bytes.reserveCapacity(capacity) }

  // MARK: - Containers

  public mutating func object(_ body: (inout JSONWriter) throws -> Void) rethrows {
    try container(open: UInt8(ascii: "{"), close: UInt8(ascii: "}"), body)
  }

  public mutating func array<Items: Sequence>(
    _ items: Items, _ body: (inout JSONWriter, Items.Element) throws -> Void
  ) rethrows {
    try container(open: UInt8(ascii: "["), close: UInt8(ascii: "]")) { json in
      for item in items { try body(&json, item) }
    }
  }

  public mutating func object(_ name: StaticString, _ body: (inout JSONWriter) throws -> Void) rethrows {
    self.name(name)
    try object(body)
  }

  public mutating func array<Items: Sequence>(
    _ name: StaticString, _ items: Items, _ body: (inout JSONWriter, Items.Element) throws -> Void
  ) rethrows {
    self.name(name)
    try array(items, body)
  }

  private mutating func container(
    open: UInt8, close: UInt8, _ body: (inout JSONWriter) throws -> Void
  ) rethrows {
    separate()
    bytes.append(open)
    needsComma = false
    try body(&self)
    bytes.append(close)
    needsComma = true
  }

  // MARK: - Members

  public mutating func member(_ name: StaticString, _ value: String?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  public mutating func member(_ name: StaticString, _ value: Double?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  public mutating func member(_ name: StaticString, _ value: Int?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  public mutating func member(_ name: StaticString, _ value: Bool?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  public mutating func member(_ name: StaticString, _ value: JSONValue?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  /// A member whose value is JSON text already, such as a stored evidence body.
  public mutating func member(_ name: StaticString, json text: some Sequence<UInt8>) {
    self.name(name)
    raw(text)
  }

  /// The name of the member that the next value belongs to.
  public mutating func name(_ name: StaticString) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    // Names in the source are plain ASCII words.
    bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// A name that is not known before run time.
  public mutating func name(_ name: String) {
    value(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  // MARK: - Values

  public mutating func value(_ string: String) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    var string = string
    string.withUTF8 { utf8 in
      var clean = 0
      for (index, byte) in utf8.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5C {
        bytes.append(contentsOf: utf8[clean..<index])
        appendEscape(byte)
        clean = index + 1
      }
      bytes.append(contentsOf: utf8[clean...])
    }
    bytes.append(UInt8(ascii: "\""))
    needsComma = true
  }

  /// - Precondition: `number` is finite: JSON has no other numbers.
  public mutating func value(_ number: Double) {
    precondition(number.isFinite, "JSON has no number for \(number)")
    separate()
    // The shortest digits that read back as the same double.
    bytes.append(contentsOf: number.description.utf8)
    needsComma = true
  }

  public mutating func value(_ number: Int) {
    separate()
    bytes.append(contentsOf: String(number).utf8)
    needsComma = true
  }

  public mutating func value(_ bool: Bool) {
    separate()
    bytes.append(contentsOf: (bool ? "true" : "false").utf8)
    needsComma = true
  }

  public mutating func null() {
    separate()
    bytes.append(contentsOf: "null".utf8)
    needsComma = true
  }

  public mutating func value(_ value: JSONValue) {
    switch value {
    case .null: null()
    case .bool(let bool): self.value(bool)
    case .number(let number): raw(number.lexeme.utf8)
    case .string(let string): self.value(string)
    case .array(let values): array(values) { $0.value($1) }
    case .object(let object):
      container(open: UInt8(ascii: "{"), close: UInt8(ascii: "}")) { json in
        for member in object.members {
          json.name(member.name)
          json.value(member.value)
        }
      }
    }
  }

  /// JSON text as it is. The caller answers for its being one value.
  public mutating func raw(_ text: some Sequence<UInt8>) {
    separate()
    bytes.append(contentsOf: text)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  private mutating func appendEscape(_ byte: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x22, 0x5C: bytes.append(byte)
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    default:
      let digits = Array("0123456789abcdef".utf8)
      bytes.append(contentsOf: "u00".utf8)
      bytes.append(digits[Int(byte >> 4)])
      bytes.append(digits[Int(byte & 15)])
    }
  }
}
