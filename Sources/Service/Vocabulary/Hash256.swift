import Crypto
import Postgres

/// The 32 bytes of a SHA-256 or HMAC-SHA-256, held without an array of their own: a batch has thousands. A `bytea` to
/// PostgreSQL.
struct Hash256: Sendable, Hashable, Comparable {
  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// - Precondition: there are 32 bytes.
  init(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count == 32, "a hash of \(bytes.count) bytes")
    words = bytes.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
  }

  init(_ digest: SHA256.Digest) { self = digest.withUnsafeBytes { Hash256($0) } }

  init(_ code: HMAC<SHA256>.MAC) { self = code.withUnsafeBytes { Hash256($0) } }

  static func == (one: Hash256, other: Hash256) -> Bool { one.words == other.words }

  /// By their bytes, as the database orders them.
  static func < (one: Hash256, other: Hash256) -> Bool {
    let (left, right) = (one.words, other.words)
    if left.0 != right.0 { return left.0.bigEndian < right.0.bigEndian }
    if left.1 != right.1 { return left.1.bigEndian < right.1.bigEndian }
    if left.2 != right.2 { return left.2.bigEndian < right.2.bigEndian }
    return left.3.bigEndian < right.3.bigEndian
  }

  func hash(into hasher: inout Hasher) { withUnsafeBytes(of: words) { hasher.combine(bytes: $0) } }
}

extension Hash256: PostgresEncodable, PostgresDecodable, PostgresArrayElement {
  static var postgresType: PostgresType { .bytea }
  static var arrayType: PostgresType { .byteaArray }

  func encode(into buffer: inout ParameterBuffer) { withUnsafeBytes(of: words) { buffer.append(contentsOf: $0) } }

  static func decode(_ cell: PostgresCell) throws(PostgresError) -> Hash256 {
    let bytes = try cell.required(.bytea)
    guard bytes.count == 32 else { throw cell.failure("a hash of \(bytes.count) bytes") }
    return Hash256(bytes)
  }
}
