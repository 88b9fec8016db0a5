import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct DecisionTests {
  private static let check = "encryption.weak-cipher-suites"

  private func score(_ instance: TestInstance, _ query: String = "") async throws -> JSON {
    try await instance.client.get("/v1/providers/acme/score?detail=full\(query)").json
  }

  private func waive(_ instance: TestInstance, until: String) async throws -> Answer {
    try await instance.client.post(
      "/v1/providers/acme/waivers", object: ["check": Self.check, "reason": "mended soon", "expires_at": until])
  }

  @Test func aWaiverCountsAtOnceUntilItEndsAndInThePastOnlyWhereItWasInForce() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      _ = try await instance.client.post(
        "/v1/probe-results",
        object: Posting.result(check: Self.check, ["source": "lab", "observed_at": "2026-11-23T07:00:00Z"]))
      let before = try await score(instance)
      clock.advance(milliseconds: 1_000)
      let answer = try await waive(instance, until: "2026-11-23T10:00:00+01:00")
      #expect(answer.status == 201)
      #expect(
        answer.json.keys == [
          "id", "check", "reason", "recorded_at", "recorded_by", "expires_at", "revoked_at", "revoked_by",
          "revoked_note",
          "in_force",
        ])
      #expect(answer.json["expires_at"].string == "2026-11-23T09:00:00.000Z")
      #expect(answer.json["recorded_by"].string?.hasPrefix("key:") == true)
      #expect(try await waive(instance, until: "2026-11-23T08:30:00Z").status == 201)

      // Both are of one check, and neither waits for the next minute.
      let waived = try await score(instance)
      #expect(waived["waivers"].integer == 1)
      #expect(waived["evaluated_at"].string == "2026-11-23T08:00:11.000Z")
      #expect(waived["provisional_score"].double! < before["provisional_score"].double!)
      clock.advance(milliseconds: 60_000)
      let path = "/v1/providers/acme/waivers/\(answer.json["id"].string!)"
      #expect(try await instance.client.send("DELETE", path + "?note=mended").status == 204)
      #expect(try await score(instance)["waivers"].integer == 1, "the other one")
      clock.advance(milliseconds: 3_600_000)
      #expect(try await instance.client.send("DELETE", path).status == 204)
      #expect(try await score(instance)["waivers"].integer == 0)

      func past(_ query: String) async throws -> Int? { try await score(instance, query)["waivers"].integer }
      #expect(try await past("&as_of=2026-11-23T08:00:10.999Z") == 0)
      #expect(try await past("&as_of=2026-11-23T08:30:00Z") == 0)
      #expect(try await past("&as_of=2026-11-23T08:30:00Z&known_at=2026-11-23T08:00:30Z") == 1)
      #expect(try await past("&as_of=2026-11-23T08:00:30Z&known_at=2026-11-23T08:00:10Z") == 0)
      #expect(try await past("&as_of=2026-11-23T08:00:30Z") == 1)
      let listed = try await instance.client.get("/v1/providers/acme/waivers?limit=1")
      #expect(listed.json["items"].array.count == 1)
      #expect(listed.json["items"][0]["revoked_at"].string == "2026-11-23T08:01:11.000Z")
      #expect(listed.json["items"][0]["in_force"].bool == false)
      #expect(listed.json["items"][0]["revoked_note"].string == "mended")
      let rest = try await instance.client.get(
        "/v1/providers/acme/waivers?cursor=\(listed.json["next_cursor"].string!)")
      #expect(rest.json["items"].array.count == 1 && rest.json["next_cursor"].isNull)
    }
  }

  @Test func anIncidentBlocksAtOnceUntilItIsClosedOnEveryInstance() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    let opened = try await first.client.post(
      "/v1/providers/acme/incidents", #"{"concern":"backdoor","summary":"injected script"}"#)
    #expect(opened.status == 201)
    #expect(
      opened.json.keys == [
        "id", "concern", "summary", "recorded_at", "recorded_by", "closed_at", "closed_by", "closed_note",
      ])
    let blocked = try await score(first)
    #expect(blocked["verdict"].string == "block" && blocked["incidents"].integer == 1)
    try await eventually { try await score(second)["verdict"].string == "block" }

    let close = "/v1/providers/acme/incidents/\(opened.json["id"].string!)/close"
    let closed = try await second.client.post(close, #"{"note":"the script is gone"}"#)
    #expect(closed.status == 200 && !closed.json["closed_at"].isNull)
    #expect(closed.json["closed_note"].string == "the script is gone")
    #expect(try await score(second)["verdict"].string == "unknown")
    try await eventually { try await score(first)["verdict"].string == "unknown" }
    let again = try await first.client.send("POST", close)
    #expect(again.status == 200 && again.body == closed.body)
    let listed = try await first.key(.scoresRead).get("/v1/providers/acme/incidents")
    #expect(listed.json["items"][0]["closed_by"].string == closed.json["closed_by"].string)
    await first.stop()
    await second.stop()
  }

  @Test func everyWaivedCheckIsMarkedHoweverManyReasonsThereAre() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let checks = instance.service.parts.catalogue.methodology.checks.filter(\.isScored).map(\.id)
      let results = checks.prefix(6).map {
        Posting.result(check: $0, ["source": "lab", "observed_at": "2026-11-23T07:00:00Z"])
      }
      _ = try await instance.client.post("/v1/probe-results", object: ["results": results])
      let waived = [checks[0], checks[10]]
      for check in waived {
        let answer = try await instance.client.post(
          "/v1/providers/acme/waivers",
          object: ["check": check, "reason": "R", "expires_at": "2026-11-24T08:00:00Z"])
        #expect(answer.status == 201)
      }
      let score = try await score(instance)
      #expect(score["waivers"].integer == 2)
      #expect(!score["reasons"].array.contains { $0["waived"].bool == true }, "five others differ more")
      let marked = score["checks"].array.filter { $0["waived"].bool == true }
      #expect(marked.map { $0["check"].string } == waived)
    }
  }

  @Test func nobodyKeepsAScoreBeyondTheEndOfAWaiver() async throws {
    let clock = TestClock("2026-11-23T08:00:05.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      func maxAge(of path: String) async throws -> Int? {
        let answer = try await instance.client.get(path)
        return Int(try #require(answer.headers["cache-control"]?.firstMatch(of: /^private, max-age=(\d+)$/)).1)
      }
      // Blocked, so that it may be kept for longer than what is unknown.
      _ = try await instance.client.post("/v1/providers/acme/incidents", #"{"concern":"backdoor","summary":"S"}"#)
      let path = "/v1/providers/acme/score"
      let paths = [path, "/v1/lookup?host=acme.example", "/v1/scores"]
      for path in paths { #expect(try await maxAge(of: path) == 30, "\(path)") }
      #expect(try await waive(instance, until: "2026-11-23T08:00:26.500Z").status == 201)
      // A second less than is left, since an answer may be sent so much later than it is made.
      for path in paths { #expect(try await maxAge(of: path) == 20, "\(path)") }
      clock.advance(milliseconds: 20_000)
      #expect(try await maxAge(of: path) == 0)
      // It is over, and the score of the next minute says so.
      clock.advance(milliseconds: 15_000)
      #expect(try await score(instance)["waivers"].integer == 1)
      for path in paths { #expect(try await maxAge(of: path) == 19, "\(path)") }
      clock.advance(milliseconds: 20_000)
      #expect(try await score(instance)["waivers"].integer == 0)
      for path in paths { #expect(try await maxAge(of: path) == 30, "\(path)") }
    }
  }

  @Test func everyFaultOfADecisionIsNamed() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let client = instance.client
      let waiver = try await client.post(
        "/v1/providers/acme/waivers", #"{"check":"none","reason":"","expires_at":"2027-02-21T08:00:00.001Z","x":1}"#)
      #expect(waiver.status == 422)
      #expect(waiver.json.pointers == ["/check", "/reason", "/expires_at", "/x"])
      #expect(try await waive(instance, until: "2026-11-23T08:00:00Z").json.pointers == ["/expires_at"])
      #expect(try await waive(instance, until: "tomorrow").json.pointers == ["/expires_at"])
      #expect(try await waive(instance, until: "2027-02-21T08:00:00Z").status == 201)
      let incident = try await client.post("/v1/providers/acme/incidents", #"{"concern":"weather"}"#)
      #expect(incident.json.pointers == ["/concern", "/summary"])
      for path in ["acme/waivers/x", "none/waivers/x", "acme/waivers/019ab0c1-5b6c-7d7e-8f80-a1b2c3d4e5f6"] {
        #expect(try await client.send("DELETE", "/v1/providers/\(path)").status == 404)
      }
      for path in ["acme/incidents/x/close", "acme/incidents/019ab0c1-5b6c-7d7e-8f80-a1b2c3d4e5f6/close"] {
        #expect(try await client.send("POST", "/v1/providers/\(path)").status == 404)
      }
      #expect(try await client.get("/v1/providers/none/waivers").status == 404)
      #expect(try await client.get("/v1/providers/none/incidents").status == 404)
    }
  }
}
