/// What a handler answers.
///
/// The server adds `Date`, `Content-Length`, `X-Content-Type-Options` and the request id; a handler that sets one of
/// the headers that delimit a message (`Content-Length`, `Transfer-Encoding`, `Connection`, `Date`), or a header that
/// cannot stand on one line, is answered with 500: such a response is a defect, never sent in part.
public struct Response: Sendable {
  public enum Body: Sendable {
    case none
    case bytes([UInt8])
    /// `headers` are added to those it was prepared with.
    case prepared(PreparedResponse)
    /// Sent in chunks, or to an HTTP/1.0 client until the connection ends. Packed unless it is endless.
    case stream(BodyStream)
  }

  /// 200...599.
  public var status: Int
  public var headers: [(name: String, value: String)]
  public var body: Body
  /// When the same request may get this answer again without its handler being asked; only of prepared ones.
  public var reuse: Reuse?

  public init(status: Int, headers: [(name: String, value: String)] = [], body: Body = .none) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// A JSON document that is encoded already.
  public static func json(
    _ bytes: [UInt8], status: Int = 200, headers: [(name: String, value: String)] = []
  ) -> Response {
    Response(status: status, headers: [("Content-Type", "application/json")] + headers, body: .bytes(bytes))
  }

  /// 204.
  public static func noContent() -> Response { Response(status: 204) }

  /// A response made beforehand, with the status it was made with.
  public static func prepared(_ prepared: PreparedResponse) -> Response {
    Response(status: prepared.status, body: .prepared(prepared))
  }

  /// The first value of the header among `headers` and, if there is one, the prepared response's.
  public func header(_ name: String) -> String? {
    if case .prepared(let prepared) = body, let value = prepared.header(name) { return value }
    return headers.value(of: name)
  }
}

extension [(name: String, value: String)] {
  func value(of name: String) -> String? {
    first { $0.name.utf8.count == name.utf8.count && $0.name.lowercased() == name.lowercased() }?.value
  }
}

/// Why a response cannot be sent.
public enum ResponseFault: Error, Sendable, Equatable, CustomStringConvertible {
  /// Not a token.
  case invalidHeaderName(String)
  /// Empty, or holding CR, LF, NUL or another control character. The value itself is not kept: it may be a secret.
  case invalidHeaderValue(name: String)
  /// A header that only the server may set.
  case reservedHeader(String)
  /// Outside 200...599.
  case invalidStatus(Int)

  public var description: String {
    switch self {
    case .invalidHeaderName: "a response header's name is not a token"
    case .invalidHeaderValue(let name): "the response header \(name) is empty or holds a control character"
    case .reservedHeader(let name): "the response header \(name) belongs to the server"
    case .invalidStatus(let status): "\(status) is not a response status"
    }
  }
}
