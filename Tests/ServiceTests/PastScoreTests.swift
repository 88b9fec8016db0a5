import Foundation
import RiskModel
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct PastScoreTests {
  /// Larger ones would take minutes, and say nothing that these do not.
  private static let resultsMax = 250

  @Test func everySmallWorkedCaseHoldsAtItsInstantWhateverCameLater() async throws {
    let cases = VectorTests.cases.values.filter { vector in
      let results = vector["results"].array
      // The service makes A-labels of other hosts, which sort elsewhere.
      let isASCII = results.allSatisfy { $0["target"].string!.utf8.allSatisfy { $0 < 128 } }
      return isASCII && results.count <= Self.resultsMax
    }.sorted { $0["name"].string! < $1["name"].string! }
    #expect(cases.count > 60)
    #expect(cases.contains { vector in vector["results"].array.contains { isLater($0, than: vector) } })
    let clock = TestClock("2026-12-31T00:00:00.000Z")
    try await withInstance(clock: clock.clock) { instance in
      for (number, vector) in cases.enumerated() {
        let provider = "relay-\(number)"
        let registered = try await instance.client.post(
          "/v1/providers", object: ["slug": provider, "name": "R", "hosts": ["\(provider).example"]])
        #expect(registered.status == 201)
        for source in vector["sources"].keys {
          _ = try await instance.client.post(
            "/v1/sources",
            object: ["slug": "v\(number)-\(source)", "name": "S", "trust": vector["sources"][source].double!])
        }
        try await post(vector, number: number, of: provider, to: instance.client)
        let at = Instant(rfc3339: vector["at"].string!)!
        try await VectorTests.decide(vector, at: at, about: provider, in: instance)
        try await VectorTests.expectScore(
          vector, of: instance.client,
          at: "/v1/providers/\(provider)/score?detail=full&as_of=\(vector["at"].string!)")
      }
    }
  }

  private func isLater(_ result: JSON, than vector: JSON) -> Bool {
    Instant(rfc3339: result["observed_at"].string!)! > Instant(rfc3339: vector["at"].string!)!
  }

  /// All of them, those observed after the case's instant too.
  private func post(_ vector: JSON, number: Int, of provider: String, to client: APIClient) async throws {
    let results: [[String: Any]] = vector["results"].array.enumerated().map { index, result in
      var body = result.value as! [String: Any]
      body["provider"] = provider
      body["source"] = "v\(number)-\(result["source"].string!)"
      body["external_id"] = "\(index)"
      return body
    }
    if results.isEmpty { return }
    let answer = try await client.post("/v1/probe-results", object: ["results": results])
    #expect(answer.json["accepted"].integer == results.count, "\(answer.text.prefix(2_000))")
  }

  // MARK: - Against a service that saw nothing else

  private struct Sent {
    let body: [String: Any]
    let observedAt, receivedAt: Instant
  }

  @Test func asOfEqualsAServiceThatOnlyEverSawTheEarlierResults() async throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SeededGenerator(state: seed)
    let clock = TestClock("2026-11-01T00:00:00.000Z")
    let start = clock.now
    let random = try await TestInstance.start(
      on: try await TestPostgres.shared.value.makeDatabase(), clock: clock.clock)
    try await register(in: random)
    var sent: [Sent] = []
    for number in 0..<150 {
      clock.advance(milliseconds: Int64.random(in: 0...7_200_000, using: &generator))
      let next = arbitrary(number, now: clock.now, random.service.parts.catalogue.methodology, &generator)
      #expect(try await random.client.post("/v1/probe-results", object: next.body).status == 201)
      sent.append(next)
    }
    clock.advance(milliseconds: 60_000)
    for _ in 0..<4 {
      let span = (clock.now.milliseconds - start.milliseconds) / 60_000
      let asOf = start + Int64.random(in: 0...span, using: &generator) * 60_000
      let known = start + Int64.random(in: 0...span, using: &generator) * 60_000
      let knownAt = Bool.random(using: &generator) ? known : nil
      let visible = sent.filter { $0.observedAt <= asOf && $0.receivedAt <= knownAt ?? clock.now }
      let fresh = try await scoreOfFreshService(having: visible, at: asOf)
      let query = "as_of=\(asOf.rfc3339)" + (knownAt.map { "&known_at=\($0.rfc3339)" } ?? "")
      let past = try await random.client.get("/v1/providers/acme/score?detail=full&\(query)")
      expectNear(past.json, fresh, "seed \(seed), \(visible.count) results, \(query)")
    }
    await random.stop()
  }

  private func register(in instance: TestInstance) async throws {
    _ = try await instance.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    for (slug, trust) in [("lab", 0.8), ("soc", 1), ("web", 0.3)] {
      _ = try await instance.client.post("/v1/sources", object: ["slug": slug, "name": slug, "trust": trust])
    }
  }

  private func arbitrary(
    _ number: Int, now: Instant, _ methodology: Methodology, _ generator: inout SeededGenerator
  ) -> Sent {
    let age = Int64.random(in: 0...3, using: &generator) == 0 ? 0 : Int64.random(in: 0...864_000_000, using: &generator)
    let observedAt = now + -age
    // Few checks, so that cells hold many results.
    let check = methodology.checks[Int.random(in: 0..<methodology.checks.count, using: &generator) / 8 * 8]
    var body: [String: Any] = [
      "provider": "acme", "source": ["lab", "soc", "web"].randomElement(using: &generator)!, "check": check.id,
      "outcome": ["pass", "pass", "fail", "fail", "error"].randomElement(using: &generator)!,
      "observed_at": observedAt.rfc3339, "external_id": "\(number)",
      "confidence": Double.random(in: 0.1...1, using: &generator),
    ]
    if Bool.random(using: &generator) { body["model"] = "m" }
    if Bool.random(using: &generator) { body["target"] = "other.example" }
    return Sent(body: body, observedAt: observedAt, receivedAt: now)
  }

  private func scoreOfFreshService(having results: [Sent], at instant: Instant) async throws -> JSON {
    let clock = TestClock(instant.rfc3339)
    return try await withInstance(clock: clock.clock) { [bodies = Bodies(results.map(\.body))] instance in
      try await register(in: instance)
      if !bodies.value.isEmpty {
        let answer = try await instance.client.post("/v1/probe-results", object: ["results": bodies.value])
        #expect(answer.json["accepted"].integer == bodies.value.count)
      }
      return try await instance.client.get("/v1/providers/acme/score?detail=full").json
    }
  }

  private struct Bodies: @unchecked Sendable {
    // Foundation's JSON objects are immutable.
    let value: [[String: Any]]
    init(_ value: [[String: Any]]) { self.value = value }
  }

  // MARK: - Trust, suspension and the query

  @Test func trustIsAsKnownThenAndSuspendedSourcesDoNotCountInThePastEither() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let client = instance.client
      let result = Posting.result(["source": "lab", "observed_at": "2026-11-23T07:00:00Z"])
      _ = try await client.post("/v1/probe-results", object: result)
      clock.advance(milliseconds: 3_600_000)
      _ = try await client.patch("/v1/sources/lab", #"{"trust":0.1}"#)
      clock.advance(milliseconds: 3_600_000)
      func score(_ query: String) async throws -> Double {
        try await client.get("/v1/providers/acme/score?\(query)").json["provisional_score"].double!
      }
      let now = "as_of=2026-11-23T10:00:00Z"
      let live = try await score("")
      #expect(abs(try await score(now) - live) < 1e-9)
      #expect(abs(try await score(now + "&known_at=2026-11-23T09:00:00Z") - live) < 1e-9)
      #expect(try await score(now + "&known_at=2026-11-23T08:59:59.999Z") > live + 0.01)
      // Nothing was known before the result was received.
      let unprobed = try await score(now + "&known_at=2026-11-23T07:59:59Z")
      #expect(try await score("as_of=2026-11-23T06:59:59Z") == unprobed)
      _ = try await client.patch("/v1/sources/lab", #"{"status":"suspended"}"#)
      #expect(try await score(now) == unprobed)
    }
  }

  @Test func wrongTimesAreNamedAndThePastIsNotKept() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let path = "/v1/providers/acme/score"
      let ahead = try await instance.client.get("\(path)?as_of=2026-11-23T08:05:00.001Z&known_at=yesterday")
      #expect(ahead.status == 422)
      #expect(ahead.json.pointers == ["?as_of", "?known_at"])
      let known = try await instance.client.get("\(path)?known_at=2026-11-23T08:05:00.001Z")
      #expect(known.json.pointers == ["?known_at"])
      let soon = try await instance.client.get("\(path)?as_of=2026-11-23T08:05:00.000Z")
      #expect(soon.status == 200)
      #expect(soon.json["evaluated_at"].string == "2026-11-23T08:05:00.000Z")
      #expect(soon.headers["cache-control"] == "private, max-age=0")
      let etag = try #require(soon.headers["etag"])
      let again = try await instance.client.get(
        "\(path)?as_of=2026-11-23T08:05:00.000Z", headers: ["If-None-Match": etag])
      #expect(again.status == 304)
      #expect(try await instance.client.get("/v1/providers/none/score?as_of=2026-11-23T08:00:00Z").status == 404)
    }
  }
}

extension APIClient {
  func patch(_ target: String, _ json: String) async throws -> Answer {
    try await send(
      "PATCH", target, headers: ["Content-Type": "application/merge-patch+json"], body: Data(json.utf8))
  }
}

/// The same but for ids, and for what the order of sums does to the last digits of numbers.
func expectNear(_ actual: JSON, _ wanted: JSON, _ place: String) {
  if let double = wanted.double, wanted.string == nil {
    #expect(abs((actual.double ?? .nan) - double) <= 1e-9, "\(place): \(actual), not \(double)")
  } else if !wanted.keys.isEmpty {
    #expect(actual.keys == wanted.keys, "\(place)")
    for key in wanted.keys where key != "id" { expectNear(actual[key], wanted[key], "\(place)/\(key)") }
  } else if !wanted.array.isEmpty {
    #expect(actual.array.count == wanted.array.count, "\(place)")
    for (index, element) in wanted.array.enumerated() { expectNear(actual[index], element, "\(place)/\(index)") }
  } else {
    #expect(actual.string == wanted.string && actual.isNull == wanted.isNull, "\(place)")
  }
}
