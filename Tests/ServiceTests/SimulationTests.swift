import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct SimulationTests {
  private static let state = "encryption.legacy-tls-protocol"
  private static let sample = "substitution.fingerprint-distribution"

  private func simulate(_ instance: TestInstance, _ fields: [String: Any] = [:]) async throws -> JSON {
    let answer = try await instance.client.post(
      "/v1/score-simulations", object: ["provider": "acme"].merging(fields) { $1 })
    #expect(answer.status == 200, "\(answer.text.prefix(1_000))")
    return answer.json
  }

  private func score(_ instance: TestInstance, _ query: String = "") async throws -> JSON {
    try await instance.client.get("/v1/providers/acme/score?detail=full\(query)").json
  }

  private func result(_ check: String, _ fields: [String: Any?] = [:]) -> [String: Any] {
    let own: [String: Any?] = ["source": "lab", "observed_at": "2026-11-20T07:00:00Z"]
    return Posting.result(check: check, own.merging(fields) { $1 })
  }

  /// A relay of which two sources saw two checks, on a minute.
  private func withProbedRelay(_ body: @Sendable (TestInstance, TestClock) async throws -> Void) async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"S","trust":1}"#)
      let results = [
        result(Self.state), result(Self.sample), result(Self.sample, ["outcome": "pass", "external_id": "2"]),
        result(Self.state, ["source": "soc"]),
      ]
      let posted = try await instance.client.post("/v1/probe-results", object: ["results": results])
      #expect(posted.json["accepted"].integer == results.count)
      clock.advance(milliseconds: 120_000)
      try await body(instance, clock)
    }
  }

  @Test func withNothingAskedBothAreTheLiveScoreByteForByte() async throws {
    try await withProbedRelay { instance, _ in
      for language in ["en", "zh"] {
        let headers = ["Accept-Language": language, "Content-Type": "application/json"]
        let live = try await instance.client.send(
          "GET", "/v1/providers/acme/score?detail=full", headers: headers)
        let answer = try await instance.client.send(
          "POST", "/v1/score-simulations", headers: headers, body: Data(#"{"provider":"acme.example"}"#.utf8))
        #expect(answer.text == #"{"before":\#(live.text),"after":\#(live.text),"difference":[]}"#)
        #expect(answer.headers["content-language"] == language)
      }
      let past = try await instance.client.get("/v1/providers/acme/score?detail=full&as_of=2026-11-22T00:00:00Z")
      let answer = try await instance.client.post(
        "/v1/score-simulations", #"{"provider":"acme","at":"2026-11-22T00:00:00Z"}"#)
      #expect(answer.text == #"{"before":\#(past.text),"after":\#(past.text),"difference":[]}"#)
    }
  }

  /// What a simulation foretells is what comes when it is done for real, afterwards.
  private func expectForetold(
    _ fields: [String: Any], _ label: String, _ act: @Sendable (TestInstance) async throws -> Answer
  ) async throws {
    let sent = try JSONSerialization.data(withJSONObject: fields)
    try await withProbedRelay { instance, _ in
      let fields = try JSONSerialization.jsonObject(with: sent) as! [String: Any]
      let before = try await score(instance)
      let answer = try await simulate(instance, fields)
      #expect(try await score(instance)["provisional_score"].double == before["provisional_score"].double, "\(label)")
      let acted = try await act(instance)
      #expect(acted.status < 300, "\(label): \(acted.text)")
      let real = try await score(instance)
      #expect(real["provisional_score"].double != before["provisional_score"].double, "\(label)")
      for name in ["provisional_score", "verdict", "waivers", "incidents", "coverage", "range", "concerns", "checks"] {
        expectNear(answer["after"][name], real[name], "\(label): \(name)")
      }
      // An incident sets a floor and no check's points.
      #expect(answer["difference"].array.isEmpty == (label == "incidents"), "\(label)")
      var last = Double.infinity
      for difference in answer["difference"].array {
        let check = difference["check"].string!
        func points(_ side: String) -> Double? {
          answer[side]["checks"].array.first { $0["check"].string == check }?["points"].double
        }
        #expect(difference["before"].double == points("before") && difference["after"].double == points("after"))
        let change = difference["change"].double!
        #expect(abs(change - (difference["after"].double! - difference["before"].double!)) < 1e-12)
        #expect(abs(change) > 0 && abs(change) <= last, "\(label): the largest first")
        last = abs(change)
      }
    }
  }

  @Test func whatIsForetoldComes() async throws {
    let added = [
      result("encryption.weak-cipher-suites"), result(Self.sample, ["source": "soc", "outcome": "pass", "model": "m"]),
    ]
    let sent = try JSONSerialization.data(withJSONObject: ["results": added])
    try await expectForetold(["add": added], "add") { instance in
      try await instance.client.send(
        "POST", "/v1/probe-results", headers: ["Content-Type": "application/json"], body: sent)
    }
    try await expectForetold(["drop_sources": ["soc"]], "drop_sources") { instance in
      try await instance.client.patch("/v1/sources/soc", #"{"status":"suspended"}"#)
    }
    try await expectForetold(["waive": [Self.state]], "waive") { instance in
      try await instance.client.post(
        "/v1/providers/acme/waivers", #"{"check":"\#(Self.state)","reason":"R","expires_at":"2026-12-01T00:00:00Z"}"#)
    }
    try await expectForetold(["incidents": ["backdoor"]], "incidents") { instance in
      try await instance.client.post("/v1/providers/acme/incidents", #"{"concern":"backdoor","summary":"S"}"#)
    }
  }

  @Test func constantsChangeTheMethodologyOfTheScoreAfterwardsAlone() async throws {
    try await withProbedRelay { instance, _ in
      let live = try await score(instance)
      let kappa = try await instance.client.get("/v1/methodologies/rm-1").json["document"]["kappa"]["sample"].double!
      let same = try await simulate(instance, ["constants": ["/kappa/sample": kappa]])
      // From the results it is what it is from the cells.
      #expect(same["difference"].array.isEmpty)
      expectNear(same["after"]["checks"], live["checks"], "after")
      let other = try await simulate(
        instance, ["constants": ["/kappa/sample": kappa * 3, "/concerns/encryption/fail_half_life_days": 0.5]])
      for answer in [same, other] {
        #expect(answer["before"]["methodology_hash"].string == live["methodology_hash"].string)
        expectNear(answer["before"]["checks"], live["checks"], "before")
      }
      #expect(other["after"]["methodology"].string == "rm-1")
      #expect(other["after"]["methodology_hash"].string != live["methodology_hash"].string)
      let checks = Set(other["difference"].array.map { $0["check"].string! })
      #expect(checks.contains(Self.state) && checks.contains(Self.sample))
      // Three days are six of these half-lives.
      func fails(_ side: JSON) -> Double {
        side["checks"].array.first { $0["check"].string == Self.state }!["fail_evidence"].double!
      }
      #expect(fails(other["after"]) < fails(other["before"]) / 16)
    }
  }

  @Test func everyFaultIsNamedAndNothingOfItStored() async throws {
    try await withProbedRelay { instance, _ in
      let results: [[String: Any]] = [
        result(Self.state), result("none", ["source": nil, "provider": "none"]),
        result(Self.state, ["provider": nil, "outcome": "x"]),
      ]
      let wrong: [String: Any] = [
        "provider": "none", "add": results, "drop_sources": ["lab", "none"], "waive": ["none"],
        "incidents": ["weather"], "methodology": "rm-0", "at": "2999-01-01T00:00:00Z", "x": 1,
      ]
      let answer = try await instance.client.post("/v1/score-simulations", object: wrong)
      #expect(answer.status == 422)
      #expect(
        Set(answer.json.pointers) == [
          "/provider", "/add/1/provider", "/add/1/source", "/add/1/check", "/add/2/outcome", "/drop_sources/1",
          "/waive/0", "/incidents/0", "/methodology", "/at", "/x",
        ])
      let constants = try await instance.client.post(
        "/v1/score-simulations",
        object: [
          "provider": "acme",
          "constants": ["/kappa/sample": 0, "/none": 1, "/id": "rm-9", "/kappa": 1, "/verdict/block_low": "x"],
        ] as [String: Any])
      #expect(constants.status == 422)
      #expect(
        Set(constants.json.pointers) == [
          "/constants/~1kappa~1sample", "/constants/~1none", "/constants/~1id", "/constants/~1kappa",
          "/constants/~1verdict~1block_low",
        ])
      // What two constants come to together is no fault of either.
      let zeros = Dictionary(
        uniqueKeysWithValues: ["low", "medium", "high", "critical"].map { ("/severity_impact/\($0)", 0) })
      let together = try await instance.client.post(
        "/v1/score-simulations", object: ["provider": "acme", "constants": zeros] as [String: Any])
      #expect(Set(together.json.pointers) == ["/constants"])
      let many = try await instance.client.post(
        "/v1/score-simulations",
        object: ["provider": "acme", "add": [Any](repeating: result(Self.state), count: 1_001)] as [String: Any])
      #expect(many.json.pointers == ["/add"])
    }
  }
}
