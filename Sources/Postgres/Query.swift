/// A statement: SQL in which every interpolated value is bound as a parameter, in binary.
///
///     let query: Query = "select name from provider where id = \(id)"
///
/// Text enters the SQL only as the literal itself or by the loud label `\(unsafeRaw: text)`, which is for identifiers
/// and fragments the program itself wrote. One statement only; a script goes through `Connection.executeScript`.
public struct Query: ExpressibleByStringInterpolation, Sendable {
  /// With `$1`, `$2`, ... in place of the values.
  public private(set) var sql: String
  /// The bound values.
  public private(set) var bindings: Bindings

  public init(stringLiteral value: String) {
    sql = value
    bindings = Bindings()
  }

  public init(stringInterpolation: StringInterpolation) {
    sql = stringInterpolation.sql
    bindings = stringInterpolation.bindings
  }

  public struct StringInterpolation: StringInterpolationProtocol, Sendable {
    @usableFromInline var sql = ""
    @usableFromInline var bindings = Bindings()

    public init(literalCapacity: Int, interpolationCount: Int) {
      sql.reserveCapacity(literalCapacity + 4 * interpolationCount)
      bindings.parameters.reserveCapacity(interpolationCount)
    }

    public mutating func appendLiteral(_ literal: String) { sql += literal }

    @inlinable
    public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value) {
      bindings.append(value)
      sql += "$"
      sql += String(bindings.count)
    }

    /// An optional, nil being NULL. Its own overload, because the compiler takes an optional in a generic interpolation
    /// for a mistake.
    @inlinable
    public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
      bindings.append(value)
      sql += "$"
      sql += String(bindings.count)
    }

    /// Another statement or a part of one, with its values: how a statement is put together from conditions.
    public mutating func appendInterpolation(_ part: Query) {
      let count = bindings.count
      // Within the part's text `$` and digits are a parameter's place and nothing else, or it could not run by itself.
      // By bytes: characters cost ten times as much, and large statements are made of parts for every batch.
      var rest = part.sql.utf8[...]
      while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
        let start = rest.index(after: dollar)
        let digits = rest[start...].prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        sql += Substring(rest[...dollar])
        sql += Int(Substring(digits)).map { String($0 + count) } ?? ""
        rest = rest[digits.endIndex...]
      }
      sql += Substring(rest)
      bindings.append(part.bindings)
    }

    /// Puts `text` into the SQL as it is: never anything that came from outside the program.
    public mutating func appendInterpolation(unsafeRaw text: String) { sql += text }
  }
}

/// The values of a statement, encoded: one run of bytes and where each value lies in it, so that all pointers handed
/// to libpq come from a single buffer that cannot move meanwhile.
public struct Bindings: Sendable {
  @usableFromInline struct Parameter: Sendable {
    @usableFromInline var type: UInt32
    @usableFromInline var offset: Int
    /// Nil for NULL.
    @usableFromInline var lengthBytes: Int?

    @inlinable
    init(type: UInt32, offset: Int, lengthBytes: Int?) {
      self.type = type
      self.offset = offset
      self.lengthBytes = lengthBytes
    }
  }

  /// The protocol counts parameters in 16 bits.
  static let countMax = 65_535

  @usableFromInline var buffer = ParameterBuffer()
  @usableFromInline var parameters: [Parameter] = []

  @inlinable
  init() {}

  public var count: Int { parameters.count }

  mutating func append(_ more: Bindings) {
    let offset = buffer.bytes.count
    buffer.append(contentsOf: more.buffer.bytes)
    for var parameter in more.parameters {
      parameter.offset += offset
      parameters.append(parameter)
    }
  }

  @inlinable
  mutating func append<Value: PostgresEncodable>(_ value: Value) {
    let offset = buffer.bytes.count
    let isNull = value.isNull
    if !isNull { value.encode(into: &buffer) }
    parameters.append(
      Parameter(
        type: Value.postgresType.objectIdentifier, offset: offset,
        lengthBytes: isNull ? nil : buffer.bytes.count - offset))
  }
}
