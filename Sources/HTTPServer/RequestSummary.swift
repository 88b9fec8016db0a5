/// One finished request, for metrics and logs. Requests that libmicrohttpd refuses by itself (414, 431, an unreadable
/// request line) have none: they never became a request.
public struct RequestSummary: Sendable {
  /// As sent; any token.
  public let method: String
  /// The pattern of the route, nil when none was found: a label of few values, unlike the path.
  public let route: String?
  /// The place of the route in `Router.endpoints`, nil when none was found.
  public let routeIndex: Int?
  /// The place of the loop in `Server.loops`, on whose thread this is observed.
  public let loop: Int
  /// 0 when nothing was answered: the client left, or was cut off by a deadline.
  public let status: Int
  /// From the head's arrival until the last byte of the answer was handed to the kernel.
  public let duration: Duration
  /// Bytes of body that arrived, dropped ones included.
  public let requestBodyBytes: Int
  /// Bytes of body that were queued for sending.
  public let responseBodyBytes: Int
  /// False when the connection ended before the whole answer was sent.
  public let isComplete: Bool
  /// Whether the answer is that of an earlier request, which was the same to the byte.
  public let isRepeated: Bool
  public let peer: Peer
  /// `traceparent` as it was sent, when it is valid.
  public let traceParent: String?
  /// Whether the server logged an error under the request id already.
  public let errorLogged: Bool
  let requestID: RequestID

  /// A UUID in lower case.
  public var id: String { requestID.description }
}
