import Glibc

/// What a descriptor is waited for. Errors and hang-ups are always reported, as `readable` and `writable` both.
public struct Interest: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let readable = Interest(rawValue: 1)
  public static let writable = Interest(rawValue: 2)

  var pollEvents: Int16 {
    (contains(.readable) ? Int16(POLLIN) : 0) | (contains(.writable) ? Int16(POLLOUT) : 0)
  }

  init(pollEvents events: Int16) {
    var interest: Interest = []
    if events & Int16(POLLIN) != 0 { interest.insert(.readable) }
    if events & Int16(POLLOUT) != 0 { interest.insert(.writable) }
    // The owner learns of an error by the read or write that fails.
    if events & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 { interest.formUnion([.readable, .writable]) }
    self = interest
  }
}

/// A descriptor that a loop waits for. Belongs to its loop's thread.
public final class Watch {
  public let descriptor: Int32
  /// What is waited for; may be changed at any time on the loop.
  public var interest: Interest
  let onReady: (Interest) -> Void
  private(set) var isCancelled = false

  init(descriptor: Int32, interest: Interest, onReady: @escaping (Interest) -> Void) {
    self.descriptor = descriptor
    self.interest = interest
    self.onReady = onReady
  }

  /// Ends the watch at once: `onReady` is not called again. The descriptor may be closed afterwards.
  public func cancel() { isCancelled = true }
}
