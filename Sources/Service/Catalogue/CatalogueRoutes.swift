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
        try page(methodology.concerns, call, id: \.id) { catalogue.write(concern: $1, in: call.language, to: &$0) }
      },
      .get("/v1/checks", .anyKey, parameters: ["concern", "limit", "cursor"], isTranslated: true) { call in
        let concern = call.parameters["concern"]
        if let concern, !methodology.concerns.contains(where: { $0.id == concern }) {
          let known = methodology.concerns.map(\.id).joined(separator: ", ")
          throw JSONFault(pointer: "?concern", detail: "must be one of \(known)")
        }
        let checks = methodology.checks.filter { concern == nil || $0.concernID == concern }
        return try page(checks, call, id: \.id) { catalogue.write(check: $1, in: call.language, to: &$0) }
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
    _ items: [Item], _ call: Call, id: (Item) -> String, _ write: (inout JSONWriter, Item) -> Void
  ) throws -> Response {
    let limit = try call.parameters.limit()
    var rest = items[...]
    if let cursor = try call.parameters["cursor"].map({ try Cursor(parsing: $0).text }) {
      guard let last = items.firstIndex(where: { id($0) == cursor }) else {
        throw JSONFault(pointer: "?cursor", detail: "is not a cursor that this list gave out")
      }
      rest = items[(last + 1)...]
    }
    return .page(Array(rest.prefix(limit + 1)), limit: limit, call, write) { Cursor(text: id($0)) }
  }
}
