import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ProviderChangeTests {
  private func patch(
    _ client: APIClient, _ body: String, _ headers: [String: String] = [:], slug: String = "acme"
  ) async throws -> Answer {
    let type = ["Content-Type": "application/merge-patch+json"]
    return try await client.send(
      "PATCH", "/v1/providers/\(slug)", headers: type.merging(headers) { $1 }, body: Data(body.utf8))
  }

  @Test func aPatchChangesWhatItNamesAndNothingElse() async throws {
    try await withRegisteredRelay { instance in
      let first = try await patch(
        instance.client,
        #"{"name":"New","tags":["a","b"],"legal_entity":{"name":"L","jurisdiction":"SG"},"notes":"n","#
          + #""status":"active"}"#
      )
      #expect(first.status == 200)
      #expect(first.json["version"].integer == 2)
      #expect(first.json["status"].string == "active")
      #expect(first.json["hosts"].array.count == 2)
      let second = try await patch(
        instance.client, #"{"legal_entity":{"jurisdiction":"US"},"notes":null,"hosts":["new.example","acme.example"]}"#)
      #expect(second.json["legal_entity"]["name"].string == "L")
      #expect(second.json["legal_entity"]["jurisdiction"].string == "US")
      #expect(second.json["notes"].isNull)
      #expect(second.json["tags"].array.count == 2)
      #expect(second.json["hosts"].array.map(\.string) == ["new.example", "acme.example"])
      #expect(try await instance.client.get("/v1/providers/new.example").body == second.body)
      #expect(try await instance.client.get("/v1/providers/api.acme.example").status == 404)
      // Saying what is so already changes nothing.
      #expect(try await patch(instance.client, #"{"name":"New"}"#).body == second.body)
      // A new slug is the name from then on, and the old one is free.
      #expect(try await patch(instance.client, #"{"slug":"other"}"#).status == 200)
      #expect(try await instance.client.get("/v1/providers/acme").status == 404)
      let again = try await instance.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["a.example"]}"#)
      #expect(again.status == 201)
      let stored = try await instance.service.parts.providers.providers(nil)
      #expect(stored.count == 2)
      for provider in stored { #expect(instance.service.parts.registry.provider(id: provider.id) == provider) }
    }
  }

  @Test func everyFaultOfAPatchIsNamedAndNothingChanges() async throws {
    try await withRegisteredRelay { instance in
      let before = try await instance.client.get("/v1/providers/acme")
      for (body, pointers) in [
        (#"{"slug":"A","name":null,"hosts":["com"],"x":1}"#, ["/slug", "/name", "/hosts/0", "/x"]),
        (#"{"status":"gone"}"#, ["/status"]), (#"{"id":"x"}"#, ["/id"]), (#"{"version":9}"#, ["/version"]),
        ("[]", [""]), (#"{"legal_entity":{"x":1}}"#, ["/legal_entity/name", "/legal_entity/x"]),
      ] {
        let answer = try await patch(instance.client, body)
        #expect(answer.status == 422, "\(body)")
        #expect(Set(answer.json.pointers) == Set(pointers), "\(body): \(answer.text)")
      }
      _ = try await instance.client.post("/v1/providers", #"{"slug":"b","name":"B","hosts":["b.example"]}"#)
      let taken = try await patch(instance.client, #"{"slug":"b","hosts":["b.example"]}"#)
      #expect(taken.status == 409)
      #expect(taken.json["detail"].string?.contains("host b.example belongs to b") == true)
      #expect(try await instance.client.get("/v1/providers/acme").body == before.body)
      #expect(try await patch(instance.client, "{}", slug: "none").status == 404)
    }
  }

  @Test func theLifecycleHasItsStepsAndNoOthers() async throws {
    try await withRegisteredRelay { instance in
      func become(_ status: String) async throws -> Int {
        try await patch(instance.client, #"{"status":"\#(status)"}"#).status
      }
      var statuses: [Int] = []
      for status in [
        "suspended", "active", "pending", "suspended", "active", "suspended", "retired", "suspended", "pending",
        "retired", "active", "active",
      ] { statuses.append(try await become(status)) }
      #expect(statuses == [409, 200, 409, 200, 200, 200, 200, 409, 409, 200, 200, 200])
    }
  }

  @Test func aRetiredProviderKeepsItsDataAndTakesNoResults() async throws {
    try await withRegisteredRelay { instance in
      let client = instance.client
      #expect(try await client.post("/v1/probe-results", object: Posting.result(["source": "lab"])).status == 201)
      for _ in 0..<2 { #expect(try await client.send("DELETE", "/v1/providers/acme").status == 204) }
      #expect(try await client.get("/v1/providers/acme").json["status"].string == "retired")
      let score = try await client.get("/v1/providers/acme/score")
      #expect(score.status == 200)
      #expect(score.json["provider"]["status"].string == "retired")
      #expect(score.json["reasons"].array.count == 1)
      let refused = try await client.post(
        "/v1/probe-results", object: Posting.result(["source": "lab", "external_id": "2"]))
      #expect(refused.json.pointers == ["/provider"])
      let taken = try await client.post("/v1/providers", #"{"slug":"b","name":"B","hosts":["acme.example"]}"#)
      #expect(taken.status == 409)
      #expect(try await client.get("/v1/providers").json["items"].array.isEmpty)
      #expect(try await client.get("/v1/providers?status=retired").json["items"].array.count == 1)
      #expect(try await client.send("DELETE", "/v1/providers/none").status == 404)
    }
  }

  @Test func ifMatchRefusesAStaleChange() async throws {
    try await withRegisteredRelay { instance in
      let etag = try #require(try await instance.client.get("/v1/providers/acme").headers["etag"])
      let changed = try await patch(instance.client, #"{"name":"1"}"#, ["If-Match": "\"x\", \(etag)"])
      #expect(changed.status == 200)
      let stale = try await patch(instance.client, #"{"name":"2"}"#, ["If-Match": etag])
      #expect(stale.status == 412)
      #expect(stale.json["type"].string == "/problems/precondition-failed")
      #expect(try await patch(instance.client, #"{"name":"3"}"#, ["If-Match": "*"]).status == 200)
      let deleted = try await instance.client.send("DELETE", "/v1/providers/acme", headers: ["If-Match": etag])
      #expect(deleted.status == 412)
      let source = try #require(try await instance.client.get("/v1/sources/lab").headers["etag"])
      let headers = ["Content-Type": "application/json", "If-Match": source]
      let first = try await instance.client.send(
        "PATCH", "/v1/sources/lab", headers: headers, body: Data(#"{"name":"1"}"#.utf8))
      let second = try await instance.client.send(
        "PATCH", "/v1/sources/lab", headers: headers, body: Data(#"{"name":"2"}"#.utf8))
      #expect(first.status == 200 && second.status == 412)
    }
  }

  @Test func ofSimultaneousChangesEachIsWholeAndNoneIsLost() async throws {
    try await withRegisteredRelay { instance in
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<12 {
          group.addTask { try await patch(instance.client, #"{"notes":"\#(number)","tags":["\#(number)"]}"#).status }
        }
        return try await group.reduce(into: [Int]()) { $0.append($1) }
      }
      #expect(Set(statuses).isSubset(of: [200, 409]))
      let provider = try await instance.client.get("/v1/providers/acme").json
      #expect(provider["version"].integer == 1 + statuses.filter { $0 == 200 }.count)
      #expect(provider["notes"].string == provider["tags"][0].string)
    }
  }

  @Test func anotherInstanceSeesAChange() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    try await eventually { try await second.client.get("/v1/providers/acme").status == 200 }
    _ = try await patch(first.client, #"{"slug":"renamed","hosts":["other.example"]}"#)
    try await eventually { try await second.client.get("/v1/providers/other.example").status == 200 }
    #expect(try await second.client.get("/v1/providers/acme").status == 404)
    #expect(try await second.client.get("/v1/providers/acme.example").status == 404)
    await first.stop()
    await second.stop()
  }

  @Test func listsAreFilteredByTagAndText() async throws {
    try await withInstance { instance in
      for (slug, name, host, tag) in [
        ("one", "First Relay", "one.example", "x"), ("two", "Zweites", "two.relay.example", "y"),
        ("three", "100%_sure", "three.example", "x"),
      ] {
        let body = #"{"slug":"\#(slug)","name":"\#(name)","hosts":["\#(host)"],"tags":["\#(tag)"]}"#
        let created = try await instance.client.post("/v1/providers", body)
        #expect(created.status == 201)
      }
      func found(_ query: String) async throws -> [String] {
        try await instance.client.get("/v1/providers?\(query)").json["items"].array.compactMap { $0["slug"].string }
      }
      for (query, slugs) in [
        ("tag=x", ["one", "three"]), ("q=RELAY", ["one", "two"]), ("q=relay&tag=y", ["two"]), ("q=none", []),
        // Not a pattern: what LIKE would take for one is text.
        ("q=%25_s", ["three"]),
      ] {
        let listed = try await found(query)
        #expect(listed == slugs, "\(query)")
      }
    }
  }
}
