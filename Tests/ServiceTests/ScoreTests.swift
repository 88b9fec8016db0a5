import Foundation
import Postgres
import RiskModel
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ScoreTests {
  @Test func aScoreHasTheContractsFieldsAndNoOthers() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post(
        "/v1/probe-results", object: Posting.result(["source": "lab", "model": "gpt-5.5"]))
      let answer = try await instance.client.get("/v1/providers/acme/score?detail=full")
      #expect(answer.status == 200)
      let score = answer.json
      let summary: Set<String> = [
        "provider", "methodology", "methodology_hash", "evaluated_at", "score", "provisional_score", "grade",
        "verdict", "evidence", "coverage", "range", "robust_range", "adjustments", "waivers", "incidents", "disputes",
        "concerns", "reasons",
      ]
      #expect(score.keys == summary.union(["checks"]))
      #expect(score["provider"].keys == ["id", "slug", "name", "status"])
      #expect(score["concerns"].array.count == 5)
      #expect(score["concerns"][0].keys == ["concern", "title", "score", "points", "coverage", "critical"])
      #expect(score["checks"].array.count == 59)
      #expect(
        score["checks"][0].keys == [
          "check", "theta", "seen", "unseen", "prior", "fail_evidence", "pass_evidence", "target", "model", "sources",
          "points", "critical", "covered", "last_observed_at", "waived",
        ])
      let reason = score["reasons"][0]
      #expect(
        reason.keys == [
          "check", "title", "concern", "points", "prior_points", "direction", "target", "model", "sources",
          "last_observed_at", "waived", "text",
        ])
      #expect(reason["check"].string == "encryption.legacy-tls-protocol")
      #expect(reason["direction"].string == "raises")
      #expect(reason["target"].string == "acme.example")
      #expect(reason["model"].string == "gpt-5.5")
      #expect(reason["sources"].array.map(\.string) == ["lab"])
      #expect(reason["text"].string?.contains("found on acme.example with model gpt-5.5 by lab") == true)
      let short = try await instance.client.get("/v1/providers/acme.example/score")
      #expect(short.json.keys == summary)
      #expect(try await instance.client.get("/v1/providers/none/score").status == 404)
    }
  }

  @Test func silenceIsNotSafety() async throws {
    try await withRegisteredRelay { instance in
      let score = try await instance.client.get("/v1/providers/acme/score").json
      #expect(score["score"].isNull && score["grade"].isNull)
      #expect(score["verdict"].string == "unknown")
      #expect(score["evidence"].string == "insufficient")
      #expect(score["provisional_score"].double! > 0)
      #expect(score["reasons"].array.isEmpty)
    }
  }

  @Test func whatWasPostedIsInTheVeryNextScore() async throws {
    try await withRegisteredRelay { instance in
      // Authoritative, so that the score is not clipped to what the source can do alone.
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"Soc","trust":1}"#)
      let scanner = try await instance.key(.resultsWrite, source: "soc")
      var last = try await instance.client.get("/v1/providers/acme/score").json["provisional_score"].double!
      let scored = instance.service.parts.catalogue.methodology.checks.filter(\.isScored)
      for (number, check) in scored.prefix(20).enumerated() {
        let posted = try await scanner.post("/v1/probe-results", object: Posting.result(check: check.id))
        #expect(posted.status == 201)
        let now = try await instance.client.get("/v1/providers/acme/score").json["provisional_score"].double!
        #expect(now > last, "after \(number)")
        last = now
      }
    }
  }

  @Test func theDocumentIsTheSameUntilSomethingChangesAndRevalidates() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let post = Posting.result(["source": "lab", "observed_at": "2026-11-23T07:30:00Z"])
      _ = try await instance.client.post("/v1/probe-results", object: post)
      let first = try await instance.client.get("/v1/providers/acme/score")
      #expect(first.json["evaluated_at"].string == "2026-11-23T08:00:00.000Z")
      // What is unknown is soon asked for again.
      #expect(first.json["verdict"].string == "unknown")
      #expect(first.headers["cache-control"] == "private, max-age=10")
      #expect(first.headers["evidence-as-of"] != nil)
      clock.advance(milliseconds: 49_000)
      let second = try await instance.client.get("/v1/providers/acme/score")
      #expect(second.body == first.body)
      let etag = try #require(first.headers["etag"])
      let revalidated = try await instance.client.get("/v1/providers/acme/score", headers: ["If-None-Match": etag])
      #expect(revalidated.status == 304)
      clock.advance(milliseconds: 1_000)
      let third = try await instance.client.get("/v1/providers/acme/score", headers: ["If-None-Match": etag])
      #expect(third.status == 200)
      #expect(third.json["evaluated_at"].string == "2026-11-23T08:01:00.000Z")
      #expect(third.json["provisional_score"].double! < first.json["provisional_score"].double!)
    }
  }

  @Test func aResultAheadOfTheClockCountsFromItsReceiptAndOneNewerThanTheMinuteAtOnce() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let ahead = try await instance.client.post(
        "/v1/probe-results", object: Posting.result(["source": "lab", "observed_at": "2026-11-23T08:04:00Z"]))
      #expect(ahead.status == 201)
      #expect(ahead.json["observed_at"].string == "2026-11-23T08:04:00.000Z")
      #expect(ahead.json["received_at"].string == "2026-11-23T08:00:10.000Z")
      let score = try await instance.client.get("/v1/providers/acme/score?detail=full").json
      #expect(score["evaluated_at"].string == "2026-11-23T08:00:10.000Z")
      let check = score["checks"].array.first { $0["check"].string == "encryption.legacy-tls-protocol" }!
      #expect(check["last_observed_at"].string == "2026-11-23T08:00:10.000Z")
    }
  }

  @Test func trustWaiversAndIncidentsMoveTheScore() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let provider = Identifier(parsing: try await instance.client.get("/v1/providers/acme").json["id"].string!)!
      _ = try await instance.client.post(
        "/v1/probe-results",
        object: Posting.result(
          check: "encryption.weak-cipher-suites", ["source": "lab", "observed_at": "2026-11-23T07:00:00Z"]))
      func score() async throws -> JSON { try await instance.client.get("/v1/providers/acme/score").json }
      let before = try await score()
      _ = try await instance.client.send(
        "PATCH", "/v1/sources/lab", headers: ["Content-Type": "application/json"], body: Data(#"{"trust":0.1}"#.utf8))
      let distrusted = try await score()
      #expect(distrusted["provisional_score"].double! < before["provisional_score"].double!)

      let id = instance.service.parts.identifiers.next(at: clock.now)
      let now = clock.now.timestamp
      try await instance.database.withTransaction { connection in
        try await connection.execute(
          """
          insert into waiver (id, provider_id, check_id, reason, recorded_at, recorded_by, expires_at)
          values (\(id), \(provider), 'encryption.weak-cipher-suites', 'x', \(now), 'test',
            \((clock.now + 60_000).timestamp))
          """)
        try await connection.execute(
          """
          insert into incident (id, provider_id, concern, summary, recorded_at, recorded_by)
          values (\(id), \(provider), 'backdoor', 'x', \(now), 'test')
          """)
        let elsewhere = ChangeLog(database: instance.database, instance: id)
        try await elsewhere.append(providers: [provider], at: clock.now, to: connection)
      }
      try await eventually { try await score()["waivers"].integer == 1 }
      let decided = try await score()
      #expect(decided["incidents"].integer == 1)
      #expect(decided["verdict"].string == "block")
      #expect(decided["score"].double == 95)
      #expect(decided["concerns"].array.first { $0["concern"].string == "backdoor" }?["critical"].string == "confirmed")
      #expect(decided["reasons"][0]["waived"].bool == true)
      clock.advance(milliseconds: 60_000)
      #expect(try await score()["waivers"].integer == 0)
    }
  }

  @Test func whoStartsLaterShowsTheSameToTheByte() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name, clock: clock.clock)
    try await registerRelay(with: first.client)
    _ = try await first.client.post("/v1/providers", #"{"slug":"silent","name":"Silent","hosts":["silent.example"]}"#)
    // Texts of every kind, and some that differ in the last of them alone.
    let places: [(target: String, model: String?)] = [
      ("acme.example", nil), ("acme.example", "gpt-5.5"), ("acme.example", "gpt-5.5\u{1}"), ("acme.example", "模型 🦜"),
      ("https://api.acme.example/v1/chat", "gpt-5.5"), ("http://api.acme.example:8080", nil),
    ]
    for check in first.service.parts.catalogue.methodology.checks.prefix(12) {
      for (number, place) in places.enumerated() {
        let posted = try await first.client.post(
          "/v1/probe-results",
          object: Posting.result(
            check: check.id, outcome: number % 2 == 0 ? "pass" : "fail",
            [
              "source": "lab", "target": place.target, "model": place.model, "confidence": 0.9,
              "observed_at": "2026-11-23T07:0\(number):00Z",
            ]))
        #expect(posted.status == 201)
      }
    }
    let second = try await TestInstance.start(on: name, clock: clock.clock, adminKey: first.adminKey)
    for provider in ["acme", "silent"] {
      let path = "/v1/providers/\(provider)/score?detail=full"
      #expect(try await second.client.get(path).body == first.client.get(path).body)
    }
    #expect(second.service.parts.board.counts.cells == 12 * places.count)
    await first.stop()
    await second.stop()
  }
}
