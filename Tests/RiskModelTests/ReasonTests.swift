import RiskModel
import Testing

/// Why a score differs from that of a provider without results.
@Suite struct ReasonTests {
  private let at = Instant("2026-11-30T00:00:00.000Z")

  private func result(
    _ source: String, _ check: String, _ outcome: Outcome, daysAgo days: Double = 0, on address: String = "a.example"
  ) -> ProbeResult {
    ProbeResult(
      source: source, check: check, target: Target(address: address), outcome: outcome,
      observedAt: at.earlier(days: days))
  }

  @Test func theyNameTheWorstTargetAndWhoWitnessedThere() throws {
    let id = "backdoor.tool-call-rewrite"
    let scenario = Scenario(
      sources: ["zoo": 1, "abc": 0.9, "mid": 0.9, "far": 1],
      results: [
        result("zoo", id, .fail, daysAgo: 2), result("abc", id, .fail, daysAgo: 3), result("mid", id, .error),
        result("far", id, .pass, daysAgo: 1, on: "b.example"),
      ], at: at)
    let assessment = scenario.assess()
    let reason = try #require(assessment.reasons.first)
    let check = Fixtures.rm1.checks[reason.check]
    #expect(assessment.reasons.count == 1)
    #expect(check.id == id && reason.direction == .raises && !reason.isWaived)
    #expect(reason.target == Target(address: "a.example") && reason.sources == ["abc", "zoo"])
    #expect(reason.lastObservedAt == at.earlier(days: 1))
    #expect(reason.points == assessment.checks.first { $0.check == reason.check }?.points)
    #expect(reason.priorPoints == check.priorPoints && reason.priorPoints < reason.points)
  }

  @Test func passesLower() {
    let scenario = Scenario(
      sources: ["a": 1], results: [result("a", "substitution.fingerprint-distribution", .pass)], at: at)
    #expect(scenario.assess().reasons.map(\.direction) == [.lowers])
  }

  @Test func waiversComeLastInCatalogueOrder() {
    let checks = Fixtures.rm1.checks
    var scenario = Scenario(
      sources: ["a": 1], waivers: ["substitution.backend-origin", "controls.setup-wizard-open"],
      results: [result("a", "encryption.hsts-missing", .pass), result("a", "controls.setup-wizard-open", .fail)], at: at
    )
    let reasons = scenario.assess().reasons
    #expect(
      reasons.map { checks[$0.check].id } == [
        "encryption.hsts-missing", "controls.setup-wizard-open", "substitution.backend-origin",
      ])
    #expect(reasons.map(\.isWaived) == [false, true, true])
    #expect(reasons[1].direction == .lowers && reasons[1].target == nil && reasons[1].sources == [])
    #expect(reasons[1].lastObservedAt == at && reasons[2].lastObservedAt == nil)
    scenario.waivers = ["controls.version-disclosure"]
    #expect(scenario.assess().reasons.allSatisfy { !$0.isWaived }, "a check that is not scored is not listed")
  }

  /// Against a plain sort of everything that could be listed.
  @Test func theyAreTheFiveThatDifferMost() {
    var full = 0
    forAll(seed: 40_000) { generator in
      let assessment = Scenario.random(&generator).assess()
      let listed = assessment.checks.filter { $0.target != nil || $0.isWaived }.map { check in
        (check: check.check, difference: abs(check.lambda - check.priorLambda))
      }.sorted { ($1.difference, $0.check) < ($0.difference, $1.check) }.prefix(5)
      if listed.count == 5 { full += 1 }
      let found = assessment.reasons.map(\.check)
      return found == listed.map(\.check) ? nil : "\(found), not \(listed)"
    }
    #expect(full > 300)
  }
}
