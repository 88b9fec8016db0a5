import ArgumentParser
import Service

/// When a new key expires.
struct KeyExpiry: ParsableArguments {
  @Option(help: ArgumentHelp("How long the key is valid, such as 90d, 12h or 15m.", valueName: "span"))
  var expiresIn: String?

  @Option(help: ArgumentHelp("Until when the key is valid, such as 2027-01-31T00:00:00Z.", valueName: "time"))
  var expiresAt: String?

  /// Of the flags, or of their twins when there is none; nil when nothing says.
  func instant() throws -> Instant? {
    let areFlags = expiresIn != nil || expiresAt != nil
    let span = areFlags ? expiresIn : environment(twin(of: "expires-in"))
    let time = areFlags ? expiresAt : environment(twin(of: "expires-at"))
    let now = Clock.system.now()
    switch (span, time) {
    case (nil, nil): return nil
    case (let span?, nil):
      guard let span = TimeSpan(span), span.seconds > 0 else {
        throw ValidationError("--expires-in, or \(twin(of: "expires-in")), must be \(TimeSpan.form)")
      }
      return Instant(milliseconds: now.milliseconds + Int64(span.seconds) * 1000)
    case (nil, let time?):
      guard let instant = Instant(rfc3339: time), instant > now else {
        throw ValidationError(
          "--expires-at, or \(twin(of: "expires-at")), must be a time ahead, such as 2027-01-31T00:00:00Z")
      }
      return instant
    case (_?, _?): throw ValidationError("give --expires-in or --expires-at, not both")
    }
  }

  func validate() throws { _ = try instant() }
}
