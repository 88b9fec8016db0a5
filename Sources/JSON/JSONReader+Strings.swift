/// Strings: most hold neither escapes nor anything but ASCII, so the plain ones are read and copied in one go.
extension JSONReader {
  mutating func readString() throws(JSONSyntaxError) -> String {
    position += 1
    let start = position
    // Most strings hold neither escapes nor anything but ASCII: one pass, one copy.
    var bits: UInt8 = 0
    while position < bytes.count {
      let byte = bytes[position]
      bits |= byte
      if byte == UInt8(ascii: "\"") {
        let plain = UnsafeBufferPointer(rebasing: bytes[start..<position])
        if bits < 0x80 {
          position += 1
          // Validating goes through a generic function of the library's that costs more than the rest.
          return String(decoding: plain, as: UTF8.self)
        }
        guard let text = String(validating: plain, as: UTF8.self) else { throw notUTF8(from: start) }
        position += 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try readEscapedString(from: start) }
      if byte < 0x20 { throw unexpected("a control character inside a string") }
      position += 1
    }
    throw endOfInput()
  }

  private mutating func readEscapedString(from start: Int) throws(JSONSyntaxError) -> String {
    var text = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else { throw notUTF8(from: start) }
        position += 1
        return string
      case UInt8(ascii: "\\"):
        position += 1
        try readEscape(into: &text)
      case 0..<0x20: throw unexpected("a control character inside a string")
      default:
        text.append(byte)
        position += 1
      }
    }
    throw endOfInput()
  }

  private mutating func readEscape(into text: inout [UInt8]) throws(JSONSyntaxError) {
    guard position < bytes.count else { throw endOfInput() }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      let scalar = try readUnicodeEscape()
      // PostgreSQL's text cannot hold it, and no honest sender means it.
      if scalar.value == 0 { report("the string contains U+0000") }
      text.append(contentsOf: UTF8.encode(scalar)!)
    default:
      position -= 1
      throw unexpected("an unknown escape")
    }
  }

  private mutating func readUnicodeEscape() throws(JSONSyntaxError) -> Unicode.Scalar {
    let start = position - 2
    let first = try readHexadecimal()
    if let scalar = Unicode.Scalar(first) { return scalar }
    // A high surrogate must be followed by its low one.
    if first < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
      bytes[position + 1] == UInt8(ascii: "u")
    {
      position += 2
      let second = try readHexadecimal()
      if 0xDC00..<0xE000 ~= second,
        let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      {
        return scalar
      }
    }
    position = start
    throw unexpected("a lone surrogate")
  }

  private mutating func readHexadecimal() throws(JSONSyntaxError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard position < bytes.count else { throw endOfInput() }
      guard let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
        throw unexpected("a hexadecimal digit expected")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
