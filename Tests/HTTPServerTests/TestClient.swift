import Glibc

/// A response as it came over the wire.
struct Reply {
  var status: Int
  var headers: [(name: String, value: String)]
  var bytes: [UInt8] = []
  var body: String { String(decoding: bytes, as: UTF8.self) }

  subscript(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
}

/// What went wrong on the client's side.
enum ClientFault: Error, Equatable {
  case connect(Int32)
  case send(Int32)
  case closed
  case timeout
  case malformed(String)
}

/// A client that writes raw bytes and blocks: what it sends is exactly what a test says, malformed or not.
/// Used on plain threads only (`TestServer.run`), since a blocked thread of the cooperative pool is one less for all.
final class TestClient {
  let descriptor: Int32
  private var buffer: [UInt8] = []

  /// - Parameters:
  ///   - lastByte: of the address that it calls from, 127.0.0.x.
  ///   - timeoutSeconds: of each connect, send and receive; generous, since the machine may be busy.
  init(_ port: UInt16, from lastByte: UInt32 = 1, timeoutSeconds: Int = 20) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }
    // `deinit` runs all the same: every property is set.
    let isBound = Self.withLoopbackAddress(lastByte, port: 0) { bind(descriptor, $0, $1) == 0 }
    guard isBound, Self.withLoopbackAddress(1, port: port, { connect(descriptor, $0, $1) == 0 }) else {
      throw ClientFault.connect(errno)
    }
  }

  private static func withLoopbackAddress(
    _ lastByte: UInt32, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Bool
  ) -> Bool {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = (0x7F00_0000 | lastByte).bigEndian
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  deinit { close(descriptor) }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw ClientFault.send(errno) }
      sent += count
    }
  }

  /// A request without a body, or with one and its length.
  func request(
    _ method: String = "GET", _ target: String, _ headers: [String] = [], body: String? = nil
  ) throws {
    var lines = ["\(method) \(target) HTTP/1.1", "Host: test"] + headers
    if let body { lines += ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"] }
    try send(lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
  }

  /// Posts a body that may be no text.
  func post(_ target: String, _ headers: [String] = [], bytes: [UInt8]) throws -> Reply {
    let own = ["Content-Type: application/json", "Content-Length: \(bytes.count)"]
    let lines = ["POST \(target) HTTP/1.1", "Host: test"] + own + headers
    try send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + bytes)
    return try read()
  }

  /// Sends a request and reads its response.
  func exchange(
    _ method: String = "GET", _ target: String, _ headers: [String] = [], body: String? = nil
  ) throws -> Reply {
    try request(method, target, headers, body: body)
    return try read(isHead: method == "HEAD")
  }

  /// The next response; `100 Continue` counts as one.
  func read(isHead: Bool = false) throws -> Reply {
    let end: [UInt8] = [13, 10, 13, 10]
    var headEnd = 0
    while true {
      let start = max(0, headEnd - 3)
      if let found = buffer[start...].indices.first(where: { buffer[$0...].starts(with: end) }) {
        headEnd = found
        break
      }
      headEnd = buffer.count
      try receive()
    }
    let lines = String(decoding: buffer[..<headEnd], as: UTF8.self).split(separator: "\r\n")
    buffer.removeFirst(headEnd + 4)
    guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
      throw ClientFault.malformed(lines.joined(separator: "|"))
    }
    var reply = Reply(status: status, headers: [])
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { throw ClientFault.malformed(String(line)) }
      reply.headers.append(
        (String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " })))
    }
    let length = reply["Content-Length"].flatMap { Int($0) } ?? 0
    if !isHead, status >= 200, status != 204, status != 304 {
      while buffer.count < length { try receive() }
      reply.bytes = Array(buffer[..<length])
      buffer.removeFirst(length)
    }
    return reply
  }

  /// What stands before the next CR LF.
  func readLine() throws -> String {
    while true {
      if let end = buffer.indices.first(where: { buffer[$0...].starts(with: [13, 10]) }) {
        defer { buffer.removeFirst(end + 2) }
        return String(decoding: buffer[..<end], as: UTF8.self)
      }
      try receive()
    }
  }

  func readBytes(_ count: Int) throws -> [UInt8] {
    while buffer.count < count { try receive() }
    defer { buffer.removeFirst(count) }
    return Array(buffer[..<count])
  }

  /// Everything until the server closes.
  func readToEnd() throws -> String {
    while true {
      do {
        try receive()
      } catch ClientFault.closed {
        return String(decoding: buffer, as: UTF8.self)
      }
    }
  }

  private func receive() throws {
    let piece = [UInt8](unsafeUninitializedCapacity: 65536) { storage, count in
      count = max(0, recv(descriptor, storage.baseAddress, storage.count, 0))
      if count == 0, errno == EAGAIN { errno = ETIMEDOUT } else if count == 0 { errno = 0 }
    }
    guard piece.isEmpty else {
      buffer += piece
      return
    }
    throw errno == ETIMEDOUT ? ClientFault.timeout : ClientFault.closed
  }
}
