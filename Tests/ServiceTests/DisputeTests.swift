import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct DisputeTests {
  private static let check = "encryption.legacy-tls-protocol"

  private func score(_ instance: TestInstance, _ query: String = "") async throws -> JSON {
    try await instance.client.get("/v1/providers/acme/score?detail=full\(query)").json
  }

  private func post(_ instance: TestInstance, _ fields: [String: Any?] = [:]) async throws -> String {
    let own: [String: Any?] = ["source": "lab", "observed_at": "2026-11-23T07:00:00Z"]
    let answer = try await instance.client.post(
      "/v1/probe-results", object: Posting.result(check: Self.check, own.merging(fields) { $1 }))
    #expect(answer.status == 201, "\(answer.text)")
    return try #require(answer.json["id"].string)
  }

  private func open(_ result: String, in instance: TestInstance) async throws -> Answer {
    try await instance.client.post("/v1/disputes", object: ["result": result, "reason": "was repaired before"])
  }

  private func decide(
    _ dispute: JSON, _ status: String, in instance: TestInstance, headers: [String: String] = [:]
  ) async throws -> Answer {
    try await instance.client.send(
      "PATCH", "/v1/disputes/\(dispute["id"].string!)",
      headers: headers.merging(["Content-Type": "application/merge-patch+json"]) { $1 },
      body: Data(#"{"status":"\#(status)","note":"looked at the capture"}"#.utf8))
  }

  private static let fields: Set<String> = [
    "id", "status", "provider", "provider_id", "result", "source", "check", "reason", "recorded_at", "recorded_by",
    "decided_at", "decided_by", "note",
  ]

  @Test func anOpenDisputeIsAMarkAndARejectedOneIsNone() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let result = try await post(instance)
      let before = try await score(instance)
      clock.advance(milliseconds: 1_000)
      let opened = try await open(result.uppercased(), in: instance)
      #expect(opened.status == 201 && Set(opened.json.keys) == Self.fields)
      #expect(opened.headers["location"] == "/v1/disputes/\(opened.json["id"].string!)")
      #expect(opened.json["status"].string == "open" && opened.json["check"].string == Self.check)
      #expect(opened.json["provider"].string == "acme" && opened.json["source"].string == "lab")
      #expect(opened.json["recorded_at"].string == "2026-11-23T08:00:11.000Z" && opened.json["note"].isNull)

      // It counts all the same, and shows at once.
      let disputed = try await score(instance)
      #expect(before["disputes"].integer == 0 && disputed["disputes"].integer == 1)
      #expect(disputed["evaluated_at"].string == "2026-11-23T08:00:11.000Z")
      #expect(disputed["checks"].array.first { $0["check"].string == Self.check }!["fail_evidence"].double! > 0.5)
      let shown = try await instance.client.get("/v1/probe-results/\(result)").json
      #expect(shown["disputes"].array.count == 1 && shown["voided"].isNull)
      #expect(shown["disputes"][0]["id"].string == opened.json["id"].string)
      let simulated = try await instance.client.post("/v1/score-simulations", #"{"provider":"acme"}"#).json
      #expect(simulated["before"]["disputes"].integer == 1)
      let dropped = try await instance.client.post(
        "/v1/score-simulations", #"{"provider":"acme","drop_sources":["lab"]}"#)
      #expect(dropped.json["after"]["disputes"].integer == 0)

      let second = try await open(result, in: instance)
      #expect(second.status == 409 && second.text.contains(opened.json["id"].string!))
      clock.advance(milliseconds: 60_000)
      let rejected = try await decide(opened.json, "rejected", in: instance)
      #expect(rejected.status == 200 && rejected.json["status"].string == "rejected")
      #expect(rejected.json["decided_at"].string == "2026-11-23T08:01:11.000Z")
      #expect(rejected.json["decided_by"].string?.hasPrefix("key:") == true)
      #expect(rejected.json["note"].string == "looked at the capture")
      #expect(try await score(instance)["disputes"].integer == 0)
      #expect(try await decide(opened.json, "upheld", in: instance).status == 409)
      let listed = try await instance.client.get("/v1/providers/acme/probe-results").json["items"][0]
      #expect(listed["disputes"][0]["status"].string == "rejected" && listed["voided"].isNull)
      #expect(try await open(result, in: instance).status == 201, "a further one")
    }
  }

  @Test func anUpheldDisputeVoidsTheResultAndThePastIsAsItWasKnown() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let unprobed = try await score(instance)
      let result = try await post(instance)
      clock.advance(milliseconds: 60_000)
      let opened = try await open(result, in: instance).json
      clock.advance(milliseconds: 60_000)
      let upheld = try await decide(opened, "upheld", in: instance)
      #expect(upheld.json["status"].string == "upheld")
      let after = try await score(instance)
      expectNear(after["checks"], unprobed["checks"], "after")
      #expect(after["disputes"].integer == 0)
      let shown = try await instance.client.get("/v1/probe-results/\(result)").json
      #expect(shown["voided"]["at"].string == "2026-11-23T08:02:00.000Z")
      #expect(shown["voided"]["reason"].string?.contains(opened["id"].string!) == true)
      #expect(shown["disputes"][0]["status"].string == "upheld")
      #expect(try await open(result, in: instance).status == 409, "it is void")

      func past(_ query: String) async throws -> Int? { try await score(instance, query)["disputes"].integer }
      let during = "&as_of=2026-11-23T08:01:30Z"
      #expect(try await past(during) == 0, "void for good, as is known now")
      #expect(try await past(during + "&known_at=2026-11-23T08:01:59.999Z") == 1)
      #expect(try await past(during + "&known_at=2026-11-23T08:00:59.999Z") == 0)
      #expect(try await past("&as_of=2026-11-23T08:00:59.999Z&known_at=2026-11-23T08:01:59Z") == 0)
    }
  }

  @Test func onlyResultsThatCountAreCountedAsDisputed() async throws {
    try await withRegisteredRelay { instance in
      let errored = try await post(instance, ["outcome": "error"])
      #expect(try await open(errored, in: instance).status == 201)
      #expect(try await score(instance)["disputes"].integer == 0)
      let voided = try await post(instance, ["external_id": "2"])
      #expect(try await open(voided, in: instance).status == 201)
      #expect(try await score(instance)["disputes"].integer == 1)
      _ = try await instance.client.post("/v1/probe-results/\(voided)/void", #"{"reason":"R"}"#)
      #expect(try await score(instance)["disputes"].integer == 0)
      let ofSuspended = try await post(instance, ["target": "other.example"])
      #expect(try await open(ofSuspended, in: instance).status == 201)
      #expect(try await score(instance)["disputes"].integer == 1)
      _ = try await instance.client.patch("/v1/sources/lab", #"{"status":"suspended"}"#)
      #expect(try await score(instance)["disputes"].integer == 0)
    }
  }

  @Test func otherInstancesFollowAndAStaleDecisionIsRefused() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    _ = try await first.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
    let opened = try await open(try await post(first), in: first)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    #expect(try await score(second)["disputes"].integer == 1, "loaded")
    let stale = try await decide(opened.json, "upheld", in: second, headers: ["If-Match": "\"other\""])
    #expect(stale.status == 412)
    let read = try await second.client.get("/v1/disputes/\(opened.json["id"].string!)")
    let etag = try #require(read.headers["etag"])
    #expect(etag == opened.headers["etag"])
    #expect(try await decide(opened.json, "upheld", in: second, headers: ["If-Match": etag]).status == 200)
    try await eventually {
      let score = try await score(first)
      return score["disputes"].integer == 0 && score["reasons"].array.isEmpty
    }
    await first.stop()
    await second.stop()
  }

  @Test func theyAreListedByStatusAndProviderByThoseWhoMay() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post("/v1/providers", #"{"slug":"other","name":"O","hosts":["other.example"]}"#)
      let registrar = try await instance.key(.registryWrite)
      var ids: [String] = []
      for provider in ["acme", "other", "acme"] {
        let result = try await post(instance, ["provider": provider, "external_id": "\(ids.count)"])
        let answer = try await registrar.post("/v1/disputes", object: ["result": result, "reason": "R"])
        ids.append(try #require(answer.json["id"].string))
      }
      let first = try await registrar.get("/v1/disputes/\(ids[0])")
      #expect(try await decide(first.json, "rejected", in: instance).status == 200)
      let reader = try await instance.key(.scoresRead)
      func listed(_ query: String) async throws -> [String?] {
        try await reader.get("/v1/disputes?\(query)").json["items"].array.map { $0["id"].string }
      }
      #expect(try await listed("") == ids)
      #expect(try await listed("status=open") == [ids[1], ids[2]])
      #expect(try await listed("status=rejected&provider=acme") == [ids[0]])
      #expect(try await listed("provider=acme.example") == [ids[0], ids[2]])
      let page = try await reader.get("/v1/disputes?limit=2&provider=acme&status=open")
      #expect(page.json["next_cursor"].isNull)
      let one = try await reader.get("/v1/disputes?limit=1")
      #expect(try await listed("limit=1&cursor=\(one.json["next_cursor"].string!)") == [ids[1]])
      #expect(try await reader.post("/v1/disputes", object: ["result": ids[0], "reason": "R"]).status == 403)
      let change = try await registrar.patch("/v1/disputes/\(ids[1])", #"{"status":"upheld","note":"N"}"#)
      #expect(change.status == 403)
    }
  }
}
