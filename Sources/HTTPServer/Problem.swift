import JSON

/// An error that renders itself as RFC 9457 problem details.
public struct Problem: Error, Sendable {
  /// What every problem of one kind has in common; served under `/problems/<code>`.
  public struct Kind: Sendable, Hashable {
    /// Lower case with hyphens; the last part of `type`.
    public let code: String
    /// 400...599.
    public let status: Int
    /// The same words for every problem of the kind.
    public let title: String
    /// For the reader of `/problems/<code>`: what causes it and what to do.
    public let explanation: String

    public init(code: String, status: Int, title: String, explanation: String) {
      self.code = code
      self.status = status
      self.title = title
      self.explanation = explanation
    }
  }

  public let kind: Kind
  /// What is wrong with this request, for its sender: nothing internal.
  public let detail: String
  /// Every fault of the input, when there are any.
  public let faults: [JSONFault]
  /// `Retry-After`, `WWW-Authenticate`, `Allow` and the like.
  public let headers: [(name: String, value: String)]

  public init(
    _ kind: Kind, _ detail: String, faults: [JSONFault] = [], headers: [(name: String, value: String)] = []
  ) {
    self.kind = kind
    self.detail = detail
    self.faults = faults
    self.headers = headers
  }

  /// - Parameter requestID: a UUID, which becomes `instance`.
  public func response(instance requestID: String) -> Response {
    var json = JSONWriter()
    json.object { json in
      json.member("type", "/problems/" + kind.code)
      json.member("title", kind.title)
      json.member("status", kind.status)
      json.member("detail", detail)
      json.member("instance", "urn:uuid:" + requestID)
      if !faults.isEmpty {
        json.array("errors", faults) { json, fault in
          json.object { json in
            json.member("pointer", fault.pointer)
            json.member("detail", fault.detail)
          }
        }
      }
    }
    let own = [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")]
    return Response(status: kind.status, headers: own + headers, body: .bytes(json.bytes))
  }
}

extension Problem.Kind {
  public static let malformedRequest = Problem.Kind(
    code: "malformed-request", status: 400, title: "Malformed request",
    explanation: "The request line, a header, an escape in the target or the coding of the body breaks its rules. "
      + "Correct the client; where the end of the request was in doubt, the connection was closed.")
  public static let notFound = Problem.Kind(
    code: "not-found", status: 404, title: "Not found",
    explanation: "Nothing is served under this path. A slash at the end makes another path.")
  public static let methodNotAllowed = Problem.Kind(
    code: "method-not-allowed", status: 405, title: "Method not allowed",
    explanation: "The path exists, but not for this method. The Allow header lists those it has.")
  public static let notAcceptable = Problem.Kind(
    code: "not-acceptable", status: 406, title: "Not acceptable",
    explanation: "The Accept header excludes every media type that the resource has. Errors are problem details "
      + "whatever it says.")
  public static let bodyTooLarge = Problem.Kind(
    code: "body-too-large", status: 413, title: "Body too large",
    explanation: "The body is longer than the resource takes, or the resource takes none. "
      + "The rest of the body may not have been read.")
  public static let unsupportedMediaType = Problem.Kind(
    code: "unsupported-media-type", status: 415, title: "Unsupported media type",
    explanation:
      "The body's Content-Type is not one the resource takes, or its Content-Encoding is neither gzip nor identity.")
  public static let internalError = Problem.Kind(
    code: "internal-error", status: 500, title: "Internal error",
    explanation: "The service failed. The log of the service has the cause under the request id.")
  public static let shuttingDown = Problem.Kind(
    code: "shutting-down", status: 503, title: "Shutting down",
    explanation: "This instance is stopping and takes no new requests. Send it again; another instance answers.")
  public static let deadlineExceeded = Problem.Kind(
    code: "deadline-exceeded", status: 504, title: "Deadline exceeded",
    explanation: "The request took longer than it may. A write may or may not have been done; it is safe to repeat.")

  /// Every kind that the server itself answers with.
  public static let all: [Problem.Kind] = [
    .malformedRequest, .notFound, .methodNotAllowed, .notAcceptable, .bodyTooLarge, .unsupportedMediaType,
    .internalError, .shuttingDown, .deadlineExceeded,
  ]
}
