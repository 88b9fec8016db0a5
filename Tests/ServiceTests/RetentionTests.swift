import Foundation
import HTTPServer
import RiskModel
import TestHarness
import Testing

@testable import Postgres
@testable import Service

/// Results that are dropped when they are old: no score moves, and what cannot be told any more is said to be so.
@Suite(.serialized) struct RetentionTests {
  private typealias Twins = RetentionTwins

  private static let horizon = "2026-04-01T00:00:00.000Z"
  /// At and after the horizon; voids happen in between.
  private static let instants = [horizon, "2026-04-20T11:00:00.000Z", "2026-06-02T00:00:00.000Z"]

  /// Half a year with voids before and after what will be the horizon, the day being 10 July.
  private func halfAYear(_ twins: Twins, _ generator: inout SeededGenerator) async throws {
    var runs: [String] = []
    for (time, voids) in [
      ("2026-02-10", 0), ("2026-03-10", 1), ("2026-04-15", 1), ("2026-05-20", 1), ("2026-07-10", 1),
    ] {
      try await twins.live(until: "\(time)T00:00:00Z", &generator)
      try await twins.post(30, &generator)
      for _ in 0..<voids {
        let run = runs.removeFirst()
        #expect(try await twins.void(["run_id": run, "source": "lab"]) > 0)
      }
      runs.append("run-\(time)")
    }
    // A whole month's of one source, long after: cells without anything left in them.
    _ = try await twins.void([
      "source": "web", "received_from": "2026-01-01T00:00:00Z", "received_until": "2026-02-20T00:00:00Z",
    ])
  }

