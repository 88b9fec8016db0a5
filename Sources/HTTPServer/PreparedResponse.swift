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
  private let twin = Mutex<PreparedResponse?>(nil)
  private let secure = Mutex<PreparedResponse?>(nil)

  /// - Throws: what `Response` documents as answered with 500, here before anything is sent.
  public init(
    status: Int = 200, headers: [(name: String, value: String)] = [], body: [UInt8] = []
  ) throws(ResponseFault) {
    let isCodable = Response(status: status, headers: headers, body: .bytes(body)).isCodable
    self.status = status
    self.headers = isCodable ? headers.varying(on: "Accept-Encoding") : headers
    self.body = body
    entityTag = headers.value(of: "ETag")
    message = try MessageHandle(status: status, headers: self.headers, body: body)
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

  /// The same in gzip, packed when it is first wanted; nil when there is no memory for it. Two that want it at once may
  /// both pack it, which is the same bytes twice and then forgotten.
  func gzipTwin() -> PreparedResponse? {
    if let twin = twin.withLock({ $0 }) { return twin }
    guard let packed = Gzip.compressed(body),
      let made = try? PreparedResponse(status: status, headers: Response.gzipHeaders(headers), body: packed)
    else { return nil }
    twin.withLock { $0 = made }
    return made
  }

  /// The same for a server that speaks TLS, made when it is first wanted.
  func secureTwin() throws(ResponseFault) -> PreparedResponse {
    if let secure = secure.withLock({ $0 }) { return secure }
    let made = try PreparedResponse(
      status: status, headers: headers + [SecurityHeaders.strictTransport], body: body)
    secure.withLock { $0 = made }
    return made
  }

  var hasGzipTwin: Bool { twin.withLock { $0 != nil } }

  /// In a box, so that it is sent outside the lock.
  private final class NotModified: Sendable {
    let message: MessageHandle
    init(_ message: consuming MessageHandle) { self.message = message }
  }
}
