/// The methods that routes may have.
public enum Method: String, Sendable, Hashable, CaseIterable {
  case get = "GET"
  case head = "HEAD"
  case post = "POST"
  case put = "PUT"
  case patch = "PATCH"
  case delete = "DELETE"
  case options = "OPTIONS"
}

/// One parameter of a query, percent-decoded, `+` read as a space.
public struct QueryItem: Sendable, Equatable {
  public let name: String
  /// Empty when the parameter had no `=`.
  public let value: String

  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }
}

/// The segments that stood in the place of a pattern's `{name}`s, percent-decoded; never empty.
public struct PathParameters: Sendable {
  private let pairs: [(name: String, value: String)]

  public init(_ pairs: [(name: String, value: String)] = []) { self.pairs = pairs }

  /// - Precondition: the route's pattern has a `{name}`.
  public subscript(_ name: String) -> String {
    for pair in pairs where pair.name == name { return pair.value }
    preconditionFailure("the pattern has no {\(name)}")
  }
}

/// Who sends requests: the other end of the connection or, where that is a trusted proxy, who it says it asks for.
public struct Peer: Sendable, Hashable {
  /// Nil when it is not known, as when a trusted proxy names no address.
  public let ip: IPAddress?

  public init(_ ip: IPAddress?) { self.ip = ip }

  /// For logs: numeric, without the port.
  public var address: String { ip?.description ?? "unknown" }

  /// 127.0.0.0/8 or ::1.
  public var isLoopback: Bool { ip?.isLoopback == true }
}

/// A request before its body was read.
public struct RequestHead: Sendable {
  /// The request id: a UUID in lower case, the client's own `X-Request-Id` when that is one.
  public var id: String { requestID.description }
  /// `head` too when the route is one of `get`.
  public let method: Method
  /// The request target as it was sent.
  public let target: String
  public let pathParameters: PathParameters
  /// In the order they came, duplicates kept.
  public let query: [QueryItem]
  public let headers: Headers
  public let peer: Peer
  let requestID: RequestID

  init(
    requestID: RequestID, method: Method, target: String, pathParameters: PathParameters, query: [QueryItem],
    headers: Headers, peer: Peer
  ) {
    self.requestID = requestID
    self.method = method
    self.target = target
    self.pathParameters = pathParameters
    self.query = query
    self.headers = headers
    self.peer = peer
  }

  /// A head that did not come from a socket, as tests of handlers need them.
  /// - Parameter id: a UUID; a random one otherwise.
  public init(
    method: Method, target: String, pathParameters: PathParameters = PathParameters(), query: [QueryItem] = [],
    headers: Headers = Headers([]), peer: Peer = Peer(IPAddress("127.0.0.1")), id: String = ""
  ) {
    var generator = SystemRandomNumberGenerator()
    self.init(
      requestID: RequestID(id.utf8) ?? RequestID(using: &generator), method: method, target: target,
      pathParameters: pathParameters, query: query, headers: headers, peer: peer)
  }
}

/// A whole request.
public struct Request: Sendable {
  public let head: RequestHead
  /// At most the route's `bodyBytesMax`; empty when there was none.
  public let body: [UInt8]

  public init(head: RequestHead, body: [UInt8] = []) {
    self.head = head
    self.body = body
  }

  public var id: String { head.id }
  public var method: Method { head.method }
  public var target: String { head.target }
  public var pathParameters: PathParameters { head.pathParameters }
  public var query: [QueryItem] { head.query }
  public var headers: Headers { head.headers }
  public var peer: Peer { head.peer }
}
