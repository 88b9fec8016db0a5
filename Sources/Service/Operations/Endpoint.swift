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
  /// Whether it answers before everything is loaded.
  var isAlwaysReady = false
  let handler: Handler

  static func get(
    _ pattern: String, _ requirement: Requirement, parameters: [String] = [],
    _ handler: @escaping @Sendable (Call) throws -> Response
  ) -> Endpoint {
    Endpoint(
      method: .get, pattern: pattern, requirement: requirement, parameters: parameters, handler: .direct(handler))
  }

  func route(behind gate: Gate, isLoaded: @escaping @Sendable () -> Bool) -> Route {
    let admit = gate.admission(requirement) { [self] head, principal in
      if !isAlwaysReady, !isLoaded() { return .refuse(.starting) }
      switch handler {
      case .direct(let handler): return .direct { try handler(try call($0, principal)) }
      case .async(let handler): return .async { try await handler(try call($0, principal)) }
      case .directWithout(let parameters, let direct, let otherwise):
        if head.query.contains(where: { parameters.contains($0.name) }) {
          return .async { try await otherwise(try call($0, principal)) }
        }
        return .direct { try direct(try call($0, principal)) }
      }
    }
    return Route(
      method, pattern, bodyBytesMax: bodyBytesMax, contentTypes: contentTypes,
      admit: { head in
        // Before the keys are loaded every key would look wrong.
        if !isAlwaysReady, !isLoaded() { return .refuse(.starting) }
        return admit(head)
      })
  }

  private func call(_ request: Request, _ principal: Principal?) throws -> Call {
    Call(request: request, principal: principal, parameters: try Parameters(request.query, known: parameters))
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
