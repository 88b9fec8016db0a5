import HTTPServer
import Synchronization

/// How many streams may be on their way at once: a long answer keeps what it is made of, as it was when it began, for
/// as long as its client takes to read, and results that come as a stream keep what is read and not stored yet.
final class StreamPermits: Sendable {
  let countMax: Int
  private let what: String
  private let count = Mutex(0)

  /// - Parameter what: what there are too many of, in the plural.
  init(countMax: Int, of what: String) {
    self.countMax = countMax
    self.what = what
  }

  /// Counts until it is let go of.
  final class Permit: Sendable {
    private let permits: StreamPermits

    fileprivate init(_ permits: StreamPermits) { self.permits = permits }

    deinit { permits.count.withLock { $0 -= 1 } }
  }

  /// - Throws: the problem that says that there are too many.
  func enter() throws(Problem) -> Permit {
    let isLetIn = count.withLock { count in
      if count == countMax { return false }
      count += 1
      return true
    }
    guard isLetIn else {
      throw Problem(
        .tooManyStreams, "\(countMax) \(what) are on their way at this instance.",
        headers: [("Retry-After", "5")])
    }
    return Permit(self)
  }
}
