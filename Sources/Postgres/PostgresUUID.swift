/// A UUID of 128 bits; ordered as PostgreSQL orders `uuid`, that is by its bytes.
public struct PostgresUUID: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The first eight bytes, in network order.
  public let high: UInt64
  /// The last eight bytes, in network order.
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Reads the form 8-4-4-4-12 in hexadecimal digits of either case; nil for anything else.
  public init?(parsing text: String) {
    var text = text
    let words: (high: UInt64, low: UInt64)? = text.withUTF8 { bytes in
      guard bytes.count == 36 else { return nil }
      var high: UInt64 = 0
      var low: UInt64 = 0
      var digits = 0
      // Whoever has 36 bytes with hyphens at these four places has 32 digits at the others.
      for (index, byte) in bytes.enumerated() {
        if [8, 13, 18, 23].contains(index) {
          guard byte == UInt8(ascii: "-") else { return nil }
          continue
        }
        guard let digit = Self.value(ofDigit: byte) else { return nil }
        if digits < 16 { high = high << 4 | digit } else { low = low << 4 | digit }
        digits += 1
      }
      return (high, low)
    }
    guard let words else { return nil }
    self.init(high: words.high, low: words.low)
  }

  private static func value(ofDigit byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  public static func < (left: PostgresUUID, right: PostgresUUID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }

  /// Lower case with hyphens.
  public var description: String {
    String(unsafeUninitializedCapacity: 36) { buffer in
      var position = 0
      for index in 0..<32 {
        if [8, 12, 16, 20].contains(index) {
          buffer[position] = UInt8(ascii: "-")
          position += 1
        }
        let word = index < 16 ? high : low
        let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (index & 15))) & 15
        buffer[position] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
        position += 1
      }
      return position
    }
  }
}

extension PostgresUUID: PostgresEncodable, PostgresDecodable {
  @inlinable public static var postgresType: PostgresType { .uuid }

  @inlinable public func encode(into buffer: inout ParameterBuffer) {
    buffer.append(bigEndian: high)
    buffer.append(bigEndian: low)
  }

  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> PostgresUUID {
    let bytes = try cell.required(.uuid)
    guard bytes.count == 16 else { throw cell.failure("\(bytes.count) bytes in a uuid") }
    return PostgresUUID(
      high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }
}
