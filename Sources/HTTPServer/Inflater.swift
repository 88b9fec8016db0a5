internal import CZlib

/// Unpacks gzip (RFC 1952) that comes in pieces, one member or several in a row, a bounded piece at a time: what a body
/// unpacks to is never held whole.
final class Inflater {
  private var stream = z_stream()
  private let isReady: Bool
  private var packed: [UInt8] = []
  private var used = 0
  /// Whether what was read so far ends with a whole member.
  private var isBetweenMembers = false

  private static let pieceBytes = 256 * 1024

  init() {
    isReady =
      inflateInit2_(&stream, Gzip.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
  }

  deinit { if isReady { inflateEnd(&stream) } }

  /// More of the packed bytes; those before were used up.
  func add(_ bytes: [UInt8]) { (packed, used) = (bytes, 0) }

  /// The next unpacked piece; nil when more packed bytes are needed.
  /// - Throws: `Problem` for what is not gzip.
  func next() throws(Problem) -> [UInt8]? {
    guard isReady else { throw .malformedGzip }
    while used < packed.count {
      if isBetweenMembers {
        guard inflateReset(&stream) == Z_OK else { throw .malformedGzip }
        isBetweenMembers = false
      }
      var status = Z_OK
      let piece = [UInt8](unsafeUninitializedCapacity: Self.pieceBytes) { storage, count in
        packed.withUnsafeBufferPointer { packed in
          stream.next_in = UnsafeMutablePointer(mutating: packed.baseAddress! + used)
          stream.avail_in = UInt32(packed.count - used)
          stream.next_out = storage.baseAddress
          stream.avail_out = UInt32(Self.pieceBytes)
          status = inflate(&stream, Z_NO_FLUSH)
          used = packed.count - Int(stream.avail_in)
        }
        count = Self.pieceBytes - Int(stream.avail_out)
      }
      guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else { throw .malformedGzip }
      isBetweenMembers = status == Z_STREAM_END
      if !piece.isEmpty { return piece }
    }
    return nil
  }

  /// The packed bytes are at their end.
  /// - Throws: `Problem` in the middle of a member.
  func finish() throws(Problem) {
    if !isBetweenMembers { throw .malformedGzip }
  }
}
