import HTTPServer
import JSON

/// `/v1/probe-results`.
struct ProbeResultRoutes {
  let service: RiskService

  static let pattern = "/v1/probe-results"
  static let oneBytesMax = 128 * 1024
  static let batchBytesMax = 16 * 1024 * 1024
  static let batchCountMax = 1_000

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: Self.pattern, requirement: .scopes([.resultsWrite]), parameters: ["atomic"],
        bodyBytesMax: Self.batchBytesMax, contentTypes: ["application/json", ResultStream.contentType],
        showsResult: true,
        stream: BodyStreaming(
          contentType: ResultStream.contentType, bytesMax: ResultStream.bytesMax, wholeWith: ["atomic"],
          handler: postStream),
        takesSignature: true, handler: .async(post)),
      Endpoint(
        method: .get, pattern: "/v1/probe-results/{id}", requirement: .scopes([.evidenceRead, .resultsWrite]),
        handler: .async(read)),
    ]
  }

  private var parts: RiskService.Parts { service.parts }

  @Sendable private func post(_ call: Call) async throws -> Response {
    let decoder = decoder(for: call)
    switch try await service.reading(call.request.body, { try read(call, decoder) }) {
    case .one(let result):
      try call.countResults(1)
      return try await postOne(result)
    case .many(let lines, let isAtomic, let isStream):
      try call.countResults(lines.count)
      let outcome = try await BatchPosting(service: service).post(lines, from: call.caller.sourceID, isAtomic: isAtomic)
      return .json(outcome.encoded(requestID: call.request.id, listingAccepted: !isStream))
    }
  }

  @Sendable private func postStream(_ call: Call, _ body: inout BodyReader) async throws -> Response {
    let permit = try parts.resultStreamPermits.enter()
    defer { withExtendedLifetime(permit) {} }
    var stream = ResultStream(service: service, decoder: decoder(for: call), of: call)
    // Megabytes of reading: not on a loop that answers requests.
    return try await withTaskExecutorPreference(globalConcurrentExecutor) {
      .json(try await stream.take(&body).encoded())
    }
  }

  private func decoder(for call: Call) -> ProbeResultDecoder {
    ProbeResultDecoder(
      registry: parts.registry, signingKeys: parts.signingKeyRing, methodology: parts.catalogue.methodology,
      principal: call.caller, now: parts.clock.now())
  }

  private enum Posted: Sendable {
    case one(ProbeResult)
    /// Of a stream only those that were not accepted are listed.
    case many([BatchLine], isAtomic: Bool, isStream: Bool)
  }

  private func read(_ call: Call, _ decoder: ProbeResultDecoder) throws -> Posted {
    if call.isNDJSON { return try readLines(call, decoder) }
    let (value, readerFaults) = try call.json()
    let isAtomic = try call.parameters.field("atomic").map(Self.flag) ?? false
    guard case .object(let object) = value, object["results"] != nil else {
      // The default may be sent: generated clients do.
      if isAtomic {
        throw JSONFault(pointer: "?atomic", detail: "is only for many results: {\"results\": [...]}")
      }
      guard call.request.body.count <= Self.oneBytesMax else {
        throw Problem(.bodyTooLarge, "One result has at most \(Self.oneBytesMax) bytes.")
      }
      do throws(JSONFaults) {
        return .one(try decoder.decode(value, readerFaults: readerFaults))
      } catch {
        parts.intakeMetrics.countRejected(1, of: call.caller.sourceID)
        throw error
      }
    }
    if readerFaults.count >= JSONReader.faultsMax { throw JSONFaults(readerFaults) }
    var fields = JSONFields(value, faults: readerFaults.filter { !$0.pointer.hasPrefix("/results/") })
    let results = fields.required("results") { field in
      guard case .array(let results) = field.value else {
        throw field.fault("must be an array, not \(field.value.typeName)")
      }
      guard results.count <= Self.batchCountMax else {
        throw field.fault("has \(results.count) results, at most \(Self.batchCountMax) are allowed")
      }
      return results
    }
    try fields.finish()
    let lines = results!.enumerated().map { index, value in
      BatchLine { () throws(JSONFaults) in
        try decoder.decode(value, readerFaults: readerFaults.relative(to: "/results/\(index)"))
      }
    }
    return .many(lines, isAtomic: isAtomic, isStream: false)
  }

  /// A stream that has to be there whole.
  private func readLines(_ call: Call, _ decoder: ProbeResultDecoder) throws -> Posted {
    let isAtomic = try call.parameters.field("atomic").map(Self.flag) ?? false
    var lines: [BatchLine] = []
    var splitter = LineSplitter(bytesMax: Self.oneBytesMax)
    func take(_ line: LineSplitter.Line) throws {
      guard lines.count < ResultStream.linesCountMax else { throw Problem.tooManyLines }
      lines.append(decoder.line(line))
    }
    try splitter.add(call.request.body, take)
    try splitter.finish(take)
    return .many(lines, isAtomic: isAtomic, isStream: true)
  }

  private func postOne(_ result: ProbeResult) async throws -> Response {
    let disposition = try await service.intake().submit([result])[0]
    parts.intakeMetrics.count([disposition], of: [result])
    switch disposition {
    case .accepted(let candidate): return parts.registry.response(candidate.stored, status: 201)
    case .duplicate(let id):
      guard let stored = try await parts.results.result(id) else {
        // It is a repetition, and no conflict; there is nothing left to answer with.
        throw Problem.contentGone(of: id)
      }
      return parts.registry.response(stored)
    case .conflict(let id): throw Problem.sameIdentity(as: id)
    }
  }

  @Sendable private func read(_ call: Call) async throws -> Response {
    let absent = parts.horizon.absent(call.path("id"))
    guard let id = Identifier(anyCase: call.path("id")), let stored = try await parts.results.result(id)
    else { throw absent }
    // A scanner reads back what it posted; what others posted does not exist for it.
    if !call.caller.has(.evidenceRead), stored.result.source != call.caller.sourceID { throw absent }
    var json = JSONWriter()
    stored.write(to: &json, slugs: parts.registry.slugs(of: stored))
    return .document(json.bytes)
  }

  static func flag(_ field: JSONField) throws -> Bool {
    switch try field.string() {
    case "true": true
    case "false": false
    default: throw field.fault("must be true or false")
    }
  }
}

