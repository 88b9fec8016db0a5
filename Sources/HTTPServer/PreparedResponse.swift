import Synchronization

/// A response made beforehand and shared by all loops: constants, and documents that are read more often than they
/// change. Answering with it copies nothing; with a request id to echo or a connection to close, a copy is made.
public final class PreparedResponse: Sendable {
  public let status: Int
  public let headers: [(name: String, value: String)]
  public let body: [UInt8]
  /// Its `ETag` header, if it has one.
  public let entityTag: String?

  let message: MessageHandle
  private let notModified = Mutex<NotModified?>(nil)

  /// - Throws: what `Response` documents as answered with 500, here before anything is sent.
  public init(
    status: Int = 200, headers: [(name: String, value: String)] = [], body: [UInt8] = []
  ) throws(ResponseFault) {
    self.status = status
    self.headers = headers
    self.body = body
    entityTag = headers.value(of: "ETag")
    message = try MessageHandle(status: status, headers: headers, body: body)
  }

  func header(_ name: String) -> String? { headers.value(of: name) }

  /// The 304 that stands for this response, made when it is first wanted.
  func withNotModified<Result>(_ send: (borrowing MessageHandle) -> Result) throws(ResponseFault) -> Result {
    let shared: NotModified
    if let made = notModified.withLock({ $0 }) {
      shared = made
    } else {
      // With the body, which is not sent with this status: the length announced has to be the representation's.
      shared = NotModified(
        try MessageHandle(status: 304, headers: ConditionalRequest.headersKept(headers), body: body))
      notModified.withLock { $0 = shared }
    }
    return send(shared.message)
  }

  /// In a box, so that it is sent outside the lock.
  private final class NotModified: Sendable {
    let message: MessageHandle
    init(_ message: consuming MessageHandle) { self.message = message }
  }
}
