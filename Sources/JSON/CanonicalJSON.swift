extension JSONValue {
  /// The value in the one form that RFC 8785 gives it, so that whoever writes the same value gets the same bytes:
  /// members by the UTF-16 of their names, numbers as ECMAScript writes them, no space.
  ///
  /// - Precondition: its numbers are finite. They are doubles, as the standard has it: digits beyond are lost.
  public var canonical: [UInt8] {
    var bytes: [UInt8] = []
    write(to: &bytes)
    return bytes
  }

  private func write(to bytes: inout [UInt8]) {
    switch self {
    case .null: bytes += "null".utf8
    case .bool(let bool): bytes += (bool ? "true" : "false").utf8
    case .number(let number): bytes += canonicalNumber(number.double).utf8
    case .string(let string): writeCanonical(string, to: &bytes)
    case .array(let values):
      bytes.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        value.write(to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let object):
      bytes.append(UInt8(ascii: "{"))
      let members = object.members.sorted { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) }
      for (index, member) in members.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        writeCanonical(member.name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        member.value.write(to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }
}

/// Section 3.2.2.2: only what has to be escaped is, and in the shortest way.
private func writeCanonical(_ string: String, to bytes: inout [UInt8]) {
  bytes.append(UInt8(ascii: "\""))
  for byte in string.utf8 {
    switch byte {
    case 0x08: bytes += "\\b".utf8
    case 0x09: bytes += "\\t".utf8
    case 0x0A: bytes += "\\n".utf8
    case 0x0C: bytes += "\\f".utf8
    case 0x0D: bytes += "\\r".utf8
    case 0x00..<0x20: bytes += ((byte < 0x10 ? "\\u000" : "\\u00") + String(byte, radix: 16)).utf8
    case 0x22, 0x5C: bytes += [0x5C, byte]
    default: bytes.append(byte)
    }
  }
  bytes.append(UInt8(ascii: "\""))
}

/// `Number::toString` of ECMAScript: the shortest digits that read back as the same double, as Swift finds them, laid
/// out by where the point is.
private func canonicalNumber(_ number: Double) -> String {
  precondition(number.isFinite, "JSON has no number for \(number)")
  if number == 0 { return "0" }
  let (digits, pointPosition) = decimal(number.magnitude)
  let sign = number < 0 ? "-" : ""
  if digits.count <= pointPosition, pointPosition <= 21 {
    return sign + digits + String(repeating: "0", count: pointPosition - digits.count)
  }
  if 0 < pointPosition, pointPosition <= 21 {
    return sign + digits.prefix(pointPosition) + "." + digits.dropFirst(pointPosition)
  }
  if -6 < pointPosition, pointPosition <= 0 {
    return sign + "0." + String(repeating: "0", count: -pointPosition) + digits
  }
  let exponent = pointPosition - 1
  let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
  return sign + digits.prefix(1) + fraction + "e" + (exponent < 0 ? "-" : "+") + String(exponent.magnitude)
}

/// The significant digits of a positive number, and before which of them the point is.
private func decimal(_ number: Double) -> (digits: String, pointPosition: Int) {
  // "12.5", "0.001" or "1.5e-07".
  let parts = number.description.split(separator: "e")
  let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
  let fraction = mantissa.count > 1 ? mantissa[1] : ""
  let exponent = parts.count > 1 ? Int(parts[1])! : 0
  let all = String(mantissa[0]) + fraction
  let significant = all.drop { $0 == "0" }
  let pointPosition = mantissa[0].count + exponent - (all.count - significant.count)
  let end = significant.lastIndex { $0 != "0" }!
  return (String(significant[...end]), pointPosition)
}
