import HTTPServer
import JSON

/// `/v1/scores`: every provider's score in short. From memory alone.
struct ScoreListRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/scores", requirement: .scopes([.scoresRead]),
        parameters: ["verdict", "grade", "concern", "min_score", "sort", "limit", "cursor"], handler: .async(list))
    ]
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    while true {
      let scoring = parts.methodologies.active
      var query = QueryFields(call.parameters)
      let filter = ScoreFilter(&query, scoring.methodology)
      let order = query.optional("sort") { try $0.oneOf(ScoreOrder.self) } ?? .riskiestFirst
      _ = query.optional("limit") { _ in try call.parameters.limit() }
      let after = query.optional("cursor") { field in
        guard let rank = ScoreRank(try Cursor(parsing: try field.string()), in: order) else { throw Cursor.fault }
        return rank
      }
      try query.finish()
      let limit = try call.parameters.limit()
      let found = await parts.scoreIndex.page(filter, order, after: after, count: limit + 1, under: scoring.id)
      // None where another methodology was made active in between.
      if let found { return respond(found, order, limit: limit, call) }
    }
  }

  private func respond(_ found: [ScoreIndex.Entry], _ order: ScoreOrder, limit: Int, _ call: Call) -> Response {
    var response = Response.page(found, limit: limit, call) { json, entry in
      json.object { entry.standing.write(of: entry.provider, to: &$0) }
    } cursor: {
      order.rank($0.provider, $0.standing).cursor(in: order)
    }
    let now = parts.clock.now()
    let age = found.prefix(limit).map { $0.standing.maxAgeSeconds(at: now) }.min()
    response.headers += parts.board.headers(maxAgeSeconds: age ?? Standing.unknownAgeSecondsMax)
    return response
  }
}
