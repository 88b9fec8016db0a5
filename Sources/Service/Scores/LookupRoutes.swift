import HTTPServer
import JSON

/// `/v1/lookup`: whose host it is and what is to be thought of it. From memory alone.
struct LookupRoutes {
  let service: RiskService

  static let countMax = 1_000

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    [
      .get("/v1/lookup", .scopes([.scoresRead]), parameters: ["host", "url"], lookUpOne),
      Endpoint(
        method: .post, pattern: "/v1/lookup", requirement: .scopes([.scoresRead]), bodyBytesMax: 1024 * 1024,
        contentTypes: ["application/json"], isQuestion: true, handler: .async(lookUpMany)),
    ]
  }

  @Sendable private func lookUpOne(_ call: Call) throws -> Response {
    let asked: String
    switch (call.parameters["host"], call.parameters["url"]) {
    case (let host?, nil): asked = host
    case (nil, let url?): asked = url
    case (nil, nil): throw JSONFault(pointer: "?host", detail: "is required, or url in its place")
    case (.some, .some): throw JSONFault(pointer: "?url", detail: "must not be given together with host")
    }
    var json = JSONWriter()
    let made = parts.clock.now()
    let set = parts.methodologies.current
    let (standing, provider) = write(asked, under: set.active, to: &json)
    let headers = [("Content-Type", "application/json"), ("ETag", entityTag(of: json.bytes))]
    var answer = Response.prepared(
      try PreparedResponse(
        headers: headers + parts.board.headers(maxAgeSeconds: maxAgeSeconds(standing)), body: json.bytes))
    answer.reuse = parts.scorer.reuse(of: standing, of: provider, under: set, made: made)
    return answer
  }

  @Sendable private func lookUpMany(_ call: Call) async throws -> Response {
    // Off the request's loop: right after the minute a thousand scores may have to be computed.
    try await service.computing {
      let (value, readerFaults) = try call.json()
      var fields = JSONFields(value, faults: readerFaults)
      let hosts = fields.required("hosts") { try $0.array(count: 1...Self.countMax) { try $0.string() } }
      try fields.finish()
      // One for the whole answer, whatever is made active meanwhile.
      let scoring = parts.methodologies.active
      var json = JSONWriter(reservingBytes: 256 * hosts!.count)
      var age = Int.max
      json.object { json in
        json.array("items", hosts!) { age = min(age, maxAgeSeconds(write($1, under: scoring, to: &$0).standing)) }
      }
      return .json(json.bytes, headers: parts.board.headers(maxAgeSeconds: age))
    }
  }

  /// For how many seconds an answer may be kept that was made of this; nil where nobody registered the host.
  private func maxAgeSeconds(_ standing: Standing?) -> Int {
    standing?.maxAgeSeconds(at: parts.clock.now()) ?? Standing.unknownAgeSecondsMax
  }

  /// - Returns: what the answer is made of.
  private func write(
    _ asked: String, under scoring: ScoringMethodology, to json: inout JSONWriter
  ) -> (standing: Standing?, provider: Provider?) {
    let match = parts.registry.match(asked)
    let standing = match.provider.map { parts.scorer.standing(of: $0, under: scoring) }
    json.object { json in
      json.member("host", match.host)
      json.member("match", match.kind.rawValue)
      json.member("provider", match.provider?.slug.text)
      json.member("provider_status", match.provider?.status.rawValue)
      json.member("score", standing?.score)
      json.member("grade", standing?.grade)
      json.member("verdict", (standing?.verdict ?? .unknown).rawValue)
    }
    return (standing, match.provider)
  }
}
