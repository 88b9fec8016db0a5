/// A body that is made while it is sent: each piece when the connection takes more, so that a slow reader costs the
/// memory of one piece.
public struct BodyStream: Sendable {
  /// Whether it goes on until the client leaves: then a server that stops ends it at once, and the connection with it.
  /// Another one is sent to its end, for as long as the server waits for requests in flight.
  let isEndless: Bool
  let next: @Sendable () async throws -> [UInt8]?

  /// - Parameter next: the next piece, not empty, or nil at the end. Called on the loop, again when the piece before
  ///   has been sent; what it waits for has to heed cancellation. An error cuts the connection, which tells the client
  ///   that the body is not complete. It is let go of when the answer is over, however it ended.
  public init(isEndless: Bool = false, next: @escaping @Sendable () async throws -> [UInt8]?) {
    self.isEndless = isEndless
    self.next = next
  }
}

/// Where a streamed body stands between libmicrohttpd's reader and the task that makes a piece: pure, like
/// `ExchangeState`, and for the same rules.
enum StreamState: Equatable {
  /// The library sends, or will ask for more.
  case idle
  /// A piece is being made inside the reader that is still on the stack.
  case running
  /// A piece is being made and the connection is suspended.
  case suspended
  /// The answer is over; whatever comes now is too late.
  case ended

  enum FinishAction: Equatable {
    /// The reader that is on the stack finds the piece.
    case keep
    /// The connection has to be resumed, once.
    case resume
    /// Too late.
    case discard
  }

  mutating func start() {
    precondition(self == .idle, "a piece was asked for while \(self)")
    self = .running
  }

  /// The reader has nothing to send.
  /// - Returns: whether the connection has to be suspended.
  mutating func pause() -> Bool {
    guard self == .running else { return false }
    self = .suspended
    return true
  }

  /// The piece is there, or what waited for it is not to wait any longer.
  mutating func finish() -> FinishAction {
    switch self {
    case .running:
      self = .idle
      return .keep
    case .suspended:
      self = .idle
      return .resume
    case .idle, .ended: return .discard
    }
  }

  mutating func end() { self = .ended }
}
