import RiskModel
import Testing

/// No single witness decides: section 6 of the methodology, and what 7 and 8 promise on top of it.
@Suite struct SingleSourceTests {
  @Test func theScoreStaysNearEveryRecomputation() {
    var clipped = 0
    forAll(seed: 30_000) { generator in
      let scenario = Scenario.random(&generator)
      let rests = Oracle(Small.document, scenario).leftOut.map { scenario.without($0).assess().base }
      let assessment = scenario.assess()
      let limit = scenario.methodology.singleSourceLimit
      let score = assessment.base + assessment.singleSourceAdjustment
      if score != assessment.base { clipped += 1 }
      guard let least = rests.min(), let most = rests.max() else {
        return score == assessment.base ? nil : "clipped without a witness to leave out"
      }
      if score > least + limit + 1e-9 { return "\(score) is above \(least) + \(limit)" }
      if most - least <= 2 * limit, score < most - limit - 1e-9 { return "\(score) is below \(most) - \(limit)" }
      return nil
    }
    #expect(clipped > 20, "hardly a case was clipped")
  }

  @Test func anAllowOrABlockByRangeHoldsWithoutAnySource() {
    var decided = (allow: 0, block: 0)
    forAll(seed: 31_000) { generator in
      // Provisional failures and confirmed ones decide by other rules.
      var scenario = Scenario.decidable(&generator)
      scenario.incidents = []
      let assessment = scenario.assess()
      if assessment.concerns.contains(where: { $0.critical == .confirmed }) { return nil }
      let oracle = Oracle(Small.document, scenario)
      let risks = [oracle.risk()] + oracle.leftOut.map { oracle.risk(without: $0) }
      switch assessment.verdict {
      case .allow:
        decided.allow += 1
        let allow = scenario.methodology.verdict.allowHigh
        if !risks.allSatisfy({ $0.isSufficient && $0.high <= allow + 1e-9 }) { return "allowed: \(risks)" }
      case .block:
        decided.block += 1
        let block = scenario.methodology.verdict.blockLow
        // The range of the whole may be floored; those of the recomputations are not.
        let isBlocked = risks.dropFirst().allSatisfy { $0.low >= block - 1e-9 }
        if !isBlocked || !risks.allSatisfy(\.isSufficient) { return "blocked: \(risks)" }
      case .warn, .unknown: break
      }
      return nil
    }
    #expect(decided.allow > 20 && decided.block > 20, "\(decided)")
  }

  /// Section 8 compares exactly: the thresholds are numbers that a reader compares with the ranges shown.
  @Test func theThresholdsOfTheVerdictAreMetExactly() throws {
    var tried: [Verdict: Int] = [:]
    try forAll(seed: 35_000) { generator in
      var scenario = Scenario.decidable(&generator)
      scenario.incidents = []
      let assessment = scenario.assess()
      let isBlock = assessment.verdict == .block
      if assessment.verdict == .warn || assessment.verdict == .unknown || assessment.floorAdjustment > 0 { return nil }
      tried[assessment.verdict, default: 0] += 1
      let pointer = isBlock ? "/verdict/block_low" : "/verdict/allow_high"
      let edge = isBlock ? assessment.robustLow : assessment.robustHigh
      scenario.methodology = try Methodology(Small.document.edited([pointer: "\(edge)"]))
      if scenario.assess().verdict != assessment.verdict { return "\(assessment.verdict) not at \(edge)" }
      let beyond = isBlock ? edge.nextUp : edge.nextDown
      scenario.methodology = try Methodology(Small.document.edited([pointer: "\(beyond)"]))
      return scenario.assess().verdict == .warn ? nil : "\(assessment.verdict) still at \(beyond)"
    }
    #expect(tried[.allow, default: 0] > 10 && tried[.block, default: 0] > 10, "\(tried)")
  }

  @Test func oneSourceThatIsNotAuthoritativeNeverConfirms() {
    forAll(seed: 33_000) { generator in
      var scenario = Scenario.random(&generator)
      let trust = Double.random(in: 0.05...1, using: &generator)
      scenario.sources = ["ash": trust]
      scenario.incidents = []
      for check in Small.checks {
        for _ in 0..<3 {
          let target = generator.pick(Scenario.targets)
          scenario.results.append(.random(from: "ash", check, target, outcome: .fail, scenario.at, &generator))
        }
      }
      return scenario.assess().concerns.contains { $0.critical == .confirmed } ? "trust \(trust) confirmed" : nil
    }
  }

  @Test func trustIsWhatASourceWeighsAtMost() {
    // However many fails one source of trust 0.5 sends, F stays below 0.5 * C.
    let at = Instant("2026-11-30T00:00:00.000Z")
    let fail = ProbeResult(
      source: "ash", check: "substitution.fingerprint-distribution", target: Scenario.targets[0], outcome: .fail,
      observedAt: at)
    let scenario = Scenario(
      methodology: Small.methodology, sources: ["ash": 0.5], results: Array(repeating: fail, count: 1_000), at: at)
    let check = scenario.assess().checks.first { $0.target != nil }!
    #expect(near(check.failEvidence, 0.5 * 6 * 1_000 / 1_006))
    #expect(check.evidence == check.failEvidence)
  }

  @Test func aSourceHeardOnlyWhereNothingCountsIsNotLeftOut() {
    // Its tests are waived, so without it everything would be as it is.
    let at = Instant("2026-11-30T00:00:00.000Z")
    var scenario = Scenario(methodology: Small.methodology, sources: ["ash": 0.5], results: [], at: at)
    for (check, outcome) in [("encryption.legacy-tls-protocol", Outcome.fail), ("controls.version-disclosure", .pass)] {
      scenario.results.append(
        ProbeResult(
          source: "ash", check: check, target: Scenario.targets[0], outcome: outcome, observedAt: at))
    }
    scenario.waivers = ["encryption.legacy-tls-protocol"]
    scenario.incidents = ["encryption"]
    let assessment = scenario.assess()
    // Had it been left out once, the unfloored range would show.
    #expect(assessment.robustLow == assessment.low)
    #expect(assessment.low == 75)
  }
}

extension Scenario {
  /// Well probed by several sources that agree, so that the verdict rests on the ranges.
  static func decidable(_ generator: inout SplitMix64) -> Scenario {
    let failing = generator.pick([0.0, 0.0, 0.03, 0.5, 1])
    var scenario = Scenario.random(&generator)
    scenario.sources = ["ash": 0.9, "birch": 1, "cedar": Double.random(in: 0.3...1, using: &generator)]
    scenario.waivers = []
    scenario.results = Small.methodology.checks.flatMap { check in
      let failing = check.severity == .critical ? 0 : failing
      return scenario.sources.keys.sorted().filter { _ in generator.chance(0.9) }.flatMap { slug in
        (0..<6).map { _ in
          ProbeResult(
            source: slug, check: check.id, target: targets[0], outcome: generator.chance(failing) ? .fail : .pass,
            observedAt: scenario.at.earlier(days: Double.random(in: 0...3, using: &generator)))
        }
      }
    }
    return scenario
  }
}
