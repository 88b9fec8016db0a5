/// JSON text that is bound as `jsonb` and read from `jsonb` or `json`. Nothing is parsed here; the server refuses
/// text that is no JSON with 22P02.
public struct JSONB: Sendable, Hashable {
  /// UTF-8.
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
}

extension JSONB: PostgresEncodable, PostgresDecodable {
  public static var postgresType: PostgresType { .jsonb }

  /// The binary form of `jsonb` is a version and the text; there has been no other version than 1.
  private static let version: UInt8 = 1

  public func encode(into buffer: inout ParameterBuffer) {
    buffer.append(bigEndian: Self.version)
    buffer.append(contentsOf: bytes)
  }

  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> JSONB {
    let bytes = try cell.required(oneOf: .jsonb, .json)
    if cell.type == .json { return JSONB(Array(bytes)) }
    guard bytes.first == version else { throw cell.failure("an unknown version of jsonb") }
    return JSONB(Array(bytes.dropFirst()))
  }
}
