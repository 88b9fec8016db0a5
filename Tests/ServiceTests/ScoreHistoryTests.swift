import Foundation
import RiskModel
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ScoreHistoryTests {
  /// `acme` with results over three days, a waiver and an incident, at 2026-11-23T08:00:00Z.
  private func withHistory(_ body: @Sendable (TestInstance) async throws -> Void) async throws {
    let clock = TestClock("2026-11-20T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"Soc","trust":1}"#)
      let checks = ["substitution.fingerprint-distribution", "encryption.legacy-tls-protocol"]
      for number in 0..<12 {
        var fields: [String: Any?] = [
          "source": number % 3 == 0 ? "soc" : "lab", "confidence": 0.5 + 0.04 * Double(number),
          "observed_at": (clock.now + Int64(number % 5) * -7_200_000).rfc3339,
        ]
        if number % 4 == 1 { fields["model"] = "m" }
        let posted = try await instance.client.post(
          "/v1/probe-results",
          object: Posting.result(check: checks[number % 2], outcome: number % 5 == 0 ? "pass" : "fail", fields))
        #expect(posted.status == 201)
        clock.advance(milliseconds: 21_600_000)
      }
      _ = try await instance.client.post(
        "/v1/providers/acme/waivers",
        #"{"check":"encryption.legacy-tls-protocol","reason":"x","expires_at":"2026-11-24T00:00:00Z"}"#)
      _ = try await instance.client.post(
        "/v1/providers/acme/incidents", #"{"concern":"backdoor","summary":"x"}"#)
      #expect(clock.now.rfc3339 == "2026-11-23T08:00:00.000Z")
      try await body(instance)
    }
  }

  @Test func everyPointIsTheScoreAsOfItsInstant() async throws {
    try await withHistory { instance in
      let answer = try await instance.client.get(
        "/v1/providers/acme/score/history?from=2026-11-20T00:00:00Z&to=2026-11-23T08:00:00Z&points=9")
      #expect(answer.status == 200)
      let items = answer.json["items"].array
      #expect(items.count == 9)
      #expect(items[0]["at"].string == "2026-11-20T00:00:00.000Z")
      #expect(items[8]["at"].string == "2026-11-23T08:00:00.000Z")
      for item in items {
        #expect(item.keys == ["at", "score", "provisional_score", "grade", "verdict", "low", "high"])
        let past = try await instance.client.get("/v1/providers/acme/score?as_of=\(item["at"].string!)").json
        for field in ["score", "provisional_score", "grade", "verdict"] {
          expectNear(item[field], past[field], "\(item["at"].string!) \(field)")
        }
        for field in ["low", "high"] { expectNear(item[field], past["range"][field], "\(item["at"].string!) \(field)") }
      }
      #expect(items[0]["score"].isNull && items[8]["score"].double! >= 95)
      let usual = try await instance.client.get("/v1/providers/acme/score/history")
      #expect(usual.json["items"].array.count == 31)
      #expect(usual.json["items"][30]["at"].string == "2026-11-23T08:00:00.000Z")
    }
  }

  @Test func theInputsAloneGiveTheScoreAgain() async throws {
    try await withHistory { instance in
      let methodology = instance.service.parts.catalogue.methodology
      for query in [
        "", "?as_of=2026-11-21T20:30:00Z", "?as_of=2026-11-22T12:00:00Z&known_at=2026-11-21T08:00:00Z",
        "?as_of=2026-11-19T00:00:00Z",
      ] {
        let inputs = try await instance.client.get("/v1/providers/acme/score/inputs\(query)")
        #expect(inputs.status == 200)
        let document = inputs.json
        let score = try await instance.client.get(
          "/v1/providers/acme/score\(query.isEmpty ? "?as_of=2026-11-23T08:00:00Z" : query)"
        ).json
        #expect(document["methodology_hash"].string == score["methodology_hash"].string)
        let again = assess(document, methodology)
        for (number, field) in [
          (again.score, score["provisional_score"]), (again.low, score["range"]["low"]),
          (again.high, score["range"]["high"]), (again.robustLow, score["robust_range"]["low"]),
          (again.robustHigh, score["robust_range"]["high"]), (again.coverage, score["coverage"]),
          (again.singleSourceAdjustment, score["adjustments"]["single_source"]),
        ] { #expect(abs(number - field.double!) <= 1e-9, "\(query)") }
        #expect(again.verdict.rawValue == score["verdict"].string)
      }
    }
  }

  /// From the document and nothing else.
  private func assess(_ document: JSON, _ methodology: Methodology) -> Assessment {
    struct Place: Hashable {
      let check: Int
      let target: Target
      let source: Int
    }
    let slugs = document["sources"].keys.sorted()
    var cells: [Place: EvidenceCell] = [:]
    for result in document["results"].array {
      let index = methodology.checkIndex(result["check"].string!)!
      let check = methodology.checks[index]
      let concern = methodology.concerns[check.concern]
      let place = Place(
        check: index, target: Target(address: result["target"].string!, model: result["model"].string),
        source: slugs.firstIndex(of: result["source"].string!)!)
      let cell = EvidenceCell(
        outcome: Outcome(rawValue: result["outcome"].string!)!,
        observedAt: Instant(rfc3339: result["observed_at"].string!)!, confidence: result["confidence"].double!,
        check: check, concern: concern)!
      cells[place] = cells[place]?.merged(with: cell, check: check, concern: concern) ?? cell
    }
    let evidence = Evidence(
      sources: slugs.map { Evidence.Source(slug: $0, trust: document["sources"][$0].double!) },
      entries: cells.map {
        Evidence.Entry(check: $0.key.check, target: $0.key.target, source: $0.key.source, cell: $0.value)
      },
      openIncidents: Set(document["incidents"].array.map { $0.string! }),
      waivedChecks: Set(document["waivers"].array.map { $0.string! }))
    return methodology.assess(evidence, at: Instant(rfc3339: document["at"].string!)!)
  }

  @Test func everyFaultOfTheQueryIsNamed() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let path = "/v1/providers/acme/score"
      for (query, pointers) in [
        ("history?from=x&to=2026-11-23T08:05:00.001Z&points=1", ["?to", "?from", "?points"]),
        ("history?from=2026-11-23T08:00:00Z&to=2026-11-23T08:00:00Z", ["?from"]),
        ("history?points=501", ["?points"]), ("history?points=many", ["?points"]),
        ("inputs?as_of=x&known_at=2026-11-23T08:05:00.001Z", ["?as_of", "?known_at"]),
      ] {
        let answer = try await instance.client.get("\(path)/\(query)")
        #expect(answer.status == 422)
        #expect(answer.json.pointers == pointers, "\(query)")
      }
      #expect(try await instance.client.get("/v1/providers/none/score/history").status == 404)
      #expect(try await instance.client.get("/v1/providers/none/score/inputs").status == 404)
    }
  }
}
