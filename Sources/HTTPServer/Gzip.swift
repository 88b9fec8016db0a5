internal import CZlib
import Synchronization

/// gzip (RFC 1952), by zlib.
enum Gzip {
  /// Why bytes cannot be unpacked.
  enum Fault: Error, Equatable {
    /// Not gzip, damaged, cut off, or followed by something else.
    case malformed
    /// It unpacks to more than is taken.
    case tooLarge
  }

  /// 32 KiB of history, the most there is; the 16 says gzip and not zlib's own form.
  static let windowBits: Int32 = 15 + 16
  /// Unpacked at a time: what a body that lies about itself can cost beyond its limit.
  fileprivate static let pieceBytes = 64 * 1024

  /// Packs `bytes` as one member. It takes about a millisecond for 64 KiB of JSON.
  /// - Returns: nil when no memory is left for it.
  static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
    var stream = z_stream()
    guard
      deflateInit2_(
        &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { return nil }
    defer { deflateEnd(&stream) }
    let capacity = Int(deflateBound(&stream, UInt(bytes.count)))
    var isWhole = false
    let packed = [UInt8](unsafeUninitializedCapacity: capacity) { storage, count in
      bytes.withUnsafeBufferPointer { bytes in
        stream.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress)
        stream.avail_in = UInt32(bytes.count)
        stream.next_out = storage.baseAddress
        stream.avail_out = UInt32(capacity)
        isWhole = deflate(&stream, Z_FINISH) == Z_STREAM_END
      }
      count = isWhole ? capacity - Int(stream.avail_out) : 0
    }
    return isWhole ? packed : nil
  }

  /// Unpacks one member or several in a row, never more than a piece beyond the limit.
  static func decompressed(_ bytes: [UInt8], bytesMax: Int) throws(Fault) -> [UInt8] {
    var stream = z_stream()
    guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw .malformed
    }
    defer { inflateEnd(&stream) }
    let outcome = bytes.withUnsafeBufferPointer { bytes -> Result<[UInt8], Fault> in
      stream.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress)
      stream.avail_in = UInt32(bytes.count)
      return Result { () throws(Fault) in try unpack(&stream, bytesMax) }
    }
    return try outcome.get()
  }

  private static func unpack(_ stream: inout z_stream, _ bytesMax: Int) throws(Fault) -> [UInt8] {
    var unpacked: [UInt8] = []
    while true {
      var status = Z_OK
      let piece = [UInt8](unsafeUninitializedCapacity: pieceBytes) { storage, count in
        stream.next_out = storage.baseAddress
        stream.avail_out = UInt32(pieceBytes)
        status = inflate(&stream, Z_NO_FLUSH)
        count = pieceBytes - Int(stream.avail_out)
      }
      guard unpacked.count + piece.count <= bytesMax else { throw .tooLarge }
      unpacked += piece
      switch status {
      case Z_STREAM_END where stream.avail_in == 0: return unpacked
      // What follows has to be another member.
      case Z_STREAM_END: guard inflateReset(&stream) == Z_OK else { throw .malformed }
      case Z_OK where stream.avail_in > 0 || stream.avail_out == 0: continue
      default: throw .malformed
      }
    }
  }
}

extension BodyStream {
  /// The same as one member, which costs 256 KiB while it is sent; nil when there is no memory for that.
  func gzipped() -> BodyStream? {
    guard let packer = GzipPacker.make() else { return nil }
    return BodyStream(isEndless: isEndless) {
      while !packer.isFinished {
        let piece = try await next()
        // A piece takes up to a millisecond, for which a loop would be held up.
        let packed = await withTaskExecutorPreference(globalConcurrentExecutor) { packer.pack(piece) }
        // zlib keeps what it has not made up its mind about.
        if !packed.isEmpty { return packed }
      }
      return nil
    }
  }
}

/// Packs a body that comes in pieces.
private final class GzipPacker: Sendable {
  /// Where it is, because zlib holds the stream to its address.
  private struct Stream: ~Copyable {
    let pointer: UnsafeMutablePointer<z_stream>
    var isFinished = false

    init(_ pointer: UnsafeMutablePointer<z_stream>) { self.pointer = pointer }

    deinit {
      deflateEnd(pointer)
      pointer.deallocate()
    }
  }

  private let stream: Mutex<Stream>

  private init(_ stream: consuming sending Stream) { self.stream = Mutex(stream) }

  /// Nil when no memory is left for it.
  static func make() -> GzipPacker? {
    let pointer = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    pointer.initialize(to: z_stream())
    let status = deflateInit2_(
      pointer, Z_DEFAULT_COMPRESSION, Z_DEFLATED, Gzip.windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      pointer.deallocate()
      return nil
    }
    return GzipPacker(Stream(pointer))
  }

  var isFinished: Bool { stream.withLock { $0.isFinished } }

  /// - Parameter piece: nil at the end.
  func pack(_ piece: [UInt8]?) -> [UInt8] {
    stream.withLock { stream in
      stream.isFinished = piece == nil
      let zlib = stream.pointer
      return (piece ?? []).withUnsafeBufferPointer { bytes in
        zlib.pointee.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress)
        zlib.pointee.avail_in = UInt32(bytes.count)
        var packed: [UInt8] = []
        repeat {
          packed += [UInt8](unsafeUninitializedCapacity: Gzip.pieceBytes) { storage, count in
            zlib.pointee.next_out = storage.baseAddress
            zlib.pointee.avail_out = UInt32(Gzip.pieceBytes)
            // Nothing but a full buffer stops it: the state is its own, and the input is in memory.
            deflate(zlib, piece == nil ? Z_FINISH : Z_NO_FLUSH)
            count = Gzip.pieceBytes - Int(zlib.pointee.avail_out)
          }
        } while zlib.pointee.avail_out == 0
        return packed
      }
    }
  }
}
