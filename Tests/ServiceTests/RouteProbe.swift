import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// Sends requests to the routes of an instance on which one of everything is registered.
struct RouteProbe {
  let instance: TestInstance
  /// What stands in a path after a segment, such as an id after `waivers`.
  private let names: [Substring: String]

  init(_ instance: TestInstance) async throws {
    self.instance = instance
    let client = instance.client
    let result = try await client.post(
      "/v1/probe-results", object: Posting.result(["source": "lab", "evidence": ["a": 1]]))
    let expiry = (Service.Clock.system.now() + 86_400_000).rfc3339
    let waiver = try await client.post(
      "/v1/providers/acme/waivers",
      #"{"check":"encryption.legacy-tls-protocol","reason":"R","expires_at":"\#(expiry)"}"#)
    let incident = try await client.post("/v1/providers/acme/incidents", #"{"concern":"encryption","summary":"S"}"#)
    let disputed = try #require(result.json["id"].string)
    let dispute = try await client.post("/v1/disputes", object: ["result": disputed, "reason": "R"])
    let key = try await client.post("/v1/keys", #"{"name":"K","scopes":["audit:read"]}"#)
    let signingKey = try await client.post(
      "/v1/sources/lab/signing-keys", object: ["name": "K", "public_key": TestSigner().pem])
    let advisory = try await client.get("/v1/advisories").json["items"][0]
    // Stored behind the result's back.
    try await eventually {
      try await client.get("/v1/providers/acme/score/events").json["items"].array.isEmpty == false
    }
    names = [
      "problems": "not-found", "providers": "acme", "sources": "lab", "models": "gpt-5.5", "methodologies": "rm-1",
      "compare": "rm-1",
      "checks": "encryption.legacy-tls-protocol", "advisories": try #require(advisory["id"].string),
      "keys": try #require(key.json["id"].string),
      "signing-keys": try #require(signingKey.json["id"].string),
      "probe-results": try #require(result.json["id"].string),
      "disputes": try #require(dispute.json["id"].string), "waivers": try #require(waiver.json["id"].string),
      "incidents": try #require(incident.json["id"].string),
    ]
  }

  var requests: [RouteRequest] {
    get throws {
      try instance.service.endpoints.map { endpoint in
        var route = try #require(RouteCase.all[endpoint.name], "\(endpoint.name) has no cases")
        // A body that names a result names the one that is there.
        if let body = route.body, body.body["result"] != nil {
          route.body = BodyMutations(
            body: body.body.merging(["result": names["probe-results"]!]) { $1 }, required: body.required,
            wrong: body.wrong, free: body.free)
        }
        let body = try route.body.map { try JSONSerialization.data(withJSONObject: $0.body) }
        return RouteRequest(
          endpoint: endpoint, route: route, path: path(endpoint), body: body ?? route.report.map { Data($0.utf8) },
          client: instance.client)
      }
    }
  }

  /// A path of the route, with `others` in the place of parameters.
  func path(_ endpoint: Endpoint, with others: [Substring: String] = [:]) -> String {
    var path = ""
    var before: Substring = ""
    for segment in endpoint.pattern.split(separator: "/") {
      let name = others[segment] ?? names[before] ?? "x"
      path += "/" + (segment.hasPrefix("{") ? name : String(segment))
      before = segment
    }
    return path
  }
}

/// A right request for a route, to be sent with something wrong.
struct RouteRequest {
  let endpoint: Endpoint
  let route: RouteCase
  let path: String
  let body: Data?
  let client: APIClient

  var name: String { endpoint.name }

  func send(
    _ client: APIClient, path: String? = nil, query: [String: String]? = nil, suffix: String = "",
    contentType: String? = nil, body: Data? = nil
  ) async throws -> Answer {
    let items = (query ?? route.query).map { "\($0)=\($1)" }.joined(separator: "&") + suffix
    let body = body ?? self.body
    let type = contentType ?? endpoint.contentTypes.first
    return try await client.send(
      endpoint.method.rawValue, (path ?? self.path) + (items.isEmpty ? "" : "?" + items),
      headers: type.map { ["Content-Type": $0] } ?? [:], body: body)
  }

  /// Sends the request with the query and expects exactly these faults.
  func expect(_ status: Int, _ pointers: [String], query: [String: String], suffix: String = "") async throws {
    let answer = try await send(client, query: query, suffix: suffix)
    #expect(answer.status == status, "\(name) with \(query)\(suffix)")
    #expect(Set(answer.json.pointers) == Set(pointers), "\(name) with \(query)\(suffix)")
  }

  /// What is said of the body: lines are answered one by one.
  func outcome(_ answer: Answer) -> (status: Int, pointers: [String]) {
    guard endpoint.contentTypes == ["application/x-ndjson"], answer.status == 200 else {
      return (answer.status, answer.json.pointers)
    }
    #expect(answer.json["accepted"].integer == 0, "\(name)")
    let problem = answer.json["results"][0]["problem"]
    return (problem["status"].integer ?? 200, problem.pointers)
  }
}

extension Endpoint {
  var name: String { "\(method.rawValue) \(pattern)" }
}

/// Runs what `prepare` gives on an instance on which one of everything is registered, and expects that it changes no
/// row of any table.
func unchanged(
  _ prepare: @Sendable (TestInstance, RouteProbe) async throws -> () async throws -> Void
) async throws {
  try await withRegisteredRelay { instance in
    let work = try await prepare(instance, try await RouteProbe(instance))
    let before = try await instance.database.contents()
    try await work()
    let after = try await instance.database.contents()
    #expect(before.count > 10)
    for (table, content) in after { #expect(before[table] == content, "\(table) changed") }
  }
}

extension Database {
  /// A digest of all rows, by table.
  fileprivate func contents() async throws -> [String: String] {
    // What the service publishes and notes by itself goes on meanwhile.
    let tables = try await query(
      """
      select tablename::text from pg_tables where schemaname = 'public'
        and tablename not in ('score_head', 'published_score', 'score_event')
      """
    ) { try $0.next(String.self) }
    var contents: [String: String] = [:]
    for table in tables {
      contents[table] = try await query(
        """
        select coalesce(md5(string_agg(row, chr(10) order by row)), '') from \(unsafeRaw: table) t,
          lateral (select (to_jsonb(t) - 'last_used_at')::text) r (row)
        """
      ) { try $0.next(String.self) }[0]
    }
    return contents
  }
}
