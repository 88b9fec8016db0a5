import Crypto
import HTTPServer
import JSON

/// One row of the route table: everything about a route that is not its work, in one place.
struct Endpoint: Sendable {
  enum Handler: Sendable {
    /// Answers at once, on the loop.
    case direct(@Sendable (Call) throws -> Response)
    /// May wait for the database.
    case async(@Sendable (Call) async throws -> Response)
    /// Answers at once, unless the query has one of the parameters: then it may wait for the database.
    case directWithout(
      [String], @Sendable (Call) throws -> Response, otherwise: @Sendable (Call) async throws -> Response)
  }

  let method: HTTPServer.Method
  let pattern: String
  let requirement: Requirement
  /// The query parameters it knows; any other is a fault.
  var parameters: [String] = []
  var bodyBytesMax = 128 * 1024
  var contentTypes: [String] = []
  /// Media types of its successful answers; empty when they have no body.
  var produces = ["application/json"]
  /// Whether its titles and sentences are in the language of the client.
  var isTranslated = false
  /// A POST that changes nothing.
  var isQuestion = false
  /// The member of the answer that is given out once and never again.
  var secret: String?
  /// Whether it answers with a result, whose evidence is not kept with the answer.
  var showsResult = false
  /// How it reads a body as it comes; nil when it never does.
  var stream: BodyStreaming?
  /// Whether a signature of the source's will do in the place of a key.
  var takesSignature = false
  /// Whether it answers before everything is loaded.
  var isAlwaysReady = false
  let handler: Handler

  static func get(
    _ pattern: String, _ requirement: Requirement, parameters: [String] = [],
    produces: String = "application/json", isTranslated: Bool = false,
    _ handler: @escaping @Sendable (Call) throws -> Response
  ) -> Endpoint {
    Endpoint(
      method: .get, pattern: pattern, requirement: requirement, parameters: parameters, produces: [produces],
      isTranslated: isTranslated, handler: .direct(handler))
  }

  /// - Parameter idempotency: throws while the service is still loading.
  func route(
    behind gate: Gate, isLoaded: @escaping @Sendable () -> Bool,
    idempotency: @escaping @Sendable () throws -> Idempotency
  ) -> Route {
    let admit = gate.admission(requirement, takesSignature: takesSignature) { [self] head, principal, reuse in
      if !isAlwaysReady, !isLoaded() { return .refuse(.starting) }
      if let stream, stream.applies(to: head) {
        return .stream(bytesMax: stream.bytesMax) { request, reader in
          try await stream.handler(try call(request, principal), &reader)
        }
      }
      let work = work(for: head, principal, reuse)
      guard takesIdempotencyKey, let principal, head.headers[Idempotency.header] != nil else { return work }
      return .async { request in
        let kept = KeptAnswer(secret: secret, showsResult: showsResult)
        return try await idempotency().answer(request, of: principal, path: path(of: head), kept: kept) {
          switch work {
          case .direct(let handler): return try handler(request)
          case .async(let handler): return try await handler(request)
          case .stream, .refuse, .later, .noting, .checking: preconditionFailure("the work of an endpoint is a handler")
          }
        }
      }
    }
    return Route(
      method, pattern, bodyBytesMax: bodyBytesMax, contentTypes: contentTypes, produces: produces,
      admit: { head in
        // Before the keys are loaded every key would look wrong.
        if !isAlwaysReady, !isLoaded() { return .refuse(.starting) }
        return admit(head)
      })
  }

  /// Whether it changes something, so that sending it again needs care.
  var takesIdempotencyKey: Bool { method != .get && !isQuestion }

  /// What answers the request.
  /// - Parameter reuse: how far the same request would be let pass again; nil when it may not be answered so.
  private func work(for head: RequestHead, _ principal: Principal?, _ reuse: Reuse?) -> Admission {
    @Sendable func finished(_ response: Response) -> Response {
      var response = inLanguage(response, head)
      if let own = response.reuse { response.reuse = reuse.map(own.and) }
      return response
    }
    switch handler {
    case .direct(let handler): return .direct { finished(try handler(try call($0, principal))) }
    case .async(let handler): return .async { finished(try await handler(try call($0, principal))) }
    case .directWithout(let parameters, let direct, let otherwise):
      if head.query.contains(where: { parameters.contains($0.name) }) {
        return .async { finished(try await otherwise(try call($0, principal))) }
      }
      return .direct { finished(try direct(try call($0, principal))) }
    }
  }

