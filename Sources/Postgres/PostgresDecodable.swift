/// A value that can be read from a column, always from PostgreSQL's binary format.
public protocol PostgresDecodable: Sendable {
  /// - Throws: `PostgresError.decoding` when the column has another type, is NULL or holds an unfit value.
  static func decode(_ cell: PostgresCell) throws(PostgresError) -> Self
}

/// One column of one row. Its bytes live as long as the call of `decode` it was handed to.
public struct PostgresCell {
  /// The binary form, nil for NULL.
  public let bytes: UnsafeRawBufferPointer?
  public let type: PostgresType
  /// From 0.
  public let column: Int

  /// The bytes of a value that must not be NULL and must have this type.
  public func required(_ expected: PostgresType) throws(PostgresError) -> UnsafeRawBufferPointer {
    if type == expected, let bytes { return bytes }
    return try required(oneOf: expected)
  }

  /// The bytes of a value that must not be NULL and must have one of these types.
  func required(oneOf types: PostgresType...) throws(PostgresError) -> UnsafeRawBufferPointer {
    guard types.contains(type) else {
      throw failure("type \(type.objectIdentifier) instead of \(types.map { String($0.objectIdentifier) })")
    }
    guard let bytes else { throw failure("unexpected NULL") }
    return bytes
  }

  /// The error for this column. `reason` must not hold the value.
  public func failure(_ reason: String) -> PostgresError {
    .decoding(DecodingFailure(column: column, reason: reason))
  }

  @inline(__always)
  func integer<Integer: FixedWidthInteger>(
    _: Integer.Type, _ bytes: UnsafeRawBufferPointer
  ) throws(PostgresError) -> Integer {
    guard bytes.count == MemoryLayout<Integer>.size else { throw failure("\(bytes.count) bytes in an integer") }
    return Integer(bigEndian: bytes.loadUnaligned(as: Integer.self))
  }

  /// Any integer type of the server, widened; what does not fit the target is the caller's to refuse.
  @inline(__always)
  func anyInteger() throws(PostgresError) -> Int64 {
    guard let bytes else { throw failure("unexpected NULL") }
    switch type {
    case .int8: return try integer(Int64.self, bytes)
    case .int4: return Int64(try integer(Int32.self, bytes))
    case .int2: return Int64(try integer(Int16.self, bytes))
    default: throw failure("type \(type.objectIdentifier) instead of an integer")
    }
  }
}

extension Bool: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Bool {
    try cell.integer(UInt8.self, try cell.required(.bool)) != 0
  }
}

extension Int16: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int16 {
    try cell.integer(Int16.self, try cell.required(.int2))
  }
}

/// From `int4` and `int2`.
extension Int32: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int32 {
    guard let value = Int32(exactly: try cell.anyInteger()), cell.type != .int8 else {
      throw cell.failure("int8 instead of int4")
    }
    return value
  }
}

/// From `int8`, `int4` and `int2`.
extension Int64: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int64 { try cell.anyInteger() }
}

/// From `int8`, `int4` and `int2`.
extension Int: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int { Int(try cell.anyInteger()) }
}

/// From `float8` and `float4`; NaN and infinities come as they are stored.
extension Double: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Double {
    if cell.type == .float8 { return Double(bitPattern: try cell.integer(UInt64.self, try cell.required(.float8))) }
    let bytes = try cell.required(oneOf: .float4, .float8)
    return Double(Float(bitPattern: try cell.integer(UInt32.self, bytes)))
  }
}

/// From `text`, `varchar`, `char(n)` and `name`. The connection's encoding is UTF-8, which the server guarantees.
extension String: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> String {
    if cell.type == .text { return String(decoding: try cell.required(.text), as: UTF8.self) }
    return String(decoding: try cell.required(oneOf: .varchar, .bpchar, .name), as: UTF8.self)
  }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Wrapped? {
    guard cell.bytes != nil else { return nil }
    return try Wrapped.decode(cell)
  }
}