  @Test func noScoreMovesAndTheFutureIsAsIfAllWereKept() async throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    try await Twins.with { twins in
      var generator = SeededGenerator(state: seed)
      try await halfAYear(twins, &generator)
      let place = "seed \(seed)"
      func live() async throws -> [JSON] {
        var documents: [JSON] = []
        for provider in Twins.providers {
          documents.append(try await twins.dropping.client.get("/v1/providers/\(provider)/score?detail=full").json)
        }
        return documents
      }
      let before = try await live()
      let preview = try await twins.maintain(months: 3, isDryRun: true)
      #expect(preview.contains { $0.hasPrefix("results: ") && $0.hasSuffix("of 2026-03 would be dropped") })
      #expect(try await tables(of: twins.dropping).contains("result_2026_03"))
      let lines = try await twins.maintain(months: 3)
      #expect(lines.filter { $0.contains("dropped, and what they contributed carried on") }.count == 15, "\(lines)")
      let again = try await twins.maintain(months: 3)
      #expect(again.contains("results: none is older than 3 months by a whole month"), "\(again)")
      let left = try await tables(of: twins.dropping)
      #expect(left.filter { $0 < "result_2026_04" } == [] && left.contains("result_evidence_2026_04"))
      for (document, wanted) in zip(try await live(), before) { expectNear(document, wanted, place) }
      // What a new instance loads is the same.
      try await twins.expectSame(at: Self.instants, place)
      try await twins.expectVerified(place)

      // Cells that hold both what was dropped and what is left are folded anew.
      #expect(try await twins.void(["run_id": "run-2026-05-20"]) > 0)
      try await twins.expectSame(at: Self.instants, "\(place), voided after")
      try await twins.expectVerified("\(place), voided after")
      // So are those of a methodology that was put aside meanwhile, and of one that begins only now.
      for (status, id) in [("retired", "rm-shadow"), ("shadow", "rm-shadow"), ("shadow", "rm-draft")] {
        for instance in twins.instances {
          #expect(try await MethodologyLifeTests.become(status, id, in: instance).status == 200)
        }
      }
      try await twins.expectSame(at: Self.instants, "\(place), backfilled")
      // The next months are merged with what is carried on already.
      try await twins.live(until: "2026-08-09T00:00:00Z", &generator)
      try await twins.maintain(months: 2)
      try await twins.expectSame(at: ["2026-06-01T00:00:00.000Z", "2026-07-15T00:00:00.000Z"], "\(place), later")
      try await twins.expectVerified("\(place), later")
    }
  }

  private func tables(of instance: TestInstance) async throws -> [String] {
    try await instance.database.query("select name from result_partition order by name") { try $0.next(String.self) }
  }

  @Test func whatIsBeforeTheHorizonIsGone() async throws {
    try await Twins.with { twins in
      var generator = SeededGenerator(state: 1)
      try await twins.post(30, &generator)
      let client = twins.dropping.client
      func results() async throws -> [JSON] {
        try await client.get("/v1/providers/acme/probe-results?limit=500").json["items"].array
      }
      let old = try await results().map { $0["id"].string! }
      let opened = try await client.post("/v1/disputes", object: ["result": old[0], "reason": "not us"])
      #expect(opened.status == 201)
      try await twins.live(until: "2026-05-03T00:00:00Z", &generator)
      try await twins.maintain(months: 1)
      let horizon = "2026-04-01T00:00:00.000Z"
      #expect(try await results().allSatisfy { $0["received_at"].string! >= horizon })

      let score = "/v1/providers/acme/score"
      let at = "2026-03-31T23:59:59.999Z"
      for path in [
        "\(score)?as_of=\(at)", "\(score)?known_at=\(at)", "\(score)?as_of=\(horizon)&known_at=\(at)",
        "\(score)/history?from=\(at)", "\(score)/history?to=\(at)", "\(score)/inputs?as_of=\(at)",
        "\(score)/inputs?known_at=\(at)", "/v1/probe-results/\(old[0])",
      ] {
        let answer = try await client.get(path)
        #expect(answer.status == 410 && answer.json["type"].string == "/problems/gone", "\(path)")
        #expect(answer.json["detail"].string?.contains(horizon) == true, "\(path): \(answer.text)")
      }
      for path in ["\(score)?as_of=\(horizon)&known_at=\(horizon)", "\(score)/history", "\(score)/inputs"] {
        #expect(try await client.get(path).status == 200, "\(path)")
      }
      let simulated = try await client.post("/v1/score-simulations", object: ["provider": "acme", "at": at])
      #expect(simulated.status == 410)

      // A decision about one of them would change nothing.
      let id = old[1]
      #expect(try await client.post("/v1/probe-results/\(id)/void", #"{"reason":"x"}"#).status == 410)
      let late = try await client.post("/v1/disputes", object: ["result": id, "reason": "not us"])
      #expect(late.status == 410)
      let bulk = try await client.post(
        "/v1/probe-results/void", object: ["reason": "x", "received_until": "2026-03-31T00:00:00Z"])
      #expect(bulk.json["voided"].integer == 0)
      let dispute = "/v1/disputes/\(opened.json["id"].string!)"
      #expect(try await client.patch(dispute, #"{"status":"upheld","note":"x"}"#).status == 410)
      #expect(try await client.get(dispute).json["status"].string == "open")
      #expect(try await client.patch(dispute, #"{"status":"rejected","note":"x"}"#).status == 200)
      // One that never was, of a time that is kept, is another matter.
      let absent = Identifier(leastAt: twins.clock.now)
      #expect(try await client.get("/v1/probe-results/\(absent)").status == 404)
    }
  }

  @Test func theInputsGiveTheScoreThatIsServed() async throws {
    try await Twins.with { twins in
      var generator = SeededGenerator(state: 2)
      try await twins.live(until: "2026-05-03T00:00:00Z", &generator)
      try await twins.maintain(months: 1)
      let client = twins.dropping.client
      for query in ["as_of=2026-04-01T00:00:00Z", "as_of=2026-05-02T00:00:00Z&known_at=2026-04-10T00:00:00Z"] {
        let inputs = try await client.get("/v1/providers/acme/score/inputs?\(query)")
        #expect(!inputs.json["carried"].array.isEmpty)
        let document = try OfflineScore.document(inputs: Array(inputs.body), methodology: nil)
        let served = try await client.get("/v1/providers/acme/score?detail=full&\(query)")
        #expect(Data(document) == served.body)
      }
    }
  }

  @Test func simulationsOfTheKeptPastAreTheScoresThatWere() async throws {
    try await Twins.with { twins in
      var generator = SeededGenerator(state: 3)
      try await twins.live(until: "2026-05-03T00:00:00Z", &generator)
      try await twins.maintain(months: 1)
      for fields in [
        ["at": "2026-04-20T00:00:00Z"], ["methodology": "rm-draft"], ["drop_sources": ["soc"]],
        ["drop_sources": ["soc"], "at": "2026-04-20T00:00:00Z"],
      ] as [[String: Any]] {
        var answers: [JSON] = []
        for instance in twins.instances {
          let body = fields.merging(["provider": "acme"]) { $1 }
          let answer = try await instance.client.post("/v1/score-simulations", object: body)
          #expect(answer.status == 200)
          answers.append(answer.json)
        }
        for side in ["before", "after"] { expectNear(answers[0][side], answers[1][side], "\(fields) \(side)") }
      }
      // Passes are folded with the half-lives that were in force, and fade with those that are asked for.
      let changed = try await twins.dropping.client.post(
        "/v1/score-simulations",
        object: [
          "provider": "acme", "at": "2026-04-01T00:00:00Z",
          "constants": ["/concerns/substitution/pass_half_life_days": 1],
        ])
      func passes(_ side: String) -> Double {
        let checks = changed.json[side]["checks"].array.filter { $0["check"].string?.hasPrefix("substitution") == true }
        return checks.compactMap { $0["pass_evidence"].double }.reduce(0, +)
      }
      #expect(passes("after") > 0 && passes("after") < passes("before"), "\(changed.text.prefix(300))")
    }
  }

  @Test func aMethodologyThatComesLaterBeginsAtTheHorizon() async throws {
    try await Twins.with { twins in
      var generator = SeededGenerator(state: 4)
      try await twins.live(until: "2026-05-03T00:00:00Z", &generator)
      try await twins.maintain(months: 1)
      let instance = twins.dropping
      let later = MethodologyLifeTests.document("rm-later")
      let added = try await instance.client.post("/v1/methodologies", later)
      #expect(added.json["evidence_from"].string == "2026-04-01T00:00:00.000Z")
      #expect(try await instance.client.get("/v1/methodologies/rm-draft").json["evidence_from"].isNull)
      #expect(try await MethodologyLifeTests.become("shadow", "rm-later", in: instance).status == 200)
      // `quiet` was seen before the horizon only.
      let quiet = try await instance.client.get("/v1/providers/quiet/score?detail=full&methodology=rm-later")
      #expect(quiet.json["reasons"].array.isEmpty)
      let known = try await instance.client.get("/v1/providers/quiet/score?detail=full&methodology=rm-1")
      #expect(!known.json["reasons"].array.isEmpty)
      try await twins.expectVerified("later")
      // What is dropped from now on is carried on under it too.
      let before = try await instance.client.get("/v1/providers/acme/score?detail=full&methodology=rm-later")
      #expect(!before.json["reasons"].array.isEmpty)
      twins.clock.advance(milliseconds: 60 * Twins.day)
      try await twins.maintain(months: 1)
      try await twins.expectVerified("dropped under it")
    }
  }

  // MARK: - Repeats

  @Test func aRepetitionIsRecognisedFor400DaysWhateverIsDropped() async throws {
    let clock = TestClock("2025-02-05T00:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let result = Posting.result([
        "source": "lab", "external_id": "1", "observed_at": "2025-02-04T00:00:00Z",
      ])
      let other = result.merging(["outcome": "pass"]) { $1 }
      func post(_ body: [String: Any]) async throws -> Answer {
        try await instance.client.post("/v1/probe-results", object: body)
      }
      func maintain() async throws -> [String] {
        var lines: [String] = []
        try await instance.service.maintain(Maintenance(retentionMonths: 1)) { lines.append($0) }
        return lines
      }
      #expect(try await post(result).status == 201)
      clock.advance(milliseconds: 399 * Twins.day)
      #expect(try await maintain().last == "identities: 0 removed")
      let repeated = try await post(result)
      #expect(repeated.status == 410 && repeated.json["type"].string == "/problems/gone")
      let many = try await post(["results": [result]])
      #expect(many.json["duplicates"].integer == 1 && many.json["accepted"].integer == 0)
      #expect(try await post(other).status == 409)
      clock.advance(milliseconds: 2 * Twins.day)
      #expect(try await maintain().last == "identities: 1 removed")
      let rows = try await instance.database.query("select count(*) from result_identity") { try $0.next(Int.self) }
      #expect(rows == [0])
    }
  }
}
