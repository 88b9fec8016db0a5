import Glibc

/// A listening socket that the process was started with, as systemd's socket activation hands it over
/// (sd_listen_fds(3)): `LISTEN_FDS` says how many, `LISTEN_PID` for whom, and they begin with descriptor 3.
///
/// It belongs to the parent as well, who keeps it across restarts. So it is never filtered nor drained at the end:
/// connections that come meanwhile wait in its backlog for the next process.
public struct InheritedSocket: Sendable {
  public let address: ListenAddress
  private let descriptor: Int32

  private static let descriptorFirst: Int32 = 3

  /// Takes the socket out of the environment, so that no child process takes it for its own.
  /// - Returns: nil when there is none for this process.
  /// - Throws: `ListenFault` when there are several, or it is no listening TCP socket.
  public static func take() throws(ListenFault) -> InheritedSocket? {
    defer { for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] { unsetenv(name) } }
    guard let count = number("LISTEN_FDS"), number("LISTEN_PID") == getpid(), count > 0 else { return nil }
    guard count == 1 else {
      throw ListenFault(
        address: "\(count) inherited sockets", reason: "there must be one; give the socket unit one ListenStream=")
    }
    return try InheritedSocket(descriptor: descriptorFirst)
  }

  private static func number(_ name: String) -> Int32? { getenv(name).flatMap { Int32(String(cString: $0)) } }

  init(descriptor: Int32) throws(ListenFault) {
    let name = "the inherited socket (descriptor \(descriptor))"
    guard Self.option(SO_TYPE, of: descriptor) == Int32(SOCK_STREAM.rawValue),
      Self.option(SO_ACCEPTCONN, of: descriptor) == 1
    else { throw ListenFault(address: name, reason: "it is not a socket that listens for connections") }
    guard let address = Self.address(of: descriptor) else {
      throw ListenFault(address: name, reason: "it is not a TCP socket; give ListenStream= an address and a port")
    }
    // A child process must not keep it, and an accept must not wait for a connection that another loop took.
    guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0,
      fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0
    else { throw ListenFault(address: name, reason: String(cString: strerror(errno))) }
    self.address = address
    self.descriptor = descriptor
  }

  /// A descriptor for each loop. They are one socket: a new connection wakes every loop, and goes to the first.
  func descriptors(count: Int) throws(ListenFault) -> [Int32] {
    var copies: [Int32] = []
    for _ in 0..<count {
      let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, Self.descriptorFirst)
      guard copy >= 0 else {
        let reason = String(cString: strerror(errno))
        for copy in copies { close(copy) }
        throw ListenFault(address: "\(address)", reason: reason)
      }
      copies.append(copy)
    }
    return copies
  }

  private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
  }

  /// Nil for another family than IPv4 and IPv6.
  private static func address(of descriptor: Int32) -> ListenAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let status = withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    guard status == 0, [AF_INET, AF_INET6].contains(Int32(storage.ss_family)) else { return nil }
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
    let named = withUnsafePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getnameinfo(
          $0, length, &host, socklen_t(host.count), &port, socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV)
      }
    }
    guard named == 0, let number = UInt16(text(port)) else { return nil }
    return ListenAddress(host: text(host), port: number)
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
