internal import CMicroHTTPD

/// A response as libmicrohttpd keeps it: headers copied, body copied or kept alive, reference-counted by the library.
///
/// Sendable: nothing changes it after `init`, and the library guards its reference count by a lock.
struct MessageHandle: ~Copyable, @unchecked Sendable {
  /// Beyond this copying costs more than keeping the array alive does.
  private static let copiedBodyBytesMax = 4096

  let pointer: OpaquePointer

  /// - Parameter closesConnection: whether the connection ends after this response.
  init(
    status: Int, headers: [(name: String, value: String)], body: [UInt8], closesConnection: Bool = false
  ) throws(ResponseFault) {
    try Self.check(status, headers)
    pointer = try Self.finished(Self.make(body), headers, closesConnection)
  }

  /// - Parameter body: kept alive until the answer is over.
  init(
    status: Int, headers: [(name: String, value: String)], body: StreamedBody, closesConnection: Bool
  ) throws(ResponseFault) {
    try Self.check(status, headers)
    let owner = Unmanaged.passRetained(body).toOpaque()
    let made = mhd_stream_response(
      Self.streamBlockBytes,
      { owner, _, buffer, count in
        Unmanaged<StreamedBody>.fromOpaque(owner!).takeUnretainedValue()
          .read(into: UnsafeMutableRawBufferPointer(start: buffer, count: count))
      }, owner, { Unmanaged<StreamedBody>.fromOpaque($0!).release() })
    guard let made else { fatalError("no memory for a response") }
    pointer = try Self.finished(made, headers, closesConnection)
  }
  /// What libmicrohttpd reads at once where it does not send in chunks.
  private static let streamBlockBytes = 16 * 1024

  private static func finished(
    _ made: OpaquePointer, _ headers: [(name: String, value: String)], _ closesConnection: Bool
  ) throws(ResponseFault) -> OpaquePointer {
    let own = SecurityHeaders.missing(in: headers) + (closesConnection ? [("Connection", "close")] : [])
    for (name, value) in headers + own {
      // Never ignored: the library refuses what it cannot write on one line.
      guard MHD_add_response_header(made, name, value) == .YES else {
        MHD_destroy_response(made)
        throw .invalidHeaderValue(name: name)
      }
    }
    return made
  }

  deinit { MHD_destroy_response(pointer) }

  private static func check(
    _ status: Int, _ headers: [(name: String, value: String)]
  ) throws(ResponseFault) {
    guard 200...599 ~= status else { throw .invalidStatus(status) }
    for header in headers { try check(header.name, header.value) }
  }

  /// Checked here and not left to the library, which lets control characters other than CR and LF pass.
  private static func check(_ name: String, _ value: String) throws(ResponseFault) {
    guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else { throw .invalidHeaderName(name) }
    guard !value.isEmpty, value.utf8.allSatisfy(isFieldValueByte) else { throw .invalidHeaderValue(name: name) }
    switch name.utf8.count {
    case 4, 10, 14, 17:
      let reserved = ["date", "connection", "content-length", "transfer-encoding"]
      if reserved.contains(name.lowercased()) { throw .reservedHeader(name) }
    default: break
    }
  }

  /// The library's own reference of the body: a copy when that is cheap, the array kept alive otherwise.
  private static func make(_ body: [UInt8]) -> OpaquePointer {
    let made: OpaquePointer?
    if body.count <= copiedBodyBytesMax {
      made = body.withUnsafeBytes { bytes in
        MHD_create_response_from_buffer(
          bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress), .RESPMEM_MUST_COPY)
      }
    } else {
      let owner = Unmanaged.passRetained(BodyOwner(body))
      made = owner.takeUnretainedValue().bytes.withUnsafeBytes { bytes in
        MHD_create_response_from_buffer_with_free_callback_cls(
          bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress),
          { Unmanaged<BodyOwner>.fromOpaque($0!).release() }, owner.toOpaque())
      }
    }
    guard let made else { fatalError("no memory for a response of \(body.count) bytes") }
    return made
  }
}

/// Keeps the storage of a body where it is while the library sends from it: an array's heap storage does not move
/// while a reference holds it and nobody mutates it.
private final class BodyOwner {
  let bytes: [UInt8]
  init(_ bytes: [UInt8]) { self.bytes = bytes }
}
