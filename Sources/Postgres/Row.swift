import CLibPQ

/// A complete result of one statement.
///
/// Unchecked: libpq documents a `PGresult` as read-only once it was handed out, and this class is its only owner, so
/// rows may be decoded where they are needed and the loop has no part in it.
@usableFromInline
final class ResultTable: @unchecked Sendable {
  private let result: OpaquePointer

  /// Takes over the result and frees it when nobody holds the table any more.
  init(taking result: OpaquePointer) { self.result = result }

  deinit { PQclear(result) }

  @usableFromInline var rowCount: Int { Int(PQntuples(result)) }

  /// Rows affected, or returned for a select; 0 for statements without a count.
  var affectedRowCount: Int {
    // The text is never longer than a 64-bit number.
    Int(String(cString: PQcmdTuples(result))) ?? 0
  }

  /// As the server names what it did: `COMMIT`, `ROLLBACK`, `INSERT 0 1`.
  var commandTag: String { String(cString: PQcmdStatus(result)) }

  func cell(row: Int32, column: Int32) throws(PostgresError) -> PostgresCell {
    guard column < PQnfields(result) else {
      throw .decoding(DecodingFailure(column: Int(column), reason: "the result has no such column"))
    }
    var bytes: UnsafeRawBufferPointer?
    if PQgetisnull(result, row, column) == 0 {
      bytes = UnsafeRawBufferPointer(
        start: PQgetvalue(result, row, column), count: Int(PQgetlength(result, row, column)))
    }
    // Every result is asked for in binary; a text one would be misread.
    guard PQfformat(result, column) == 1 else {
      throw .decoding(DecodingFailure(column: Int(column), reason: "not in binary format"))
    }
    return PostgresCell(
      bytes: bytes, type: PostgresType(objectIdentifier: PQftype(result, column)), column: Int(column))
  }

  /// Decodes all rows in order.
  @inlinable
  func map<Value>(_ decode: (inout Row) throws -> Value) throws(PostgresError) -> [Value] {
    let count = rowCount
    var values: [Value] = []
    values.reserveCapacity(count)
    for index in 0..<count {
      var row = Row(table: self, index: Int32(index))
      do { values.append(try decode(&row)) } catch { throw Self.decodingError(error) }
    }
    return values
  }

  /// The caller's own error, when a stored value does not make one of its types, becomes one of decoding.
  @usableFromInline
  static func decodingError(_ error: any Error) -> PostgresError {
    error as? PostgresError ?? .decoding(DecodingFailure(column: nil, reason: String(describing: type(of: error))))
  }
}

/// What one of several statements returned.
public struct Rows: Sendable {
  @usableFromInline let table: ResultTable

  /// Decodes all rows in order.
  @inlinable
  public func map<Value>(_ decode: (inout Row) throws -> Value) throws(PostgresError) -> [Value] {
    try table.map(decode)
  }
}

/// One row, read from the first column on.
public struct Row {
  private let table: ResultTable
  private let index: Int32
  private var column: Int32 = 0

  @usableFromInline
  init(table: ResultTable, index: Int32) {
    self.table = table
    self.index = index
  }

  /// Decodes the next column.
  /// - Throws: `PostgresError.decoding` when there is none, or its type or value does not fit.
  @inlinable
  public mutating func next<Value: PostgresDecodable>(
    _: Value.Type = Value.self
  ) throws(PostgresError) -> Value {
    try Value.decode(nextCell())
  }

  /// Not generic, so that `next` can be specialised in the caller's module and the libpq calls stay in this one.
  @usableFromInline
  mutating func nextCell() throws(PostgresError) -> PostgresCell {
    let cell = try table.cell(row: index, column: column)
    column += 1
    return cell
  }
}
