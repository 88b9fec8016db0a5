import HTTPServer
import JSON

/// `/v1/providers/{p}/score`.
struct ScoreRoutes {
  let service: RiskService

  private enum Detail: String, CaseIterable { case summary, full }

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/providers/{p}/score", requirement: .scopes([.scoresRead]),
        parameters: ["detail", "methodology"] + Viewpoint.parameters, isTranslated: true,
        handler: .directWithout(["methodology"] + Viewpoint.parameters, live, otherwise: past)),
      Endpoint(
        method: .get, pattern: "/v1/providers/{p}/score/history", requirement: .scopes([.scoresRead]),
        parameters: ["from", "to", "points", "methodology"], handler: .async(history)),
      Endpoint(
        method: .get, pattern: "/v1/providers/{p}/score/inputs", requirement: .scopes([.scoresRead]),
        parameters: ["methodology"] + Viewpoint.parameters, handler: .async(inputs)),
    ]
  }

  @Sendable private func live(_ call: Call) throws -> Response {
    let detail = try call.parameters.field("detail")?.oneOf(Detail.self) ?? .summary
    let set = parts.methodologies.current
    let provider = try parts.registry.existingProvider(call.path("p"))
    let (document, made) = try live(provider, detail, in: call.language, under: set.active)
    var answer = Response.prepared(made.response)
    answer.reuse = parts.scorer.reuse(of: document.standing, of: provider, under: set, made: made.at)
    return answer
  }

  private func live(
    _ provider: Provider, _ detail: Detail, in language: Language, under scoring: ScoringMethodology
  ) throws -> (ScoreDocument, (at: Instant, response: PreparedResponse)) {
    // Asked before the score is computed, so that it never claims more than the score counts.
    let asOf = parts.board.asOf
    let document = parts.scorer.document(of: provider, isFull: detail == .full, in: language, under: scoring)
    return (document, try document.response(in: language, asOf: asOf, now: parts.clock.now()))
  }

  /// Never kept without asking again: what is recorded later about the past changes it, and so does a source that is
  /// suspended.
  @Sendable private func past(_ call: Call) async throws -> Response {
    let now = parts.clock.now()
    var reader = InstantParameters(parameters: call.parameters, now: now)
    let viewpoint = Viewpoint(&reader)
    let detail = reader.optional("detail") { try $0.oneOf(Detail.self) } ?? .summary
    let methodology = methodology(&reader)
    try reader.finish()
    let provider = try parts.registry.existingProvider(call.path("p"))
    let isLive = Viewpoint.parameters.allSatisfy { call.parameters[$0] == nil }
    if isLive, methodology.isComplete {
      return .prepared(try live(provider, detail, in: call.language, under: methodology.scoring).1.response)
    }
    let scores = PastScores(parts, methodology.scoring)
    let body = try await service.computing {
      isLive
        ? try await scores.live(of: provider, isFull: detail == .full, in: call.language).body
        : try await scores.document(of: provider, from: viewpoint, isFull: detail == .full, in: call.language)
    }
    let evidenceAsOf = min(now, viewpoint.knownAt ?? now)
    return .document(
      body, headers: [("Cache-Control", "private, max-age=0"), ("Evidence-As-Of", evidenceAsOf.rfc3339)])
  }

  /// The one that the query names, or the active one; its faults are the reader's.
  private func methodology(_ reader: inout InstantParameters) -> StoredMethodology {
    let set = parts.methodologies.current
    let named = reader.optional("methodology") { field in
      guard let methodology = set[try field.string()] else {
        throw field.fault("no such methodology; GET /v1/methodologies lists them")
      }
      return methodology
    }
    return named ?? set[set.active.id]!
  }

  // MARK: - History and inputs

  private static let pointsRange = 2...500
  private static let pointsDefault = 31
  private static let spanMillisecondsDefault: Int64 = 30 * 86_400_000

  @Sendable private func history(_ call: Call) async throws -> Response {
    var reader = InstantParameters(parameters: call.parameters, now: parts.clock.now())
    let methodology = methodology(&reader)
    let instants = try instants(&reader)
    let provider = try parts.registry.existingProvider(call.path("p"))
    let scores = PastScores(parts, methodology.scoring)
    let body = try await service.computing { try await scores.history(of: provider, at: instants) }
    return .document(body, headers: [("Cache-Control", "private, max-age=0")])
  }

  /// Evenly spaced, both ends included.
  private func instants(_ reader: inout InstantParameters) throws -> [Instant] {
    let to = reader.instant("to") ?? reader.now
    let usual = to + -Self.spanMillisecondsDefault
    let horizon = parts.horizon.instant.flatMap { usual < $0 && $0 < to ? $0 : nil }
    let from = reader.instant("from") ?? horizon ?? usual
    let points = reader.parameters["points"].map { Int($0) } ?? Self.pointsDefault
    let range = Self.pointsRange
    if points.map(range.contains) != true {
      reader.fault("points", "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    if reader.faults.isEmpty, from >= to { reader.fault("from", "must be before `to`") }
    try reader.finish()
    let milliseconds = to.milliseconds - from.milliseconds
    let steps = Int64(points! - 1)
    return (0...steps).map { from + milliseconds * $0 / steps }
  }

  @Sendable private func inputs(_ call: Call) async throws -> Response {
    var reader = InstantParameters(parameters: call.parameters, now: parts.clock.now())
    let viewpoint = Viewpoint(&reader)
    let methodology = methodology(&reader)
    try reader.finish()
    let provider = try parts.registry.existingProvider(call.path("p"))
    let scores = PastScores(parts, methodology.scoring)
    let body = try await service.computing { try await scores.inputs(of: provider, from: viewpoint) }
    return .document(body, headers: [("Cache-Control", "private, max-age=0")])
  }
}
