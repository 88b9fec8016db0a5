internal import CMicroHTTPD

/// Reads the header section of a request out of libmicrohttpd's connection memory.
///
/// The library ends lines at a bare LF, joins folded lines and cuts a line at a NUL without a word, which is how two
/// parsers in a row come to see different requests. All of it leaves a trace: the fields it reports then no longer
/// stand one behind the other, two bytes (CR LF) apart. So exactly that is checked, and the section copied in one go.
enum HeaderSection {
  private struct Cursor {
    let base: UnsafePointer<UInt8>
    var end: UnsafePointer<UInt8>
    var entries: [Headers.Entry] = []
    var isUnbroken = true
  }

  /// - Parameters:
  ///   - start: the first byte of the request line.
  ///   - version: the `HTTP/1.1` of the request line, as the library hands it to its handler.
  /// - Returns: nil when the section holds a bare LF, a folded line or a NUL. On the daemon's thread only.
  static func read(
    _ connection: OpaquePointer, start: UnsafePointer<CChar>, version: UnsafePointer<CChar>
  ) -> Headers? {
    let first = UnsafeRawPointer(version).assumingMemoryBound(to: UInt8.self) + "HTTP/1.1".utf8.count + 2
    var cursor = Cursor(base: first, end: first)
    cursor.entries.reserveCapacity(12)
    withUnsafeMutablePointer(to: &cursor) { pointer in
      _ = MHD_get_connection_values_n(
        connection, .HEADER_KIND,
        { context, _, name, nameBytes, value, valueBytes in
          let cursor = context!.assumingMemoryBound(to: Cursor.self)
          guard let name, let value else {
            cursor.pointee.isUnbroken = false
            return .YES
          }
          HeaderSection.append(&cursor.pointee, name, nameBytes, value, valueBytes)
          return .YES
        }, pointer)
    }
    let sectionEnd = UnsafeRawPointer(start) + mhd_header_section_bytes(connection)
    guard cursor.isUnbroken, UnsafeRawPointer(cursor.end) + 2 == sectionEnd else { return nil }
    let bytes = Array(UnsafeBufferPointer(start: cursor.base, count: cursor.end - cursor.base))
    return Headers(bytes: bytes, entries: cursor.entries)
  }

  /// The version and the fields as they lie in the connection's memory after the library took them apart, until the
  /// next callback returns. Two requests with the same target in which these are equal are the same request.
  static func bytes(
    _ connection: OpaquePointer, start: UnsafePointer<CChar>, version: UnsafePointer<CChar>
  ) -> UnsafeRawBufferPointer {
    let first = UnsafeRawPointer(version)
    let end = UnsafeRawPointer(start) + mhd_header_section_bytes(connection)
    return UnsafeRawBufferPointer(start: first, count: max(0, end - first))
  }

  private static func append(
    _ cursor: inout Cursor, _ name: UnsafePointer<CChar>, _ nameBytes: Int, _ value: UnsafePointer<CChar>,
    _ valueBytes: Int
  ) {
    let name = UnsafeRawPointer(name).assumingMemoryBound(to: UInt8.self)
    let value = UnsafeRawPointer(value).assumingMemoryBound(to: UInt8.self)
    // Before the distances are computed: they mean something inside one piece of memory only.
    guard cursor.isUnbroken, name == cursor.end, value > name + nameBytes else {
      cursor.isUnbroken = false
      return
    }
    var trimmed = valueBytes
    while trimmed > 0, value[trimmed - 1] == 0x20 || value[trimmed - 1] == 0x09 { trimmed -= 1 }
    let nameStart = name - cursor.base
    let valueStart = value - cursor.base
    cursor.entries.append(
      Headers.Entry(name: nameStart..<nameStart + nameBytes, value: valueStart..<valueStart + trimmed))
    cursor.end = value + valueBytes + 2
  }
}
