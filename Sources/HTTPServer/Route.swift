/// What becomes of a request whose head is known.
public enum Admission: Sendable {
  /// Answered on the loop at once: for work of microseconds that waits for nothing.
  case direct(@Sendable (Request) throws -> Response)
  /// Answered by a task that runs on the loop; nothing in it may block.
  case async(@Sendable (Request) async throws -> Response)
  /// Answered by a task that reads the body as it comes, of at most `bytesMax` bytes unpacked: the request has none. It
  /// runs on the loop; nothing in it may block. What it leaves unread is dropped. A body may take as long as it goes
  /// on with `ServerLimits.bodyBytesPerSecondMin`.
  case stream(bytesMax: Int, @Sendable (Request, inout BodyReader) async throws -> Response)
  /// Answered with the problem, the body dropped.
  case refuse(Problem)
  /// Decided by a task, still before the body is read. It may come to another `.later`.
  case later(@Sendable () async -> Admission)
  /// Another decision, for a body that is collected, and a look at that body as it was sent, before it is unpacked:
  /// throws what is answered instead. A large body is looked at off the loop.
  indirect case checking(@Sendable ([UInt8]) throws(Problem) -> Void, Admission)
  /// Another decision, and headers for whatever the request is answered with, refusals included: asked for when the
  /// answer is sent.
  indirect case noting(@Sendable () -> [(name: String, value: String)], Admission)
}

/// One method of one pattern of paths.
public struct Route: Sendable {
  public let method: Method
  /// `/v1/providers/{p}/score`: a `{name}` stands for one segment that is not empty.
  public let pattern: String
  /// Its place in `Router.endpoints`, once it is in one.
  internal(set) public var index = 0
  /// Bytes of body that are read; more is answered with 413.
  public let bodyBytesMax: Int
  /// Media types of the body that are read, without parameters, in lower case. Empty: the route takes no body, and a
  /// request that has one is answered with 413.
  public let contentTypes: [String]
  /// Media types of the body of a successful answer, without parameters, in lower case. A client that takes none of
  /// them is answered with 406. Empty: there is no such body, and nothing is asked.
  public let produces: [String]
  /// Replaces `ServerLimits.requestDeadlineSeconds` when it is not nil.
  public let requestDeadlineSeconds: Int?
  /// Called on the loop once the head is known: the place for keys and scopes, before body and parameters are looked
  /// at. It must not block.
  public let admit: @Sendable (RequestHead) -> Admission

  public init(
    _ method: Method, _ pattern: String, bodyBytesMax: Int = 128 * 1024, contentTypes: [String] = [],
    produces: [String] = [], requestDeadlineSeconds: Int? = nil, admit: @escaping @Sendable (RequestHead) -> Admission
  ) {
    self.method = method
    self.pattern = pattern
    self.bodyBytesMax = bodyBytesMax
    self.contentTypes = contentTypes
    self.produces = produces
    self.requestDeadlineSeconds = requestDeadlineSeconds
    self.admit = admit
  }
}

/// Two routes that no request could tell apart, or a pattern that is none.
public struct RouteConflict: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
}
