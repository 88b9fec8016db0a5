/// When to try to connect again, and whether to answer "unavailable" at once meanwhile. Pure.
struct Breaker {
  private(set) var consecutiveFailures = 0

  static let firstDelay: Duration = .milliseconds(50)
  static let delayMax: Duration = .seconds(2)

  mutating func succeeded() { consecutiveFailures = 0 }

  /// Counts a failed attempt.
  /// - Parameter random: in 0..<1; spreads instances that lost the same server over half of the delay.
  /// - Returns: how long to wait before the next attempt.
  mutating func failed(random: Double) -> Duration {
    // Doubling ends at the limit long before the shift could overflow.
    let doubled = Self.firstDelay * (1 << min(consecutiveFailures, 10))
    consecutiveFailures += 1
    return min(doubled, Self.delayMax) * (0.5 + 0.5 * random)
  }
}
