/// A value that can be bound to a statement or written by `COPY`, always in PostgreSQL's binary format.
public protocol PostgresEncodable: Sendable {
  /// The type the server is told; it never has to guess one.
  static var postgresType: PostgresType { get }
  /// Whether the value is SQL NULL; then `encode(into:)` is not called.
  var isNull: Bool { get }
  /// Appends the binary form without a length.
  func encode(into buffer: inout ParameterBuffer)
}

extension PostgresEncodable {
  @inlinable public var isNull: Bool { false }
}

/// Bytes under construction, in network order.
///
/// Inlinable like all that encodes with it: a batch of results is tens of thousands of values, and the generic code of
/// another module would ask for each one's type at run time.
public struct ParameterBuffer: Sendable {
  @usableFromInline var bytes: [UInt8] = []

  @inlinable
  init() {}

  @inlinable @inline(__always)
  public mutating func append<Integer: FixedWidthInteger>(bigEndian value: Integer) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }

  @inlinable @inline(__always)
  public mutating func append(contentsOf more: some Sequence<UInt8>) {
    bytes.append(contentsOf: more)
  }

  /// Appends a length of four bytes and then the value; a NULL is the length -1. Arrays and COPY are made of these.
  @inlinable @inline(__always)
  mutating func appendWithLength(_ value: some PostgresEncodable) {
    guard !value.isNull else { return append(bigEndian: Int32(-1)) }
    let lengthOffset = bytes.count
    append(bigEndian: Int32(0))
    value.encode(into: &self)
    overwrite(at: lengthOffset, bigEndian: Int32(bytes.count - lengthOffset - 4))
  }

  @inlinable @inline(__always)
  mutating func overwrite(at offset: Int, bigEndian value: Int32) {
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Int32.self) }
  }
}

extension Bool: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { .bool }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { buffer.append(bigEndian: UInt8(self ? 1 : 0)) }
}

extension Int16: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { .int2 }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { buffer.append(bigEndian: self) }
}

extension Int32: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { .int4 }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { buffer.append(bigEndian: self) }
}

extension Int64: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { .int8 }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { buffer.append(bigEndian: self) }
}

extension Int: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { .int8 }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { buffer.append(bigEndian: Int64(self)) }
}

extension Double: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { .float8 }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { buffer.append(bigEndian: bitPattern) }
}

/// As `text`. U+0000 is refused by the server (22021), so it has to be refused where the text enters the program.
extension String: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { .text }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { buffer.append(contentsOf: utf8) }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
  @inlinable public static var postgresType: PostgresType { Wrapped.postgresType }
  @inlinable public var isNull: Bool {
    guard case .some(let value) = self else { return true }
    return value.isNull
  }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { self?.encode(into: &buffer) }
}
