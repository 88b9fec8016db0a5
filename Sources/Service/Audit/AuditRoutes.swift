import HTTPServer
import JSON

/// `/v1/audit-log`: who changed what, the newest first.
struct AuditRoutes {
  let log: AuditLog

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/audit-log", requirement: .scopes([.auditRead]),
        parameters: ["actor", "action", "object_kind", "object_id", "since", "until", "limit", "cursor"],
        handler: .async(list)),
      Endpoint(
        method: .get, pattern: "/v1/audit-log/head", requirement: .scopes([.auditRead]), handler: .async(head)),
    ]
  }

  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    var filter = AuditLog.Filter()
    filter.actor = query.optional("actor") { field in
      guard let key = Identifier(anyCase: try field.string()) else {
        throw field.fault("must be the id of a key, as GET /v1/keys lists them")
      }
      return key
    }
    filter.action = query.optional("action") { try $0.oneOf(AuditAction.self) }
    filter.objectKind = query.optional("object_kind") { try $0.oneOf(AuditObjectKind.self) }
    filter.objectID = query.optional("object_id") { try $0.string(bytesMin: 1, bytesMax: 200) }
    filter.since = query.optional("since", ResultFilter.instant)
    filter.until = query.optional("until", ResultFilter.instant)
    let limit = query.limit()
    filter.before = query.cursor { Int($0) }
    try query.finish()
    return .page(try await log.page(filter, count: limit + 1), limit: limit, call) {
      $1.write(to: &$0)
    } cursor: {
      Cursor(text: "\($0.sequence)")
    }
  }

  @Sendable private func head(_ call: Call) async throws -> Response {
    let (head, at) = try await log.head()
    var json = JSONWriter()
    json.object { json in
      json.member("count", head.count)
      json.member("hash", hexadecimal(head.hash))
      json.member("at", at?.rfc3339)
    }
    return .document(json.bytes)
  }
}
