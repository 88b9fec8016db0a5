import Synchronization

/// A minute's tokens, refilled evenly; full at first. Without a lock: its whole state is when it will be full again
/// (the generic cell rate algorithm, which is the same as counting tokens).
final class TokenBucket: Sendable {
  /// Tokens a minute, and the most it holds.
  let quota: Int
  private let start: Instant
  /// In parts: each millisecond has as many as the quota, so that a token is 60,000 of them and nothing is rounded.
  private let fullAt = Atomic<Int>(0)

  static let windowSeconds = 60
  private static let partsOfToken = windowSeconds * 1_000

  /// - Parameter quota: at most 10,000,000, so that parts of 20 years fit.
  init(quota: Int, at now: Instant) {
    self.quota = quota
    start = now
  }

  /// Takes tokens, or none.
  /// - Parameter count: at most the quota.
  /// - Returns: nil when they were taken; else after how many seconds there are enough, if nobody takes any.
  func take(_ count: Int, at now: Instant) -> Int? {
    let parts = parts(at: now)
    var known = fullAt.load(ordering: .relaxed)
    while true {
      let taken = clamped(known, at: parts) + count * Self.partsOfToken
      let excess = taken - parts - capacity
      if excess > 0 { return seconds(excess) }
      let (isExchanged, current) = fullAt.weakCompareExchange(expected: known, desired: taken, ordering: .relaxed)
      if isExchanged { return nil }
      known = current
    }
  }

  /// The tokens there are, and after how many seconds it is full.
  func level(at now: Instant) -> (remaining: Int, secondsUntilFull: Int) {
    let parts = parts(at: now)
    let missing = clamped(fullAt.load(ordering: .relaxed), at: parts) - parts
    return ((capacity - missing) / Self.partsOfToken, seconds(missing))
  }

  private var capacity: Int { quota * Self.partsOfToken }

  private func parts(at now: Instant) -> Int { Int(now.milliseconds - start.milliseconds) * quota }

  /// Between full and empty, also after the clock was set.
  private func clamped(_ fullAt: Int, at parts: Int) -> Int { min(max(fullAt, parts), parts + capacity) }

  private func seconds(_ parts: Int) -> Int { (parts + quota * 1_000 - 1) / (quota * 1_000) }
}