extension Call {
  fileprivate var isNDJSON: Bool {
    request.headers["Content-Type"]?.lowercased().hasPrefix(ResultStream.contentType) == true
  }
}

extension Registry {
  /// A result that something was done to, and where it is read.
  func response(_ stored: StoredResult, status: Int = 200) -> Response {
    var json = JSONWriter()
    stored.write(to: &json, slugs: slugs(of: stored))
    return .document(json.bytes, status: status, headers: [("Location", "/v1/probe-results/\(stored.id)")])
  }

  /// Providers and sources are never deleted, so a stored result's are there.
  func slugs(of stored: StoredResult) -> (provider: String, source: String) {
    (
      provider(id: stored.result.provider)?.slug.text ?? stored.result.provider.description,
      source(id: stored.result.source)?.slug.text ?? stored.result.source.description
    )
  }
}

extension Problem {
  /// Of a repetition, whose first was dropped meanwhile.
  static func contentGone(of id: Identifier) -> Problem {
    Problem(.gone, "The result \(id) is the same and was counted; its content is no longer kept.")
  }

  static func sameIdentity(as id: Identifier) -> Problem {
    Problem(.conflict, "The result \(id) has the same identity and other content; it stays as it is.")
  }
}

extension [JSONFault] {
  /// Those within `pointer`, with pointers relative to it.
  func relative(to pointer: String) -> [JSONFault] {
    compactMap { fault in
      guard fault.pointer == pointer || fault.pointer.hasPrefix(pointer + "/") else { return nil }
      return JSONFault(pointer: String(fault.pointer.dropFirst(pointer.count)), detail: fault.detail)
    }
  }
}
