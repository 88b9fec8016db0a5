import Glibc
import Synchronization

/// One accepted connection. Belongs to its loop's thread.
final class Connection {
  let descriptor: Int32
  let peer: Peer
  /// The request that is being read or answered.
  var exchange: Exchange?
  /// Since when the next request is awaited, or arriving.
  var idleSince = ContinuousClock.now

  init(descriptor: Int32, peer: Peer) {
    self.descriptor = descriptor
    self.peer = peer
  }

  /// Whether the client has ended its side and left nothing to read. libmicrohttpd 0.9.75 does not notice an end that
  /// came together with the last bytes: epoll reports both at once, and it stops reading at the first short read.
  var isEndedByPeer: Bool {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) == 0
  }

  /// Ends the connection from outside of libmicrohttpd, which notices at its next turn and cleans up.
  func cut() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// Which connections are let in: counted over all loops, since the kernel spreads clients over them unevenly.
public final class ConnectionGate: Sendable {
  private let limits: ServerLimits
  private let current = Atomic<Int>(0)
  private let accepted = Atomic<Int>(0)
  private let refused = Atomic<Int>(0)
  /// Only kept while there is a limit; an address without connections has no entry, so it cannot grow.
  private let perAddress = Mutex<[String: Int]>([:])

  init(limits: ServerLimits) { self.limits = limits }

  /// Open now, idle ones included.
  public var connectionsCurrent: Int { current.load(ordering: .relaxed) }
  /// Let in since the start.
  public var connectionsAccepted: Int { accepted.load(ordering: .relaxed) }
  /// Closed at once since the start, because there were too many.
  public var connectionsRefused: Int { refused.load(ordering: .relaxed) }

  /// May let in one more than allowed for each loop that asks in the same instant.
  func admits(_ peer: Peer) -> Bool {
    if hasRoom(for: peer) { return true }
    refused.add(1, ordering: .relaxed)
    return false
  }

  private func hasRoom(for peer: Peer) -> Bool {
    guard connectionsCurrent < limits.connectionsMax else { return false }
    guard limits.connectionsPerAddressMax > 0 else { return true }
    return perAddress.withLock { $0[peer.address, default: 0] } < limits.connectionsPerAddressMax
  }

  func opened(_ peer: Peer) {
    current.add(1, ordering: .relaxed)
    accepted.add(1, ordering: .relaxed)
    guard limits.connectionsPerAddressMax > 0 else { return }
    perAddress.withLock { $0[peer.address, default: 0] += 1 }
  }

  func closed(_ peer: Peer) {
    current.subtract(1, ordering: .relaxed)
    guard limits.connectionsPerAddressMax > 0 else { return }
    perAddress.withLock { counts in
      let left = counts[peer.address, default: 0] - 1
      counts[peer.address] = left > 0 ? left : nil
    }
  }
}

extension Peer {
  /// - Parameter address: an IPv4 or IPv6 socket address.
  init(_ address: UnsafePointer<sockaddr>) {
    let raw = UnsafeRawPointer(address)
    guard Int32(address.pointee.sa_family) == AF_INET6 else {
      self.init(ipv4: raw.load(as: sockaddr_in.self).sin_addr)
      return
    }
    var ipv6 = raw.load(as: sockaddr_in6.self).sin6_addr
    let bytes = withUnsafeBytes(of: &ipv6) { Array($0) }
    // ::ffff:a.b.c.d, as a socket for both families reports IPv4 clients.
    if bytes[0..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
      let mapped = withUnsafeBytes(of: &ipv6) { $0.loadUnaligned(fromByteOffset: 12, as: in_addr.self) }
      self.init(ipv4: mapped)
      return
    }
    self.init(
      address: Self.text(AF_INET6, &ipv6, bytesMax: Int(INET6_ADDRSTRLEN)),
      isLoopback: bytes[0..<15].allSatisfy { $0 == 0 } && bytes[15] == 1)
  }

  private init(ipv4: in_addr) {
    var ipv4 = ipv4
    let first = withUnsafeBytes(of: &ipv4) { $0[0] }
    self.init(address: Self.text(AF_INET, &ipv4, bytesMax: Int(INET_ADDRSTRLEN)), isLoopback: first == 127)
  }

  private static func text(_ family: Int32, _ address: UnsafeRawPointer, bytesMax: Int) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytesMax) { buffer in
      guard inet_ntop(family, address, buffer.baseAddress, socklen_t(bytesMax)) != nil else { return "unknown" }
      return String(cString: buffer.baseAddress!)
    }
  }
}
