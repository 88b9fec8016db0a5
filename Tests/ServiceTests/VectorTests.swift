import Foundation
import Postgres
import RiskModel
import TestHarness
import Testing

@testable import Service

/// The worked cases of the methodology through the whole service: results posted over HTTP in random order and
/// grouping, folded by the database, scored from memory; then from a second instance that loads the folded cells.
@Suite(.serialized) struct VectorTests {
  /// Small ones of every kind: what the database's fold, the order of arrival or a decision could get wrong.
  static let names = [
    "fail-here-pass-there", "newer-pass-displaces-fail", "equal-times-equal-outcomes", "newer-less-confident-fail",
    "same-content-counts-twice", "one-half-life", "mixed-1", "slander-6", "critical-8",
    "late-9", "sparse-10", "clean-old-15", "waived-critical-open-incident", "heard-only-without-outcome",
    "nothing-but-an-incident", "grade-edges",
  ]

  static let cases: [String: JSON] = {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../RiskModelTests/Fixtures/score-rm-1.json")
    let document = JSON(try! JSONSerialization.jsonObject(with: try! Data(contentsOf: file)))
    return Dictionary(uniqueKeysWithValues: document["cases"].array.map { ($0["name"].string!, $0) })
  }()

  @Test(arguments: names) func theServiceScoresAsTheMethodologySays(name: String) async throws {
    let vector = try #require(Self.cases[name])
    let at = Instant(rfc3339: vector["at"].string!)!
    let database = try await TestPostgres.shared.value.makeDatabase()
    let clock = TestClock(vector["at"].string!)
    let first = try await TestInstance.start(on: database, clock: clock.clock)
    _ = try await first.client.post("/v1/providers", #"{"slug":"relay","name":"R","hosts":["a.relay.example"]}"#)
    for source in vector["sources"].keys {
      let answer = try await first.client.post(
        "/v1/sources", object: ["slug": source, "name": source, "trust": vector["sources"][source].double!])
      #expect(answer.status == 201)
    }
    try await Self.decide(vector, at: at, in: first)
    try await post(vector, at: at, to: first.client)
    try await Self.expectScore(vector, of: first.client)

    let second = try await TestInstance.start(on: database, clock: clock.clock, adminKey: first.adminKey)
    try await Self.expectScore(vector, of: second.client)
    await first.stop()
    await second.stop()
  }

  private func post(_ vector: JSON, at: Instant, to client: APIClient) async throws {
    // What is not observed yet at the instant does not exist for a live score.
    var results: [[String: Any]] = vector["results"].array.enumerated().compactMap { index, result in
      guard Instant(rfc3339: result["observed_at"].string!)! <= at else { return nil }
      var body = result.value as! [String: Any]
      body["provider"] = "relay"
      body["external_id"] = "\(index)"
      return body
    }
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SeededGenerator(state: seed)
    results.shuffle(using: &generator)
    while !results.isEmpty {
      let count = min(results.count, Int.random(in: 1...400, using: &generator))
      let answer = try await client.post("/v1/probe-results", object: ["results": Array(results.prefix(count))])
      #expect(answer.json["accepted"].integer == count, "seed \(seed): \(answer.text.prefix(2_000))")
      results.removeFirst(count)
    }
  }

  static func decide(
    _ vector: JSON, at: Instant, about provider: String = "relay", in instance: TestInstance
  ) async throws {
    let provider = instance.service.parts.registry.provider(provider)!.id
    let now = at.timestamp
    let expiry = (at + 86_400_000).timestamp
    try await instance.database.withTransaction { connection in
      for concern in vector["incidents"].array.compactMap(\.string) {
        let id = instance.service.parts.identifiers.next(at: at)
        try await connection.execute(
          """
          insert into incident (id, provider_id, concern, summary, recorded_at, recorded_by)
          values (\(id), \(provider), \(concern), 'x', \(now), 'test')
          """)
      }
      for check in vector["waivers"].array.compactMap(\.string) {
        let id = instance.service.parts.identifiers.next(at: at)
        try await connection.execute(
          """
          insert into waiver (id, provider_id, check_id, reason, recorded_at, recorded_by, expires_at)
          values (\(id), \(provider), \(check), 'x', \(now), 'test', \(expiry))
          """)
      }
    }
    try await instance.service.load()
  }

  static func expectScore(
    _ vector: JSON, of client: APIClient, at target: String = "/v1/providers/relay/score?detail=full"
  ) async throws {
    let score = try await client.get(target).json
    let expected = vector["expected"]
    let place = "\(vector["name"].string!)"
    #expect(score["evaluated_at"].string == vector["at"].string)
    func near(_ actual: JSON, _ wanted: JSON, _ what: String) {
      #expect(abs((actual.double ?? .nan) - wanted.double!) <= 1e-9, "\(place) \(what): \(actual), not \(wanted)")
    }
    near(score["provisional_score"], expected["score"], "score")
    near(score["adjustments"]["single_source"], expected["single_source_adjustment"], "single source")
    near(score["adjustments"]["floor"], expected["floor_adjustment"], "floor")
    near(score["range"]["low"], expected["low"], "low")
    near(score["range"]["high"], expected["high"], "high")
    near(score["robust_range"]["low"], expected["robust_low"], "robust low")
    near(score["robust_range"]["high"], expected["robust_high"], "robust high")
    near(score["coverage"], expected["coverage"], "coverage")
    #expect(score["verdict"].string == expected["verdict"].string, "\(place)")
    #expect(score["evidence"].string == expected["evidence"].string, "\(place)")
    #expect(score["grade"].string == expected["grade"].string, "\(place)")
    for (actual, wanted) in zip(score["concerns"].array, expected["concerns"].array) {
      #expect(actual["concern"].string == wanted["concern"].string)
      #expect(actual["critical"].string == wanted["critical"].string)
      for field in ["score", "points", "coverage"] { near(actual[field], wanted[field], field) }
    }
    #expect(score["checks"].array.count == expected["checks"].array.count)
    for (actual, wanted) in zip(score["checks"].array, expected["checks"].array) {
      #expect(actual["check"].string == wanted["check"].string)
      #expect(actual["target"].string == wanted["target"].string, "\(place) \(wanted["check"].string!)")
      #expect(actual["sources"].integer == wanted["sources"].integer)
      for field in ["theta", "seen", "unseen", "prior", "fail_evidence", "pass_evidence", "points"] {
        near(actual[field], wanted[field], "\(wanted["check"].string!) \(field)")
      }
    }
  }
}

/// SplitMix64, so that an order that fails comes back from its seed.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
