import RiskModel
import Testing

/// Single rules of an assessment, each on evidence made for it.
@Suite struct AssessmentTests {
  private let at = Instant("2026-11-30T00:00:00.000Z")
  private let host = Target(address: "a.example")

  private func result(
    _ source: String, _ check: String, _ outcome: Outcome, daysAgo days: Double = 0, _ confidence: Double = 1,
    on target: Target? = nil
  ) -> ProbeResult {
    ProbeResult(
      source: source, check: check, target: target ?? host, outcome: outcome, observedAt: at.earlier(days: days),
      confidence: confidence)
  }

  private func check(_ id: String, of assessment: Assessment) -> CheckAssessment {
    assessment.checks.first { Fixtures.rm1.checks[$0.check].id == id }!
  }

  private func assess(_ sources: [String: Double], _ results: ProbeResult...) -> Assessment {
    Scenario(sources: sources, results: results, at: at).assess()
  }

  /// The worked example of the methodology, to its printed digits.
  @Test func theWorkedExample() {
    let assessment = assess(
      ["soc": 1, "lab": 0.8], result("soc", "encryption.legacy-tls-protocol", .fail, daysAgo: 7),
      result("lab", "encryption.legacy-tls-protocol", .pass, daysAgo: 2),
      result("soc", "substitution.fingerprint-distribution", .fail, daysAgo: 1, 0.9),
      result("soc", "substitution.fingerprint-distribution", .pass))
    let tls = check("encryption.legacy-tls-protocol", of: assessment)
    let expectedTLS = [
      0.0205868962517102, 0.7450373585215474, 0.6013559962223812, 0.46670036323288006, 0.00604532544054953,
      0.46992433309446413, 5.990352438827746,
    ]
    let foundTLS = [
      tls.prior, tls.failEvidence, tls.passEvidence, tls.seen, tls.unseen, tls.theta, tls.points,
    ]
    for (found, expected) in zip(foundTLS, expectedTLS) { #expect(near(found, expected, within: 1e-12)) }
    #expect(tls.sources == 2 && tls.lastObservedAt == at.earlier(days: 2))
    let fingerprint = check("substitution.fingerprint-distribution", of: assessment)
    let expected = [
      0.14666668775129849, 0.7399498542431032, 0.25047857836937604, 0.3717540616478752, 0.11728844483089972,
      0.4454400507285252, 16.30505911080482,
    ]
    let found = [
      fingerprint.prior, fingerprint.failEvidence, fingerprint.passEvidence, fingerprint.seen, fingerprint.unseen,
      fingerprint.theta, fingerprint.points,
    ]
    for (found, expected) in zip(found, expected) { #expect(near(found, expected, within: 1e-12)) }
    #expect(near(assessment.score, 56.6413423249649) && near(assessment.base, 56.6413423249649))
    #expect(near(assessment.low, 31.292530376175165) && near(assessment.high, 78.69227671122839))
    #expect(near(assessment.robustHigh, 79.85861258331472) && near(assessment.coverage, 0.05552669552669552))
    #expect(!assessment.isSufficient && assessment.verdict == .unknown && assessment.grade == nil)
  }

  @Test func anotherModelIsAnotherTarget() {
    let id = "substitution.fingerprint-distribution"
    let assessment = assess(
      ["soc": 1], result("soc", id, .pass, on: Target(address: "a.example", model: "m-1")),
      result("soc", id, .fail, on: Target(address: "a.example", model: "m-2")),
      result("soc", id, .pass, on: Target(address: "a.example")))
    let check = check(id, of: assessment)
    #expect(check.target == Target(address: "a.example", model: "m-2"))
    #expect(check.failEvidence > 0 && check.passEvidence == 0 && check.sources == 1)
  }

  @Test func witnessesOfDifferentTargetsDoNotAddUp() {
    let id = "backdoor.tool-call-rewrite"
    let apart = assess(
      ["a": 1, "b": 1], result("a", id, .fail), result("b", id, .fail, on: Target(address: "b.example")))
    #expect(check(id, of: apart).critical == .provisional)
    #expect(apart.score == max(apart.base + apart.singleSourceAdjustment, 55) && apart.verdict == .warn)
    let together = assess(["a": 1, "b": 1], result("a", id, .fail), result("b", id, .fail))
    #expect(check(id, of: together).critical == .confirmed)
    #expect(together.concerns.map(\.critical) == [.none, .none, .confirmed, .none, .none])
    #expect(together.score == 95 && together.verdict == .block && together.grade == "F")
  }

  @Test func oneWitnessCountsAtMostOneHoweverOften() {
    let id = "backdoor.tool-call-rewrite"
    let fails = (0..<20).map { _ in result("a", id, .fail) }
    let alone = Scenario(sources: ["a": 1], results: fails, at: at).assess()
    #expect(check(id, of: alone).critical == .provisional)
  }

  @Test func onlySeverityCriticalHasACriticalState() {
    let assessment = assess(
      ["a": 1, "b": 1], result("a", "backdoor.conditional-trigger", .fail),
      result("b", "backdoor.conditional-trigger", .fail))
    #expect(assessment.checks.allSatisfy { $0.critical == .none })
    #expect(assessment.floorAdjustment == 0)
  }

  @Test func aWaiverLeavesThePriorButTheIncidentStands() {
    let id = "backdoor.tool-call-rewrite"
    var scenario = Scenario(
      sources: ["a": 1, "b": 1], waivers: [id], results: [result("a", id, .fail, daysAgo: 3), result("b", id, .fail)],
      at: at)
    let waived = check(id, of: scenario.assess())
    #expect(waived.isWaived && waived.theta == waived.prior && waived.lambda == waived.priorLambda)
    #expect(waived.target == nil && waived.sources == 0 && waived.evidence == 0 && !waived.isCovered)
    #expect(waived.critical == .none && waived.lastObservedAt == at)
    #expect(scenario.assess().verdict == .unknown)
    scenario.incidents = ["backdoor"]
    #expect(scenario.assess().concerns[2].critical == .confirmed)
    #expect(scenario.assess().verdict == .block)
  }

  @Test func aCheckIsCoveredByEnoughEvidenceOnOneTarget() {
    let id = "encryption.hsts-missing"
    let little = assess(["a": 0.1], result("a", id, .fail))
    #expect(!check(id, of: little).isCovered && little.coverage == 0)
    let spread = assess(
      ["a": 0.1, "b": 0.1], result("a", id, .fail), result("b", id, .fail, on: Target(address: "b.example")))
    #expect(!check(id, of: spread).isCovered)
    let enough = assess(["a": 0.1, "b": 0.1], result("a", id, .fail), result("b", id, .fail))
    #expect(check(id, of: enough).isCovered && enough.coverage > 0)
  }

  @Test func theNewestObservationIsThatOfAnyTarget() {
    let id = "encryption.hsts-missing"
    let assessment = assess(
      ["a": 1, "b": 1], result("a", id, .fail, daysAgo: 5), result("b", id, .fail, daysAgo: 4),
      result("b", id, .pass, daysAgo: 1, on: Target(address: "b.example")))
    #expect(check(id, of: assessment).target == host)
    #expect(check(id, of: assessment).lastObservedAt == at.earlier(days: 1))
    #expect(check("encryption.at-rest-evidence-missing", of: assessment).lastObservedAt == nil)
  }

  @Test func amongTargetsThatTieTheFirstByBytesIsWorst() {
    // Fullwidth z is U+FF5A, mathematical A is U+1D538: UTF-16, and so many a sort, has them the other way round.
    let fullwidth = Target(address: "\u{FF5A}.example")
    let mathematical = Target(address: "\u{1D538}.example")
    for outcome in [Outcome.pass, .fail] {
      let assessment = assess(
        ["a": 1], result("a", "encryption.hsts-missing", outcome, on: mathematical),
        result("a", "encryption.hsts-missing", outcome, on: fullwidth))
      #expect(check("encryption.hsts-missing", of: assessment).target == fullwidth)
    }
  }

  @Test func checksThatAreNotScoredAreNotListed() {
    let id = "controls.version-disclosure"
    let assessment = assess(["a": 0.5], result("a", id, .fail))
    #expect(assessment.checks.count == 59)
    #expect(assessment.checks.allSatisfy { Fixtures.rm1.checks[$0.check].isScored })
    #expect(assessment.score == Scenario(sources: [:], results: [], at: at).assess().score)
  }
}
