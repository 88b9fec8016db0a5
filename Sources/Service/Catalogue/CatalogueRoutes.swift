import HTTPServer
import JSON

/// `/v1/concerns` and `/v1/checks`: what is looked for.
struct CatalogueRoutes {
  let catalogue: Catalogue

  var endpoints: [Endpoint] {
    let catalogue = catalogue
    let methodology = catalogue.methodology
    return [
      .get("/v1/concerns", .anyKey, parameters: ["limit", "cursor"], isTranslated: true) { call in
        try page(methodology.concerns, call, QueryFields(call.parameters), id: \.id) {
          catalogue.write(concern: $1, in: call.language, to: &$0)
        }
      },
      .get("/v1/checks", .anyKey, parameters: ["concern", "limit", "cursor"], isTranslated: true) { call in
        var query = QueryFields(call.parameters)
        let concern = query.optional("concern") { field in
          let known = methodology.concerns.map(\.id)
          let concern = try field.string()
          guard known.contains(concern) else { throw field.fault("must be one of \(known.joined(separator: ", "))") }
          return concern
        }
        let checks = methodology.checks.filter { concern == nil || $0.concernID == concern }
        return try page(checks, call, query, id: \.id) { catalogue.write(check: $1, in: call.language, to: &$0) }
      },
      .get("/v1/checks/{id}", .anyKey, isTranslated: true) { call in
        guard let index = methodology.checkIndex(call.path("id")) else {
          throw Problem(.notFound, "No check has the id \"\(call.path("id"))\".")
        }
        var json = JSONWriter()
        catalogue.write(check: methodology.checks[index], in: call.language, to: &json)
        return .document(json.bytes)
      },
    ]
  }

  /// A page of a list that is in memory and never changes; in the catalogue's own order.
  private func page<Item>(
    _ items: [Item], _ call: Call, _ query: QueryFields, id: (Item) -> String,
    _ write: (inout JSONWriter, Item) -> Void
  ) throws -> Response {
    var query = query
    let limit = query.limit()
    let last = query.cursor { text in items.firstIndex { id($0) == text } }
    try query.finish()
    let rest = items.dropFirst(last.map { $0 + 1 } ?? 0)
    return .page(Array(rest.prefix(limit + 1)), limit: limit, call, write) { Cursor(text: id($0)) }
  }
}
