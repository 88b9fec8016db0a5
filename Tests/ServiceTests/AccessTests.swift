import Foundation
import HTTPServer
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct AccessTests {
  /// A request for a route, with something in the place of each path parameter.
  private func target(_ endpoint: Endpoint) -> String {
    endpoint.pattern.split(separator: "/").map { $0.hasPrefix("{") ? "x" : $0 }
      .reduce(into: "") { $0 += "/" + $1 }
  }

  private func send(_ endpoint: Endpoint, _ client: APIClient, query: String = "") async throws -> Answer {
    let body = endpoint.contentTypes.isEmpty ? nil : Data("{}".utf8)
    let headers = endpoint.contentTypes.first.map { ["Content-Type": $0] } ?? [:]
    return try await client.send(endpoint.method.rawValue, target(endpoint) + query, headers: headers, body: body)
  }

  @Test func everyRouteAsksForItsScopeBeforeAnythingElse() async throws {
    try await withRegisteredRelay { instance in
      for endpoint in instance.service.endpoints {
        let name = "\(endpoint.method.rawValue) \(endpoint.pattern)"
        guard case .scopes(let scopes) = endpoint.requirement else { continue }
        let anonymous = try await send(endpoint, instance.client.with(key: nil))
        #expect(anonymous.status == 401, "\(name)")
        #expect(anonymous.headers["www-authenticate"]?.hasPrefix("Bearer") == true, "\(name)")
        for scope in Scope.allCases where scope != .admin {
          let answer = try await send(endpoint, try await instance.key(scope, source: "lab"), query: "?no-such=1")
          if scopes.contains(scope) {
            #expect(answer.status == 422, "\(name) with \(scope.rawValue)")
            #expect(answer.json.pointers.contains("?no-such"), "\(name)")
          } else {
            #expect(answer.status == 403, "\(name) with \(scope.rawValue)")
            #expect(answer.json["type"].string == "/problems/forbidden")
          }
        }
        // A stream would never end.
        let isStream = endpoint.produces == ["text/event-stream"]
        let admin = try await send(endpoint, instance.client, query: isStream ? "?no-such=1" : "")
        #expect(![401, 403].contains(admin.status), "\(name) with admin")
      }
    }
  }

  @Test func routesForAnyKeyStillAskForOne() async throws {
    try await withInstance { instance in
      for endpoint in instance.service.endpoints where endpoint.requirement == .anyKey {
        let anonymous = try await send(endpoint, instance.client.with(key: nil))
        #expect(anonymous.status == 401)
        let keyed = try await send(endpoint, try await instance.key(.auditRead))
        #expect(keyed.status != 401)
      }
    }
  }

  @Test func openRoutesAreThoseOfTheContract() async throws {
    try await withInstance { instance in
      let open = instance.service.endpoints.filter { $0.requirement == .open }.map(\.pattern)
      #expect(Set(open) == ["/healthz", "/readyz", "/openapi.yaml", "/problems/{code}"])
    }
  }

  @Test func wrongKeysAreRefused() async throws {
    try await withInstance { instance in
      let good = instance.adminKey
      let parts = good.split(separator: "_").map(String.init)
      let other = try await TestInstance.start(on: try await TestPostgres.shared.value.makeDatabase())
      let foreign = other.adminKey
      await other.stop()
      let flipped = parts[2].hasSuffix("0") ? parts[2].dropLast() + "1" : parts[2].dropLast() + "0"
      for wrong in [
        "", "x", "rr_", parts[1], "rr_\(parts[1])", "rr_\(parts[1])_", "rr_\(parts[1])_\(flipped)", good + "0",
        "rr_\(parts[1])_\(parts[2])_x", "RR_\(parts[1])_\(parts[2])", foreign, "Bearer \(good)",
      ] {
        let answer = try await instance.client.with(key: wrong).get("/v1/concerns")
        #expect(answer.status == 401, "\(wrong)")
      }
      #expect(try await instance.client.get("/v1/concerns").status == 200)
      let lower = try await instance.client.with(key: nil).get(
        "/v1/concerns", headers: ["Authorization": "bearer \(good)"])
      #expect(lower.status == 200)
    }
  }

  @Test func keysLiveAndDieByTheAPI() async throws {
    try await withRegisteredRelay { instance in
      let created = try await instance.client.post(
        "/v1/keys", #"{"name":"portal","scopes":["scores:read"],"source":null}"#)
      #expect(created.status == 201)
      let id = try #require(created.json["id"].string)
      let portal = instance.client.with(key: created.json["key"].string)
      #expect(try await portal.get("/v1/providers/acme/score").status == 200)
      #expect(try await portal.get("/v1/keys").status == 403)

      let listed = try await instance.client.get("/v1/keys")
      let entry = try #require(listed.json["items"].array.first { $0["id"].string == id })
      #expect(
        entry.keys == [
          "id", "name", "scopes", "source", "created_at", "last_used_at", "revoked_at", "successor", "expires_at",
          "address_ranges", "requests_per_minute", "results_per_minute",
        ])
      #expect(!listed.text.contains(created.json["key"].string!.split(separator: "_")[2]))

      #expect(try await instance.client.send("DELETE", "/v1/keys/\(id)").status == 204)
      #expect(try await portal.get("/v1/providers/acme/score").status == 401)
      #expect(try await instance.client.send("DELETE", "/v1/keys/\(id)").status == 204)
      #expect(try await instance.client.send("DELETE", "/v1/keys/nonsense").status == 404)
    }
  }

  @Test func aKeyThatPostsResultsIsBoundToASource() async throws {
    try await withRegisteredRelay { instance in
      let unbound = try await instance.client.post("/v1/keys", #"{"name":"x","scopes":["results:write"]}"#)
      #expect(unbound.status == 422)
      #expect(unbound.json.pointers == ["/source"])
      let bound = try await instance.client.post(
        "/v1/keys", #"{"name":"x","scopes":["results:write"],"source":"lab"}"#)
      #expect(bound.status == 201)
      let wrong = try await instance.client.post("/v1/keys", #"{"name":"","scopes":["all"],"source":"none","x":1}"#)
      #expect(wrong.json.pointers == ["/name", "/scopes/0", "/source", "/x"])
    }
  }

  @Test func theDatabaseHoldsNoSecret() async throws {
    try await withInstance { instance in
      let secret = String(instance.adminKey.split(separator: "_")[2])
      let rows = try await instance.database.query("select k::text from api_key k") { try $0.next(String.self) }
      #expect(rows.count == 1)
      #expect(!rows[0].contains(secret))
    }
  }

  @Test func aKeyMadeElsewhereIsKnownAtOnceAndARevokedOneWithinASecond() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    let key = try await first.service.createKey(name: "new", scopes: [.scoresRead], source: nil)
    // No wait: an unknown key makes the instance look once before it refuses.
    #expect(try await second.client.with(key: key).get("/v1/concerns").status == 200)
    try await first.service.revokeKey(String(key.split(separator: "_")[1]))
    try await eventually { try await second.client.with(key: key).get("/v1/concerns").status == 401 }
    await first.stop()
    await second.stop()
  }

  @Test func keysOfASuspendedSourceAreRefusedAndItsEvidenceDoesNotCount() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let result = Posting.result(check: "encryption.plaintext-http-api", outcome: "fail")
      #expect(try await scanner.post("/v1/probe-results", object: result).status == 201)
      let before = try await instance.client.get("/v1/providers/acme/score").json["provisional_score"].double!
      let suspended = try await instance.client.send(
        "PATCH", "/v1/sources/lab", headers: ["Content-Type": "application/merge-patch+json"],
        body: Data(#"{"status":"suspended"}"#.utf8))
      #expect(suspended.status == 200)
      #expect(try await scanner.post("/v1/probe-results", object: result).status == 403)
      let during = try await instance.client.get("/v1/providers/acme/score").json["provisional_score"].double!
      #expect(during < before)
      _ = try await instance.client.send(
        "PATCH", "/v1/sources/lab", headers: ["Content-Type": "application/merge-patch+json"],
        body: Data(#"{"status":"active"}"#.utf8))
      let after = try await instance.client.get("/v1/providers/acme/score").json["provisional_score"].double!
      #expect(abs(after - before) < 1e-3)
    }
  }
}

/// Asks until it is so, for at most 20 s: what is awaited comes within a fraction of a second on an idle machine.
func eventually(_ condition: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(20)
  while try await !condition() {
    guard ContinuousClock.now < deadline else {
      Issue.record("did not come about within 20 s")
      return
    }
    try await Task.sleep(for: .milliseconds(20))
  }
}

/// What is answered from memory, again and again to the same request, stops at once when it may not be.
@Suite(.serialized) struct RepeatedReadTests {
  private static let paths = ["/v1/providers/acme/score", "/v1/lookup?host=acme.example"]

  @Test func aRevokedKeyOrASuspendedSourceIsRefusedByTheNextRequest() async throws {
    try await withRegisteredRelay { instance in
      for path in Self.paths {
        let reader = try await instance.key(.scoresRead, source: "lab")
        for _ in 0..<3 { #expect(try await reader.get(path).status == 200) }
        _ = try await instance.client.patch("/v1/sources/lab", #"{"status":"suspended"}"#)
        #expect(try await reader.get(path).status == 403)
        _ = try await instance.client.patch("/v1/sources/lab", #"{"status":"active"}"#)
        for _ in 0..<3 { #expect(try await reader.get(path).status == 200) }
        let id = try #require(reader.key?.split(separator: "_")[1])
        #expect(try await instance.client.send("DELETE", "/v1/keys/\(id)").status == 204)
        #expect(try await reader.get(path).status == 401)
      }
    }
  }

  @Test func theNextReadShowsWhateverChanged() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      func read() async throws -> [String] {
        var answers: [String] = []
        for path in Self.paths {
          let answer = try await instance.client.get(path)
          #expect(try await instance.client.get(path).text == answer.text)
          answers.append(answer.text)
        }
        return answers
      }
      let silent = try await read()
      let post = Posting.result(["source": "lab", "observed_at": "2026-11-23T07:30:00Z"])
      _ = try await instance.client.post("/v1/probe-results", object: post)
      let posted = try await read()
      #expect(posted[0] != silent[0])
      try await Declaring.incident(in: instance, provider: "acme")
      let declared = try await read()
      #expect(zip(declared, posted).allSatisfy { $0 != $1 })
      _ = try await instance.client.patch("/v1/providers/acme", #"{"status":"active"}"#)
      let activated = try await read()
      #expect(zip(activated, declared).allSatisfy { $0 != $1 })
      _ = try await instance.client.patch("/v1/sources/lab", #"{"trust":0.5}"#)
      #expect(try await read()[0] != activated[0])
      let before = try await read()
      clock.advance(milliseconds: 60_000)
      #expect(try await read()[0] != before[0])
      _ = try await instance.client.patch("/v1/providers/acme", #"{"hosts":["other.example"]}"#)
      #expect(try await instance.client.get(Self.paths[1]).json["match"].string == "none")
    }
  }
}
