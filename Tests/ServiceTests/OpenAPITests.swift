import EventLoop
import Foundation
import HTTPServer
import Logging
import Postgres
import Testing
import Yams

@testable import Service

/// `openapi.yaml` says what the route table says, both ways.
///
/// What the table does not know, the answers, is held against the document by `Tests/Contract`.
@Suite struct OpenAPITests {
  private let document: [String: Any]
  private let bytes: [UInt8]
  private let endpoints: [Endpoint]

  init() async throws {
    let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    bytes = Array(try Data(contentsOf: top.appending(path: "openapi.yaml")))
    document = try #require(
      try Yams.load(yaml: String(decoding: bytes, as: UTF8.self)) as? [String: Any],
      "openapi.yaml is not a mapping: restore it")
    endpoints = try await Self.routeTable()
  }

  /// The table needs a service and that a database, which connects in the background and is never asked.
  private static func routeTable() async throws -> [Endpoint] {
    let logger = Logger(label: "openapi") { _ in SwiftLogNoOpLogHandler() }
    let loop = EventLoop(name: "openapi")
    loop.start()
    let database = Database(
      DatabaseConfiguration(connectionString: "host=/nonexistent dbname=none"), loop: loop, logger: logger)
    let endpoints = Result { try RiskService(database: database, reader: loop, logger: logger).endpoints }
    await database.close()
    loop.stop()
    return try endpoints.get()
  }

  @Test func everyRouteIsDescribedAndNothingElse() {
    let served = Set(endpoints.map(\.title))
    let described = Set(operations.keys)
    #expect(served.subtracting(described).sorted() == [], "add these operations to openapi.yaml")
    #expect(described.subtracting(served).sorted() == [], "no route has these: remove them from openapi.yaml")
  }

  @Test func queryParametersAreThoseOfTheRoutes() {
    for (endpoint, operation) in described {
      let parameters = list(operation["parameters"]).map(resolve)
      let query = parameters.filter { $0["in"] as? String == "query" }.compactMap { $0["name"] as? String }
      #expect(
        query.sorted() == endpoint.parameters.sorted(),
        "\(endpoint.title): make the query parameters in openapi.yaml those of its Endpoint")
    }
  }

  @Test func requirementsAreThoseOfTheRoutes() {
    #expect(
      securityNames(document["security"]) == [["key"], ["token"]],
      "openapi.yaml: `security` at the top must demand the key or the token")
    for (endpoint, operation) in described {
      let security = securityNames(operation["security"] ?? document["security"])
      let scopes = (operation["x-scopes"] as? [String])?.sorted()
      let isForLoopback = operation["x-loopback"] as? Bool ?? false
      let expected = Expected(endpoint)
      #expect(security == expected.security, "\(endpoint.title): correct `security` in openapi.yaml")
      #expect(scopes == expected.scopes, "\(endpoint.title): make `x-scopes` in openapi.yaml its Endpoint's scopes")
      #expect(isForLoopback == expected.isForLoopback, "\(endpoint.title): correct `x-loopback` in openapi.yaml")
    }
  }

  @Test func requestContentTypesAreThoseOfTheRoutes() {
    for (endpoint, operation) in described {
      let content = map(map(operation["requestBody"])["content"])
      #expect(
        content.keys.sorted() == endpoint.contentTypes.sorted(),
        "\(endpoint.title): make the content types of `requestBody` in openapi.yaml those of its Endpoint")
    }
  }

  @Test func answersAreWhatTheRoutesProduce() {
    for (endpoint, operation) in described {
      let responses = map(operation["responses"])
      let produced = responses.filter { $0.key.hasPrefix("2") }
        .flatMap { map(resolve(map($0.value))["content"]).keys }
      #expect(
        Set(produced) == Set(endpoint.produces),
        "\(endpoint.title): make the content types of the answers in openapi.yaml what its Endpoint produces")
      #expect(
        (responses["406"] != nil) == !endpoint.produces.isEmpty,
        "\(endpoint.title): an operation that answers with a body has 406 in openapi.yaml, others have not")
    }
  }

  @Test func headersAreThoseOfTheRoutes() {
    for (endpoint, operation) in described {
      let headers = Set(
        list(operation["parameters"]).map(resolve).filter { $0["in"] as? String == "header" }
          .compactMap { $0["name"] as? String })
      #expect(
        headers.contains("Idempotency-Key") == endpoint.takesIdempotencyKey,
        "\(endpoint.title): writes, and they alone, take Idempotency-Key in openapi.yaml")
      #expect(
        headers.contains("Accept-Language") == endpoint.isTranslated,
        "\(endpoint.title): what its Endpoint translates, and that alone, takes Accept-Language in openapi.yaml")
    }
  }

  @Test func everyBodyHasAnExample() {
    for (endpoint, operation) in described {
      let responses = map(operation["responses"]).map { ("the response \($0)", $1) }
      for (name, body) in [("the request", operation["requestBody"] ?? [:])] + responses {
        for (type, content) in map(resolve(map(body))["content"]) {
          let examples = map(content)["example"] ?? map(content)["examples"]
          #expect(examples != nil, "\(endpoint.title): \(name) as \(type): add an example to openapi.yaml")
        }
      }
    }
  }

  @Test func refusalsOfARouteAreDescribed() {
    for (endpoint, operation) in described {
      var refusals = ["422", "default"]
      switch endpoint.requirement {
      case .open: break
      case .anyKey, .scopes, .loopbackOr: refusals += ["401", "403", "429"]
      }
      if endpoint.pattern.contains("{") { refusals.append("404") }
      if !endpoint.contentTypes.isEmpty { refusals += ["413", "415"] }
      // Lines are answered one by one.
      if endpoint.contentTypes.contains("application/json") { refusals.append("400") }
      if !endpoint.isAlwaysReady { refusals.append("503") }
      let missing = Set(refusals).subtracting(map(operation["responses"]).keys)
      #expect(missing.sorted() == [], "\(endpoint.title): add these responses to openapi.yaml")
    }
  }

  @Test func problemTypesAreThoseServed() {
    let described = Set(map(map(map(document["components"])["schemas"])["ProblemType"])["enum"] as? [String] ?? [])
    let served = Set(Problem.Kind.served.map { "/problems/" + $0.code })
    #expect(served.subtracting(described).sorted() == [], "add these to ProblemType in openapi.yaml")
    #expect(
      described.subtracting(served).sorted() == [], "serve these, or remove them from ProblemType in openapi.yaml")
  }

  @Test func theShippedFileIsTheOneOfTheRepository() {
    #expect(
      ShippedFiles.bytes("openapi.yaml") == bytes, "the program carries another openapi.yaml: build again")
  }

  // MARK: - The document

  /// The routes that are described, each with its operation; the others are one expectation's matter.
  private var described: [(endpoint: Endpoint, operation: [String: Any])] {
    let operations = operations
    return endpoints.compactMap { endpoint in operations[endpoint.title].map { (endpoint, $0) } }
  }

  /// By method and path, as in `GET /v1/keys`.
  private var operations: [String: [String: Any]] {
    var operations: [String: [String: Any]] = [:]
    for (path, item) in map(document["paths"]) {
      for method in HTTPServer.Method.allCases {
        guard var operation = map(item)[method.rawValue.lowercased()] as? [String: Any] else { continue }
        operation["parameters"] = list(map(item)["parameters"]) + list(operation["parameters"])
        operations["\(method.rawValue) \(path)"] = operation
      }
    }
    return operations
  }

  /// What a `$ref` within the document leads to.
  private func resolve(_ node: [String: Any]) -> [String: Any] {
    guard let reference = node["$ref"] as? String else { return node }
    return reference.split(separator: "/").dropFirst().reduce(document) { map($0[String($1)]) }
  }

  private func map(_ node: Any?) -> [String: Any] { node as? [String: Any] ?? [:] }

  private func list(_ node: Any?) -> [[String: Any]] { node as? [[String: Any]] ?? [] }

  /// The schemes of each alternative; none in one that needs no key.
  private func securityNames(_ node: Any?) -> [[String]] { list(node).map { $0.keys.sorted() } }
}

/// How the document spells a requirement.
private struct Expected {
  var security = [["key"], ["token"]]
  var scopes: [String]?
  var isForLoopback = false

  init(_ endpoint: Endpoint) {
    if endpoint.takesSignature { security.append(["signature"]) }
    switch endpoint.requirement {
    case .open: security = []
    case .anyKey: scopes = []
    case .scopes(let needed): scopes = needed.map(\.rawValue).sorted()
    case .loopbackOr(let needed):
      security = [[], ["key"], ["token"]]
      scopes = needed.map(\.rawValue).sorted()
      isForLoopback = true
    }
  }
}

extension Endpoint {
  fileprivate var title: String { "\(method.rawValue) \(pattern)" }
}
