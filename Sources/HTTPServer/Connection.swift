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
  private let perAddress = Mutex<[IPAddress?: Int]>([:])

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
    return perAddress.withLock { $0[peer.ip, default: 0] } < limits.connectionsPerAddressMax
  }

  func opened(_ peer: Peer) {
    current.add(1, ordering: .relaxed)
    accepted.add(1, ordering: .relaxed)
    guard limits.connectionsPerAddressMax > 0 else { return }
    perAddress.withLock { $0[peer.ip, default: 0] += 1 }
  }

  func closed(_ peer: Peer) {
    current.subtract(1, ordering: .relaxed)
    guard limits.connectionsPerAddressMax > 0 else { return }
    perAddress.withLock { counts in
      let left = counts[peer.ip, default: 0] - 1
      counts[peer.ip] = left > 0 ? left : nil
    }
  }
}
