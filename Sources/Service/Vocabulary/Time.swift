import Glibc
import Postgres
import RiskModel

/// Milliseconds since 1970, as everywhere in the service.
public typealias Instant = RiskModel.Instant

/// Where "now" comes from; tests hand in their own.
public struct Clock: Sendable {
  public let now: @Sendable () -> Instant

  public init(now: @escaping @Sendable () -> Instant) { self.now = now }

  /// The system's clock, in UTC.
  public static let system = Clock {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Instant(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}

extension Instant {
  static func + (instant: Instant, milliseconds: Int64) -> Instant {
    Instant(milliseconds: instant.milliseconds + milliseconds)
  }

  /// The whole UTC minute that the instant is in.
  var startOfMinute: Instant {
    Instant(milliseconds: milliseconds - ((milliseconds % 60_000) + 60_000) % 60_000)
  }

  var timestamp: Timestamp { Timestamp(microsecondsSince1970: milliseconds * 1000) }

  init(_ timestamp: Timestamp) {
    // Floored: a time is cut to the millisecond, never rounded up into the future.
    let (quotient, remainder) = timestamp.microsecondsSince1970.quotientAndRemainder(dividingBy: 1000)
    self.init(milliseconds: remainder < 0 ? quotient - 1 : quotient)
  }

  // MARK: - RFC 3339

  /// In UTC with milliseconds: `2026-11-23T08:00:00.000Z`.
  public var rfc3339: String {
    let days = milliseconds.flooredDivision(by: 86_400_000)
    let inDay = Int(milliseconds - days * 86_400_000)
    let (year, month, day) = civilDate(daysSince1970: days)
    return String(unsafeUninitializedCapacity: 24) { buffer in
      var count = 0
      func put(_ number: Int, digits: Int, then mark: Unicode.Scalar) {
        var rest = number
        for place in stride(from: count + digits - 1, through: count, by: -1) {
          buffer[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
          rest /= 10
        }
        buffer[count + digits] = UInt8(ascii: mark)
        count += digits + 1
      }
      put(Int(year), digits: 4, then: "-")
      put(month, digits: 2, then: "-")
      put(day, digits: 2, then: "T")
      put(inDay / 3_600_000, digits: 2, then: ":")
      put(inDay / 60_000 % 60, digits: 2, then: ":")
      put(inDay / 1000 % 60, digits: 2, then: ".")
      put(inDay % 1000, digits: 3, then: "Z")
      return count
    }
  }

  /// Reads RFC 3339 with any offset and precision, cut to the millisecond. Nil for anything else.
  public init?(rfc3339 text: some StringProtocol) {
    var scanner = DigitScanner(bytes: Array(text.utf8))
    guard let year = scanner.number(digits: 4), scanner.take("-"), let month = scanner.number(digits: 2, in: 1...12),
      scanner.take("-"), let day = scanner.number(digits: 2, in: 1...31),
      day <= daysIn(month: month, of: year), scanner.take("T") || scanner.take("t"),
      let hour = scanner.number(digits: 2, in: 0...23), scanner.take(":"),
      let minute = scanner.number(digits: 2, in: 0...59), scanner.take(":"),
      // 60 is a leap second, which is the first moment of the next minute here.
      let second = scanner.number(digits: 2, in: 0...60)
    else { return nil }
    var fraction = 0
    if scanner.take(".") {
      guard let milliseconds = scanner.fractionAsMilliseconds() else { return nil }
      fraction = milliseconds
    }
    guard let offsetMinutes = scanner.offsetMinutes(), scanner.isAtEnd else { return nil }
    let days = daysSince1970(year: Int64(year), month: month, day: day)
    let seconds = days * 86_400 + Int64(hour * 3600 + (minute - offsetMinutes) * 60 + second)
    // In UTC it may lie in a year that RFC 3339 cannot write.
    guard Self.writtenSeconds.contains(seconds) else { return nil }
    self.init(milliseconds: seconds * 1000 + Int64(fraction))
  }

  private static let writtenSeconds =
    daysSince1970(year: 0, month: 1, day: 1) * 86_400..<daysSince1970(year: 10_000, month: 1, day: 1) * 86_400
}

// MARK: - The calendar

/// Gregorian days, after Howard Hinnant's `days_from_civil`: eras of 400 years that begin in March, so that the leap
/// day is the last of its year.
private func daysSince1970(year: Int64, month: Int, day: Int) -> Int64 {
  let year = month <= 2 ? year - 1 : year
  let era = year.flooredDivision(by: 400)
  let yearOfEra = year - era * 400
  let dayOfYear = Int64((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1)
  let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

private func civilDate(daysSince1970 days: Int64) -> (year: Int64, month: Int, day: Int) {
  let shifted = days + 719_468
  let era = shifted.flooredDivision(by: 146_097)
  let dayOfEra = shifted - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = Int(dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100))
  let monthIndex = (5 * dayOfYear + 2) / 153
  let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
  return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthIndex + 2) / 5 + 1)
}

private func daysIn(month: Int, of year: Int) -> Int {
  switch month {
  case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
  case 4, 6, 9, 11: 30
  default: 31
  }
}

extension Int64 {
  fileprivate func flooredDivision(by divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}

private struct DigitScanner {
  let bytes: [UInt8]
  var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  mutating func digit() -> Int? {
    guard position < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[position] else { return nil }
    position += 1
    return Int(bytes[position - 1] - UInt8(ascii: "0"))
  }

  mutating func number(digits: Int, in range: ClosedRange<Int> = 0...Int.max) -> Int? {
    var number = 0
    for _ in 0..<digits {
      guard let digit = digit() else { return nil }
      number = number * 10 + digit
    }
    return range.contains(number) ? number : nil
  }

  mutating func fractionAsMilliseconds() -> Int? {
    var (milliseconds, scale, count) = (0, 100, 0)
    while let digit = digit() {
      milliseconds += digit * scale
      scale /= 10
      count += 1
    }
    return count == 0 ? nil : milliseconds
  }

  /// Minutes east of UTC.
  mutating func offsetMinutes() -> Int? {
    if take("Z") || take("z") { return 0 }
    let sign = take("+") ? 1 : take("-") ? -1 : 0
    guard sign != 0, let hours = number(digits: 2, in: 0...23), take(":"), let minutes = number(digits: 2, in: 0...59)
    else { return nil }
    return sign * (hours * 60 + minutes)
  }
}
