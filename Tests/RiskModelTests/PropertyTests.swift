import RiskModel
import Testing

/// What must always hold, whatever is observed. Each on a thousand random providers at least.
@Suite struct PropertyTests {
  @Test func orderAndGroupingOfArrivalChangeNothing() {
    forAll(seed: 10_000) { generator in
      let scenario = Scenario.random(&generator)
      var shuffled = scenario
      shuffled.results.shuffle(using: &generator)
      return difference(scenario.assess(), shuffled.assess(shuffling: &generator))
    }
  }

  @Test func theSameStatesAgainChangeNothing() {
    forAll(seed: 11_000) { generator in
      let scenario = Scenario.random(&generator)
      var again = scenario
      again.results += scenario.results.filter { scenario.checkAndConcern($0.check).0.kind == .state }
      return difference(scenario.assess(), again.assess())
    }
  }

  @Test func oneMoreFailNeverLowersTheBase() {
    forAll(2_000, seed: 12_000) { generator in
      var scenario = Scenario.random(&generator)
      let before = scenario.assess()
      let fail = scenario.furtherResult(.fail, &generator)
      scenario.results.append(fail)
      let after = scenario.assess()
      if after.base < before.base - 1e-9 { return "\(fail): base \(before.base) to \(after.base)" }
      let isAuthoritative = scenario.sources[fail.source] == 1
      return isAuthoritative && after.score < before.score - 1e-9
        ? "\(fail): score \(before.score) to \(after.score)" : nil
    }
  }

  @Test func oneMorePassNeverRaisesTheBase() {
    forAll(2_000, seed: 14_000) { generator in
      var scenario = Scenario.random(&generator)
      let before = scenario.assess().base
      let pass = scenario.furtherResult(.pass, &generator)
      scenario.results.append(pass)
      let after = scenario.assess().base
      return after > before + 1e-9 ? "\(pass): base \(before) to \(after)" : nil
    }
  }

  @Test func otherOutcomesMoveNothing() {
    forAll(seed: 16_000) { generator in
      let scenario = Scenario.random(&generator)
      var noisy = scenario
      for _ in 0..<5 {
        noisy.results.append(
          scenario.furtherResult(generator.pick([.inconclusive, .notApplicable, .error]), &generator))
      }
      return difference(scenario.assess(), noisy.assess(), within: 0)
    }
  }

  /// With one exception: beside a floor, `robustLow` falls to the unfloored range once any source that is not
  /// authoritative is heard, however faintly.
  @Test func fadedEvidenceMovesNothing() {
    forAll(seed: 17_000) { generator in
      let scenario = Scenario.random(&generator)
      var older = scenario
      for _ in 0..<3 {
        var result = scenario.furtherResult(generator.pick([.pass, .fail]), &generator)
        result.observedAt = scenario.at.earlier(days: 50 * 180 + Double.random(in: 0...5_000, using: &generator))
        older.results.append(result)
      }
      let before = scenario.assess()
      return difference(before, older.assess(), ignoringRobustLow: before.floorAdjustment > 0)
    }
  }

  @Test func thePartsSumToTheWhole() {
    forAll(seed: 18_000) { generator in
      let assessment = Scenario.random(&generator).assess()
      let adjustments = assessment.singleSourceAdjustment + assessment.floorAdjustment
      let checks = assessment.checks.reduce(0) { $0 + $1.points }
      let concerns = assessment.concerns.reduce(0) { $0 + $1.points }
      if !near(checks, concerns) { return "points of checks \(checks), of concerns \(concerns)" }
      if !near(checks + adjustments, assessment.score) { return "\(checks) + \(adjustments) != \(assessment.score)" }
      let product = assessment.concerns.reduce(1) { $0 * (1 - $1.score / 100) }
      return near(assessment.base, 100 * (1 - product)) ? nil : "base \(assessment.base), product \(product)"
    }
  }

  @Test func theRangesAreInOrder() {
    forAll(seed: 19_000) { generator in
      let assessment = Scenario.random(&generator).assess()
      let numbers = [
        0, assessment.robustLow, assessment.low, assessment.score, assessment.high, assessment.robustHigh, 100,
      ]
      return zip(numbers, numbers.dropFirst()).allSatisfy { $0 <= $1 } ? nil : "\(numbers)"
    }
  }

  @Test func resultsAfterTheInstantAreNotThere() {
    forAll(seed: 20_000) { generator in
      let scenario = Scenario.random(&generator)
      let days = Double.random(in: 0...20, using: &generator)
      var asOf = scenario
      asOf.at = scenario.at.earlier(days: days)
      var then = asOf
      then.results.removeAll { $0.observedAt > asOf.at }
      let oracle = Oracle(Small.document, asOf).risk()
      let assessment = then.assess()
      return near(assessment.base, oracle.base) ? difference(assessment, asOf.assess(), within: 0) : "base"
    }
  }

  @Test func withoutEvidenceOrIncidentNothingIsKnown() {
    forAll(seed: 21_000) { generator in
      let document = Small.randomDocument(&generator)
      var scenario = Scenario.random(&generator, of: try! Methodology(document))
      scenario.incidents = []
      scenario.results = scenario.results.filter { $0.outcome != .pass && $0.outcome != .fail }
      let assessment = scenario.assess()
      let isPrior = assessment.checks.allSatisfy { $0.theta == $0.prior && $0.lambda == $0.priorLambda }
      let isKnown = assessment.verdict != .unknown || assessment.grade != nil || assessment.coverage != 0
      return isKnown || !isPrior ? "\(assessment.verdict), grade \(assessment.grade ?? "none")" : nil
    }
  }

  private func difference(
    _ left: Assessment, _ right: Assessment, within tolerance: Double = 1e-9, ignoringRobustLow: Bool = false
  ) -> String? {
    var pairs = [
      (left.score, right.score), (left.base, right.base), (left.low, right.low), (left.high, right.high),
      (left.singleSourceAdjustment, right.singleSourceAdjustment), (left.floorAdjustment, right.floorAdjustment),
      (left.robustHigh, right.robustHigh), (left.coverage, right.coverage),
    ]
    if !ignoringRobustLow { pairs.append((left.robustLow, right.robustLow)) }
    for (left, right) in zip(left.checks, right.checks) {
      pairs += [(left.theta, right.theta), (left.points, right.points), (left.evidence, right.evidence)]
      pairs += [(left.seen, right.seen), (left.unseen, right.unseen)]
    }
    for (left, right) in zip(left.concerns, right.concerns) {
      pairs += [(left.points, right.points), (left.coverage, right.coverage), (left.score, right.score)]
      if left.critical != right.critical { return "\(left.id): \(left.critical), \(right.critical)" }
    }
    if left.verdict != right.verdict || left.grade != right.grade { return "\(left.verdict), \(right.verdict)" }
    return pairs.first { !near($0.0, $0.1, within: tolerance) }.map { "\($0.0), \($0.1)" }
  }
}
