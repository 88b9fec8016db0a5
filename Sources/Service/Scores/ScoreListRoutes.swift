import HTTPServer
import JSON

/// `/v1/scores`: every provider's score in short, page by page or all in one answer. From memory alone.
struct ScoreListRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  private enum Format: String, CaseIterable {
    case page = "application/json"
    case lines = "application/x-ndjson"
    case table = "text/csv"

    /// Whether the answer is the whole list.
    var isWhole: Bool { self != .page }

    /// With the parameters that the type has (RFC 4180).
    var contentType: String { self == .table ? "text/csv; charset=utf-8; header=present" : rawValue }
  }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/scores", requirement: .scopes([.scoresRead]),
        parameters: ["verdict", "grade", "concern", "min_score", "sort", "fields", "limit", "cursor"],
        produces: Format.allCases.map(\.rawValue), handler: .async(list))
    ]
  }

  private struct Asked {
    let format: Format
    let scoring: ScoringMethodology
    let filter: ScoreFilter
    let order: ScoreOrder
    let fields: ScoreFields
    /// Of a page.
    let limit: Int
    let after: ScoreRank?
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    while true {
      let asked = try read(call)
      let response = asked.format.isWhole ? try await whole(asked) : await page(asked, call)
      // None where another methodology was made active in between.
      guard var response else { continue }
      response.headers = response.headers.varying(on: "Accept")
      return response
    }
  }

  private func read(_ call: Call) throws -> Asked {
    let format = Format(rawValue: call.request.head.preferredType(of: Format.allCases.map(\.rawValue)))!
    let scoring = parts.methodologies.active
    var query = QueryFields(call.parameters)
    let filter = ScoreFilter(&query, scoring.methodology)
    let order = query.optional("sort") { try $0.oneOf(ScoreOrder.self) } ?? .riskiestFirst
    let fields = query.optional("fields", ScoreFields.init) ?? .all
    let ofPages = { (field: JSONField) in
      if format.isWhole { throw field.fault("is only for pages, which are application/json") }
    }
    let limit = query.optional("limit") { field in
      try ofPages(field)
      return try field.limit()
    }
    let after = query.optional("cursor") { field in
      try ofPages(field)
      guard let rank = ScoreRank(try Cursor(parsing: try field.string()), in: order) else { throw Cursor.fault }
      return rank
    }
    try query.finish()
    return Asked(
      format: format, scoring: scoring, filter: filter, order: order, fields: fields,
      limit: limit ?? Parameters.limitDefault, after: after)
  }

  private func page(_ asked: Asked, _ call: Call) async -> Response? {
    let (order, limit) = (asked.order, asked.limit)
    let found = await parts.scoreIndex.page(
      asked.filter, order, after: asked.after, count: limit + 1, under: asked.scoring.id)
    guard let found else { return nil }
    var response = Response.page(found, limit: limit, call) { json, entry in
      json.object { entry.standing.write(of: entry.provider, to: &$0, only: asked.fields) }
    } cursor: {
      order.rank($0.provider, $0.standing).cursor(in: order)
    }
    let now = parts.clock.now()
    let age = found.prefix(limit).map { $0.standing.maxAgeSeconds(at: now) }.min()
    response.headers += parts.board.headers(maxAgeSeconds: age ?? Standing.unknownAgeSecondsMax)
    return response
  }

  /// Of one instant, however long the client takes to read it: the entries are never changed, only replaced by others.
  private func whole(_ asked: Asked) async throws -> Response? {
    guard let entries = await parts.scoreIndex.list(in: asked.order, under: asked.scoring.id) else { return nil }
    let (filter, fields, isTable) = (asked.filter, asked.fields, asked.format == .table)
    let body = PiecewiseBody(
      opening: isTable ? fields.csvHeader(asked.scoring.methodology) : [], count: entries.count
    ) { index, bytes in
      let (provider, standing) = (entries[index].provider, entries[index].standing)
      guard filter.matches(standing) else { return }
      if isTable { return bytes += standing.csvLine(of: provider, only: fields) }
      var json = JSONWriter(reservingBytes: 1_024)
      json.object { standing.write(of: provider, to: &$0, only: fields) }
      bytes += json.bytes
      bytes.append(UInt8(ascii: "\n"))
    }
    let asOf = parts.board.asOf.map { [("Evidence-As-Of", $0.rfc3339)] } ?? []
    return try await body.response(
      permits: parts.streamPermits,
      headers: [("Content-Type", asked.format.contentType), ("Cache-Control", "no-store")] + asOf)
  }
}
