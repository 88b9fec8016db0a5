import Crypto
import HTTPServer
import JSON

/// What `Content-Digest` says of a body as it is sent, in its coding (RFC 9530).
struct ContentDigest: Sendable {
  static let header = "Content-Digest"

  private var sha256: [UInt8]?
  private var sha512: [UInt8]?

  /// Digests by other algorithms are passed over, as the RFC has it; one of ours has to be there.
  init(_ headers: Headers) throws(JSONFault) {
    let entries: [StructuredField.Entry]
    do throws(StructuredField.Fault) {
      entries = try StructuredField.dictionary(headers.all(Self.header))
    } catch {
      throw JSONFault(pointer: Self.header, detail: "\(error)")
    }
    sha256 = try Self.digest("sha-256", bytes: SHA256.byteCount, in: entries)
    sha512 = try Self.digest("sha-512", bytes: SHA512.byteCount, in: entries)
    if sha256 == nil, sha512 == nil {
      throw JSONFault(pointer: Self.header, detail: "must hold a digest by sha-256 or sha-512")
    }
  }

  private static func digest(
    _ name: String, bytes count: Int, in entries: [StructuredField.Entry]
  ) throws(JSONFault) -> [UInt8]? {
    guard let entry = entries.first(where: { $0.name == name }) else { return nil }
    guard case .item(let item) = entry.member, case .bytes(let bytes) = item.value, bytes.count == count else {
      throw JSONFault(pointer: header, detail: "must hold \(count) bytes for \(name)")
    }
    return bytes
  }

  /// Whether every digest of ours is that of the body.
  func matches(_ body: [UInt8]) -> Bool {
    (sha256.map { $0 == Array(SHA256.hash(data: body)) } ?? true)
      && (sha512.map { $0 == Array(SHA512.hash(data: body)) } ?? true)
  }
}
