/// Where an exchange stands between libmicrohttpd's callbacks and a task: pure, so that every order of events can be
/// tested from a table. The library's rules behind it: one resume for each suspend, no resume without a suspend, and an
/// answer only from inside a callback.
///
///     reading -> running -> ready -> replied          a task that never waits
///     reading -> running -> suspended -> ready -> ...  one that does; ready goes back to reading after an admission
enum ExchangeState: Equatable {
  /// libmicrohttpd reads; no task runs.
  case reading
  /// A task was started inside the callback that is still on the stack.
  case running
  /// The task waits for something, the connection is suspended.
  case suspended
  /// The task's outcome is there, to be used by the callback.
  case ready
  /// Answered or ended; whatever comes now is too late.
  case replied

  enum FinishAction: Equatable {
    /// The callback that is on the stack finds the outcome.
    case keep
    /// The connection has to be resumed, once.
    case resume
    /// Too late.
    case discard
  }

  enum ExpiryAction: Equatable {
    /// The request is not complete: nothing can be answered, the connection ends.
    case close
    /// The task is given up; the connection is resumed and an error answered.
    case abandon
    case nothing
  }

  mutating func start() {
    precondition(self == .reading, "a task was started while \(self)")
    self = .running
  }

  /// The callback has nothing more to do.
  /// - Returns: whether the connection has to be suspended.
  mutating func pause() -> Bool {
    guard self == .running else { return false }
    self = .suspended
    return true
  }

  /// The task has an outcome.
  mutating func finish() -> FinishAction {
    switch self {
    case .running:
      self = .ready
      return .keep
    case .suspended:
      self = .ready
      return .resume
    case .reading, .ready, .replied: return .discard
    }
  }

  /// The deadline has passed, or the server stops.
  mutating func expire() -> ExpiryAction {
    switch self {
    case .reading: return .close
    case .suspended:
      self = .ready
      return .abandon
    case .running, .ready, .replied: return .nothing
    }
  }

  /// The outcome was an admission: the body is read next.
  mutating func resumeReading() {
    precondition(self == .ready, "no outcome was there while \(self)")
    self = .reading
  }

  mutating func reply() { self = .replied }
}
