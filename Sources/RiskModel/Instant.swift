/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// The model has no clock: every instant is handed in. Differences are taken in whole milliseconds before they become
/// days, because a double of days since 1970 resolves only about a microsecond and two hosts would round differently.
/// Instants more than 146 million years apart overflow the difference and trap; the edge admits four-digit years.
public struct Instant: Sendable, Hashable, Comparable {
  public let milliseconds: Int64

  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  public static func < (left: Instant, right: Instant) -> Bool { left.milliseconds < right.milliseconds }

  /// Days from `earlier` to this instant; negative when `earlier` is the later one.
  func days(since earlier: Instant) -> Double {
    Double(milliseconds - earlier.milliseconds) / Self.millisecondsPerDay
  }

  private static let millisecondsPerDay = 86_400_000.0
}
