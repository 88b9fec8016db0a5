import HTTPServer
import JSON

/// `/v1/probe-results/import`: a scanner's own report as the body.
struct ImportRoutes {
  let service: RiskService

  static let bodyBytesMax = 32 * 1024 * 1024

  private enum Format: String, CaseIterable { case testssl }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/probe-results/import", requirement: .scopes([.resultsWrite]),
        parameters: ["format", "provider", "source", "observed_at", "target"], bodyBytesMax: Self.bodyBytesMax,
        contentTypes: ["application/json"], takesSignature: true, handler: .async(receive))
    ]
  }

  @Sendable private func receive(_ call: Call) async throws -> Response {
    let parts = service.parts
    let now = parts.clock.now()
    // The query is read as if it were an object, so that all its faults are found together.
    var query = QueryFields(call.parameters)
    _ = query.required("format") { try $0.oneOf(Format.self) }
    let decoder = ProbeResultDecoder(
      registry: parts.registry, signingKeys: parts.signingKeyRing, methodology: parts.catalogue.methodology,
      principal: call.caller, now: now)
    let provider = query.required("provider", decoder.provider)
    let source = query.source(decoder)
    let observedAt = query.optional("observed_at") { try ProbeResultDecoder.instant($0, now: now) }
    let target = query.optional("target") { try TargetAddress(try $0.string()) }
    try query.finish()
    let importing = TestSSLImport(
      provider: provider!, source: source!, methodology: parts.catalogue.methodology, now: now)
    let body = call.request.body
    let found = try await service.reading(body) { try Self.results(importing, body, observedAt, target) }
    try call.countResults(found.results.count)
    let lines = found.results.map { result in BatchLine { result } }
    let outcome = try await BatchPosting(service: service).post(lines, from: call.caller.sourceID)
    return .json(Self.encode(outcome, found, requestID: call.request.id))
  }

  private static func results(
    _ importing: TestSSLImport, _ body: [UInt8], _ observedAt: Instant?, _ target: TargetAddress?
  ) throws -> TestSSLImport.Results {
    do {
      return try importing.results(of: body, observedAt: observedAt, target: target)
    } catch let error as TestSSLError {
      switch error {
      case .notJSON: throw Problem(.malformedJSON, "\(error)")
      case .faults(let faults): throw JSONFaults(faults)
      case .notAReport: throw JSONFault(pointer: "", detail: "\(error)")
      }
    }
  }

  static func encode(_ outcome: BatchOutcome, _ found: TestSSLImport.Results, requestID: String) -> [UInt8] {
    outcome.encoded(requestID: requestID) { json, index in
      json.member("check", found.results[index].checkID)
      json.member("target", found.results[index].target.address)
      json.member("outcome", found.results[index].outcome.rawValue)
    } trailer: { json in
      json.array("warnings", found.warnings) { $0.value($1) }
    }
  }
}

/// Query parameters with all their faults collected, like `JSONFields` for bodies.
struct QueryFields {
  private let parameters: Parameters
  private var faults: [JSONFault] = []

  init(_ parameters: Parameters) { self.parameters = parameters }

  mutating func optional<Value>(_ name: String, _ read: (JSONField) throws -> Value) -> Value? {
    guard let field = parameters.field(name) else { return nil }
    do {
      return try read(field)
    } catch let error as JSONFault {
      faults.append(error)
    } catch let error as JSONFaults {
      faults += error.faults
    } catch {
      faults.append(field.fault("\(error)"))
    }
    return nil
  }

  mutating func required<Value>(_ name: String, _ read: (JSONField) throws -> Value) -> Value? {
    if parameters[name] == nil { faults.append(JSONFault(pointer: "?\(name)", detail: "is required")) }
    return optional(name, read)
  }

  /// The source that the caller posts for.
  mutating func source(_ decoder: ProbeResultDecoder) -> Source? {
    if decoder.principal.sourceID == nil { return required("source", decoder.namedSource) }
    let named = optional("source", decoder.namedSource)
    if decoder.boundSource == nil {
      faults.append(JSONFault(pointer: "?source", detail: ProbeResultDecoder.boundSourceIsUnknown))
    }
    return named ?? decoder.boundSource
  }

  func finish() throws(JSONFaults) {
    if !faults.isEmpty { throw JSONFaults(faults) }
  }
}
