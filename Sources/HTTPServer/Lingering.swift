import EventLoop
import Glibc

/// Connections that ended with part of a request unread. Closing one at once would make the kernel reset it, and a
/// reset can overtake the answer; so what still comes is dropped for a while, up to a number of bytes.
/// Belongs to its loop's thread.
final class Lingering {
  /// As many at once as `poll` carries easily; more are closed without it.
  private static let connectionsMax = 64
  /// Long enough for a client to notice the answer, short enough that a deaf one holds nothing.
  private static let secondsMax = 2

  private final class Entry {
    let descriptor: Int32
    var bytesLeft: Int
    var watch: Watch?
    var timer: Timer?
    init(descriptor: Int32, bytesLeft: Int) {
      self.descriptor = descriptor
      self.bytesLeft = bytesLeft
    }
  }

  private let loop: EventLoop
  private let bytesMax: Int
  private var entries: [Int32: Entry] = [:]
  private var dropped = [UInt8](repeating: 0, count: 64 * 1024)

  init(loop: EventLoop, bytesMax: Int) {
    self.loop = loop
    self.bytesMax = bytesMax
  }

  /// Keeps the connection of `descriptor` open beyond libmicrohttpd's own close of it, which ends only the sending.
  func add(_ descriptor: Int32) {
    guard entries.count < Self.connectionsMax else { return }
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { return }
    let entry = Entry(descriptor: copy, bytesLeft: bytesMax)
    entries[copy] = entry
    entry.watch = loop.watch(copy, for: .readable) { [weak self] _ in self?.drop(entry) }
    entry.timer = loop.schedule(after: .seconds(Self.secondsMax)) { [weak self] in self?.end(entry) }
  }

  /// Closes all, as the server stops.
  func endAll() {
    for entry in entries.values { end(entry) }
  }

  private func drop(_ entry: Entry) {
    // Non-blocking as libmicrohttpd made it: the copy of a descriptor shares that.
    let count = recv(entry.descriptor, &dropped, min(dropped.count, entry.bytesLeft), 0)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    entry.bytesLeft -= max(0, count)
    if count <= 0 || entry.bytesLeft <= 0 { end(entry) }
  }

  private func end(_ entry: Entry) {
    guard entries.removeValue(forKey: entry.descriptor) != nil else { return }
    entry.watch?.cancel()
    entry.timer?.cancel()
    // The watch's closure holds the entry.
    entry.watch = nil
    close(entry.descriptor)
  }
}
