import HTTPServer
import JSON

/// `/v1/scores`: every provider's score in short. From memory alone.
struct ScoreListRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  private struct Entry {
    let provider: Provider
    let document: ScoreDocument
    let rank: ScoreRank
  }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/scores", requirement: .scopes([.scoresRead]),
        parameters: ["verdict", "grade", "concern", "min_score", "sort", "limit", "cursor"], handler: .async(list))
    ]
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    // One for the whole list, whatever is made active meanwhile.
    let scoring = parts.methodologies.active
    let filter = ScoreFilter(&query, scoring.methodology)
    let order = query.optional("sort") { try $0.oneOf(ScoreOrder.self) } ?? .riskiestFirst
    _ = query.optional("limit") { _ in try call.parameters.limit() }
    let after = query.optional("cursor") { field in
      guard let rank = ScoreRank(try Cursor(parsing: try field.string()), in: order) else { throw Cursor.fault }
      return rank
    }
    try query.finish()
    let limit = try call.parameters.limit()
    // Off the request's loop: right after the minute every score has to be computed.
    return try await service.computing { [self] in
      var found = await entries(filter, order, after: after, under: scoring)
      found.sort { $0.rank < $1.rank }
      var response = Response.page(found, limit: limit, call) {
        write($1, to: &$0)
      } cursor: {
        $0.rank.cursor(in: order)
      }
      let age = found.prefix(limit).map(\.document.maxAgeSecondsInShort).min()
      response.headers += parts.board.headers(maxAgeSeconds: age ?? ScoreDocument.unknownAgeSecondsMax)
      return response
    }
  }

  private func entries(
    _ filter: ScoreFilter, _ order: ScoreOrder, after: ScoreRank?, under scoring: ScoringMethodology
  ) async -> [Entry] {
    var entries: [Entry] = []
    for (index, provider) in parts.registry.providers.enumerated() where provider.status != .retired {
      // Whatever else waits for this thread gets its turn.
      if index % 64 == 63 { await Task.yield() }
      let document = parts.scorer.document(of: provider, isFull: false, under: scoring)
      guard filter.matches(document.standing) else { continue }
      let rank = order.rank(provider, document.standing)
      if let after, rank <= after { continue }
      entries.append(Entry(provider: provider, document: document, rank: rank))
    }
    return entries
  }

  private func write(_ entry: Entry, to json: inout JSONWriter) {
    let standing = entry.document.standing
    json.object { json in
      json.object("provider") { json in
        json.member("id", entry.provider.id.description)
        json.member("slug", entry.provider.slug.text)
        json.member("name", entry.provider.details.name)
        json.member("status", entry.provider.status.rawValue)
      }
      json.member("score", standing.score)
      json.member("provisional_score", standing.provisionalScore)
      json.member("grade", standing.grade)
      json.member("verdict", standing.verdict.rawValue)
      json.member("evidence", standing.isSufficient ? "sufficient" : "insufficient")
      json.member("coverage", standing.coverage)
      json.member("evaluated_at", standing.evaluatedAt.rfc3339)
      json.array("concerns", standing.concerns) { json, concern in
        json.object { json in
          json.member("concern", concern.id)
          json.member("score", concern.score)
          json.member("critical", concern.critical.rawValue)
        }
      }
    }
  }
}
