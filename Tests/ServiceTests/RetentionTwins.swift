import Foundation
import RiskModel
import TestHarness
import Testing

@testable import Service

/// Two services that are told the same at the same times: one drops its old results, the other keeps all.
struct RetentionTwins: Sendable {
  let dropping, keeping: TestInstance
  let clock: TestClock

  static let providers = ["acme", "other", "quiet"]
  static let checks = [
    "encryption.legacy-tls-protocol", "substitution.fingerprint-distribution", "backdoor.tool-call-rewrite",
    "controls.admin-panel-exposed",
  ]
  static let day: Int64 = 86_400_000
  /// The shadow and the draft, whose half-lives are others than those of rm-1.
  static let shadow = MethodologyLifeTests.document(
    "rm-shadow", [("\"fail_half_life_days\": 90.0", "\"fail_half_life_days\": 20.0")])
  static let draft = MethodologyLifeTests.document(
    "rm-draft", [("\"pass_half_life_days\": 21.0", "\"pass_half_life_days\": 40.0")])

  var instances: [TestInstance] { [dropping, keeping] }

  /// Begins on 5 January, with three providers, three sources, an active methodology, a shadow and a draft.
  static func with(_ body: @Sendable (RetentionTwins) async throws -> Void) async throws {
    let clock = TestClock("2026-01-05T00:00:00.000Z")
    try await withInstance(clock: clock.clock) { dropping in
      try await withInstance(clock: clock.clock) { keeping in
        let twins = RetentionTwins(dropping: dropping, keeping: keeping, clock: clock)
        for instance in twins.instances {
          for slug in providers {
            let host = "\(slug).example"
            _ = try await instance.client.post(
              "/v1/providers", object: ["slug": slug, "name": slug, "hosts": [host]])
          }
          for (slug, trust) in [("lab", 0.8), ("soc", 1), ("web", 0.3)] {
            _ = try await instance.client.post("/v1/sources", object: ["slug": slug, "name": slug, "trust": trust])
          }
          for document in [shadow, draft] {
            #expect(try await instance.client.post("/v1/methodologies", document).status == 201)
          }
          #expect(try await MethodologyLifeTests.become("shadow", "rm-shadow", in: instance).status == 200)
        }
        try await body(twins)
      }
    }
  }

  /// Posts some results to both, of every check, outcome, target and source; `quiet` has none after February.
  func post(_ count: Int, _ generator: inout SeededGenerator) async throws {
    let now = clock.now
    let results: [[String: Any]] = (0..<count).map { number in
      let age = Int64.random(in: 0...(12 * Self.day), using: &generator)
      let isEarly = now < Instant(rfc3339: "2026-03-01T00:00:00Z")!
      var body: [String: Any] = [
        "provider": Self.providers[Int.random(in: 0..<(isEarly ? 3 : 2), using: &generator)],
        "source": ["lab", "soc", "web"].randomElement(using: &generator)!,
        "check": Self.checks.randomElement(using: &generator)!,
        "outcome": ["pass", "pass", "fail", "error"].randomElement(using: &generator)!,
        "observed_at": (now + -age).rfc3339, "external_id": "\(generator.next())",
        "confidence": Double.random(in: 0.1...1, using: &generator), "run_id": "run-\(now.rfc3339.prefix(10))",
        "target": "t\(Int.random(in: 0..<2, using: &generator)).example", "evidence": ["line": number],
      ]
      if Bool.random(using: &generator) { body["model"] = "m" }
      return body
    }
    for instance in instances {
      let answer = try await instance.client.post("/v1/probe-results", object: ["results": results])
      #expect(answer.json["accepted"].integer == count, "\(answer.text.prefix(500))")
    }
  }

  /// Posts on one day of four until that time.
  func live(until time: String, _ generator: inout SeededGenerator) async throws {
    let end = Instant(rfc3339: time)!
    while clock.now + Self.day <= end {
      clock.advance(milliseconds: Self.day)
      if Int.random(in: 0..<4, using: &generator) == 0 { try await post(12, &generator) }
    }
    clock.advance(milliseconds: end.milliseconds - clock.now.milliseconds)
  }

  /// Voids what one source said in a run.
  /// - Returns: how many results, the same in both.
  @discardableResult
  func void(_ fields: [String: Any]) async throws -> Int {
    var counts: [Int?] = []
    for instance in instances {
      let body = fields.merging(["reason": "wrong"]) { $1 }
      counts.append(try await instance.client.post("/v1/probe-results/void", object: body).json["voided"].integer)
    }
    #expect(counts[0] == counts[1])
    return counts[0] ?? -1
  }

  /// What `maintain` says in the one that drops.
  @discardableResult
  func maintain(months: Int, isDryRun: Bool = false) async throws -> [String] {
    var lines: [String] = []
    try await dropping.service.maintain(Maintenance(retentionMonths: months, isDryRun: isDryRun)) { lines.append($0) }
    return lines
  }

  /// Both give the same under every methodology: now, as of the instants, and as known at them.
  func expectSame(at instants: [String], _ place: String) async throws {
    let now = clock.now.rfc3339
    let past = instants.flatMap { ["&as_of=\($0)", "&as_of=\($0)&known_at=\(instants[0])"] }
    let known = instants.map { "&as_of=\(now)&known_at=\($0)" }
    for provider in Self.providers {
      for methodology in ["rm-1", "rm-shadow", "rm-draft"] {
        for query in ["", known[1], past[0]] + (methodology == "rm-1" ? past + known : []) {
          let path = "/v1/providers/\(provider)/score?detail=full&methodology=\(methodology)\(query)"
          let wanted = try await keeping.client.get(path)
          #expect(wanted.status == 200)
          expectNear(try await dropping.client.get(path).json, wanted.json, "\(place): \(path)")
        }
        let path = "/v1/providers/\(provider)/score/history?methodology=\(methodology)&points=7&from=\(instants[0])"
        expectNear(try await dropping.client.get(path).json, try await keeping.client.get(path).json, path)
      }
    }
  }

  func expectVerified(_ place: String) async throws {
    let (summary, found) = try await VerificationTests.verify(dropping)
    #expect(found.isEmpty && summary.cells > 20, "\(place): \(summary) \(found)")
  }
}