  /// Says in which language a translated answer is.
  private func inLanguage(_ response: Response, _ head: RequestHead) -> Response {
    guard isTranslated, response.header("Content-Language") == nil else { return response }
    var response = response
    response.headers =
      response.headers.varying(on: "Accept-Language") + [("Content-Language", head.language.rawValue)]
    return response
  }

  /// The segments of the path, decoded.
  private func path(of head: RequestHead) -> [String] {
    pattern.split(separator: "/").map { segment in
      segment.hasPrefix("{") ? head.pathParameters[String(segment.dropFirst().dropLast())] : String(segment)
    }
  }

  private func call(_ request: Request, _ principal: Principal?) throws -> Call {
    Call(request: request, principal: principal, parameters: try Parameters(request.query, known: parameters))
  }
}

/// A body that is read as it comes, so that its size costs no memory.
struct BodyStreaming: Sendable {
  let contentType: String
  /// Unpacked.
  let bytesMax: Int
  /// Query parameters with which the body has to be there whole, unless they are false.
  let wholeWith: [String]
  let handler: @Sendable (Call, inout BodyReader) async throws -> Response

  /// An `Idempotency-Key` is one for a whole body, and so is a signature, too.
  func applies(to head: RequestHead) -> Bool {
    head.headers["Content-Type"]?.lowercased().hasPrefix(contentType) == true
      && head.headers[Idempotency.header] == nil && !SignedRequest.isMeant(by: head)
      && !head.query.contains { wholeWith.contains($0.name) && $0.value != "false" }
  }
}

extension Problem {
  static let starting = Problem(
    .databaseUnavailable, "The service is still loading.", headers: [("Retry-After", "1")])
}

/// A request that was let pass, with its query taken apart.
struct Call: Sendable {
  let request: Request
  /// Nil on an open route.
  let principal: Principal?
  let parameters: Parameters

  /// - Precondition: the route's requirement demands a key.
  var caller: Principal { principal! }

  /// Counts results against the quota of the key, before anything of them is stored.
  /// - Throws: 429 when fewer are left, 413 when there are never so many.
  func countResults(_ count: Int) throws(Problem) { try principal?.meter?.takeResults(count) }

  /// The language of titles and sentences.
  var language: Language { request.head.language }

  func path(_ name: String) -> String { request.pathParameters[name] }

  /// The body as strict JSON. Faults that the reader found are part of what is thrown.
  func json() throws -> (value: JSONValue, faults: [JSONFault]) { try JSONReader.read(request.body) }
}

/// The query parameters of a request, each at most once and known.
struct Parameters: Sendable {
  private let items: [QueryItem]

  init(_ items: [QueryItem], known: [String]) throws(JSONFaults) {
    var faults: [JSONFault] = []
    for (index, item) in items.enumerated() where faults.count < JSONFaults.countMax {
      if !known.contains(item.name) {
        faults.append(JSONFault(pointer: "?\(item.name)", detail: "is not a known parameter"))
      } else if items[..<index].contains(where: { $0.name == item.name }) {
        faults.append(JSONFault(pointer: "?\(item.name)", detail: "appears more than once"))
      }
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
    self.items = items
  }

  subscript(_ name: String) -> String? { items.first { $0.name == name }?.value }

  /// The parameter as a JSON field, so that what reads bodies reads it too; its pointer is `?name`.
  func field(_ name: String) -> JSONField? {
    self[name].map { JSONField(value: .string($0), pointer: "?\(name)") }
  }

  static let limitDefault = 50

  /// How many entries a page has: `limit`, 1 to 500, 50 by default.
  func limit() throws -> Int { try field("limit")?.limit() ?? Self.limitDefault }
}

extension JSONField {
  func limit() throws -> Int {
    guard let limit = Int(try string()), 1...500 ~= limit else { throw fault("must be an integer from 1 to 500") }
    return limit
  }
}

extension Response {
  /// One thing as JSON, with a strong ETag over its bytes.
  static func document(
    _ bytes: [UInt8], status: Int = 200, contentType: String = "application/json",
    headers: [(name: String, value: String)] = []
  ) -> Response {
    let own = [("Content-Type", contentType), ("ETag", entityTag(of: bytes))]
    return Response(status: status, headers: own + headers, body: .bytes(bytes))
  }
}

/// A strong entity tag: 128 bits of SHA-256 over the representation.
func entityTag(of bytes: [UInt8]) -> String { "\"\(hexadecimal(SHA256.hash(data: bytes).prefix(16)))\"" }
