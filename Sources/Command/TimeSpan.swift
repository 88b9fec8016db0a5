/// A length of time as a flag gives it: `90d`, `12h`, `15m`, `30s`, or `0`.
struct TimeSpan {
  let seconds: Int

  private static let secondsByUnit: [Character: Int] = ["d": 86_400, "h": 3_600, "m": 60, "s": 1]
  static let form = "a number of days, hours, minutes or seconds, such as 90d, 12h, 15m or 30s"

  init?(_ text: String) {
    if text == "0" {
      seconds = 0
      return
    }
    // Digits alone: `Int` takes a sign, too.
    guard let last = text.last, let unit = Self.secondsByUnit[last], text.utf8.first != UInt8(ascii: "+"),
      let number = Int(text.dropLast()), number >= 0
    else { return nil }
    let (seconds, overflow) = number.multipliedReportingOverflow(by: unit)
    if overflow || seconds > Self.secondsMax { return nil }
    self.seconds = seconds
  }

  /// A hundred years, so that what is reckoned from it stays a time.
  private static let secondsMax = 36_500 * 86_400
}
