/// An element of a Swift array that is bound as one PostgreSQL array, as `unnest($1)` takes it.
///
/// A protocol of its own, because an array of bytes is no array to PostgreSQL but one `bytea`: `UInt8` is an element
/// without being a value.
public protocol PostgresArrayElement: Sendable {
  /// The type of the whole array.
  static var arrayType: PostgresType { get }
  static func encode(elements: [Self], into buffer: inout ParameterBuffer)
  static func decode(elements cell: PostgresCell) throws(PostgresError) -> [Self]
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
  @inlinable public static var postgresType: PostgresType { Element.arrayType }
  @inlinable public func encode(into buffer: inout ParameterBuffer) { Element.encode(elements: self, into: &buffer) }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> [Element] {
    try Element.decode(elements: cell)
  }
}

// `array_recv` and `array_send` in PostgreSQL's arrayfuncs.c: dimensions, a flag for NULLs, the element type, then
// length and lower bound of each dimension, then the elements with their lengths. An empty array has no dimension.
extension PostgresArrayElement where Self: PostgresEncodable & PostgresDecodable {
  @inlinable public static func encode(elements: [Self], into buffer: inout ParameterBuffer) {
    buffer.append(bigEndian: Int32(elements.isEmpty ? 0 : 1))
    buffer.append(bigEndian: Int32(elements.contains(where: \.isNull) ? 1 : 0))
    buffer.append(bigEndian: postgresType.objectIdentifier)
    guard !elements.isEmpty else { return }
    buffer.append(bigEndian: Int32(elements.count))
    buffer.append(bigEndian: Int32(1))
    for element in elements { buffer.appendWithLength(element) }
  }

  public static func decode(elements cell: PostgresCell) throws(PostgresError) -> [Self] {
    var rest = try cell.required(arrayType)
    let dimensions = try nextInteger(&rest, cell)
    _ = try nextInteger(&rest, cell)
    let elementType = PostgresType(objectIdentifier: UInt32(bitPattern: try nextInteger(&rest, cell)))
    guard dimensions > 0 else { return [] }
    guard dimensions == 1 else { throw cell.failure("an array of \(dimensions) dimensions") }
    let count = Int(try nextInteger(&rest, cell))
    _ = try nextInteger(&rest, cell)
    // Each element has a length of four bytes, so a count beyond that is a lie that must not become an allocation.
    guard count >= 0, count <= rest.count / 4 else { throw cell.failure("an array longer than its bytes") }
    var elements: [Self] = []
    elements.reserveCapacity(count)
    for _ in 0..<count {
      let length = Int(try nextInteger(&rest, cell))
      guard length <= rest.count else { throw cell.failure("an element longer than its array") }
      let bytes = length < 0 ? nil : UnsafeRawBufferPointer(rebasing: rest.prefix(length))
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(max(0, length)))
      elements.append(try decode(PostgresCell(bytes: bytes, type: elementType, column: cell.column)))
    }
    return elements
  }

  private static func nextInteger(
    _ rest: inout UnsafeRawBufferPointer, _ cell: PostgresCell
  ) throws(PostgresError) -> Int32 {
    guard rest.count >= 4 else { throw cell.failure("a truncated array") }
    let value = Int32(bigEndian: rest.loadUnaligned(as: Int32.self))
    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(4))
    return value
  }
}

/// `[UInt8]` is one `bytea`.
extension UInt8: PostgresArrayElement {
  @inlinable public static var arrayType: PostgresType { .bytea }
  @inlinable public static func encode(elements: [UInt8], into buffer: inout ParameterBuffer) {
    buffer.append(contentsOf: elements)
  }
  public static func decode(elements cell: PostgresCell) throws(PostgresError) -> [UInt8] {
    Array(try cell.required(.bytea))
  }
}

extension Bool: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .boolArray } }
extension Int16: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .int2Array } }
extension Int32: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .int4Array } }
extension Int64: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .int8Array } }
extension Int: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .int8Array } }
extension Double: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .float8Array } }
extension String: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .textArray } }
extension PostgresUUID: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .uuidArray } }
extension Timestamp: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .timestamptzArray } }
extension JSONB: PostgresArrayElement { @inlinable public static var arrayType: PostgresType { .jsonbArray } }

extension Array: PostgresArrayElement where Element == UInt8 {
  @inlinable public static var arrayType: PostgresType { .byteaArray }
}

extension Optional: PostgresArrayElement
where Wrapped: PostgresArrayElement & PostgresEncodable & PostgresDecodable {
  @inlinable public static var arrayType: PostgresType { Wrapped.arrayType }
}
