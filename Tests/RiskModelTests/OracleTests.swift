import JSON
import RiskModel
import Testing

/// The engine against the plain restatement of the methodology, under constants that no published case has.
@Suite struct OracleTests {
  @Test func theEngineAgreesUnderOtherConstants() {
    for document in 0..<50 {
      var constants = SplitMix64(seed: 90_000 + UInt64(document))
      let document = Small.randomDocument(&constants)
      let methodology = try! Methodology(document)
      forAll(20, seed: constants.next() % 1_000_000) { generator in
        let scenario = Scenario.random(&generator, of: methodology)
        return disagreement(scenario.assess(), Oracle(document, scenario))
      }
    }
  }

  private func disagreement(_ assessment: Assessment, _ oracle: Oracle) -> String? {
    let methodology = oracle.scenario.methodology
    let whole = oracle.risk()
    if !near(assessment.base, whole.base) { return "base \(assessment.base), not \(whole.base)" }
    if !near(assessment.coverage, whole.coverage) { return "coverage \(assessment.coverage), not \(whole.coverage)" }
    if assessment.isSufficient != whole.isSufficient { return "sufficiency" }
    for check in assessment.checks {
      let id = methodology.checks[check.check].id
      if !near(check.theta, whole.theta[id]!) { return "theta of \(id): \(check.theta), not \(whole.theta[id]!)" }
      if !near(check.lambda, whole.lambda[id]!) { return "lambda of \(id): \(check.lambda), not \(whole.lambda[id]!)" }
    }
    for concern in assessment.concerns where !near(concern.score, whole.concernScore[concern.id]!) {
      return "score of \(concern.id)"
    }

    let rests = oracle.leftOut.map { oracle.risk(without: $0) }
    let limit = methodology.singleSourceLimit
    let most = rests.map(\.base).reduce(whole.base, max) - limit
    let clipped = min(max(whole.base, most), rests.map(\.base).reduce(whole.base, min) + limit)
    let adjusted = assessment.base + assessment.singleSourceAdjustment
    if !near(adjusted, clipped) { return "clipped \(adjusted), not \(clipped)" }
    if assessment.isRobustlySufficient != (whole.isSufficient && rests.allSatisfy(\.isSufficient)) {
      return "robust sufficiency"
    }
    let floor = floor(assessment, oracle)
    let score = max(clipped, floor)
    let low = min(max(whole.low, floor), score)
    let high = max(whole.high, floor, score)
    let expected = [score, low, high, rests.map(\.low).reduce(low, min), rests.map(\.high).reduce(high, max)]
    let found = [
      assessment.score, assessment.low, assessment.high, assessment.robustLow, assessment.robustHigh,
    ]
    return zip(found, expected).allSatisfy { near($0, $1) } ? nil : "ranges \(found), not \(expected)"
  }

  private func floor(_ assessment: Assessment, _ oracle: Oracle) -> Double {
    oracle.scenario.methodology.concerns.enumerated().map { index, concern in
      switch assessment.concerns[index].critical {
      case .none: 0
      case .provisional: min(concern.floor, oracle.document["critical"]["provisional_floor"].double!)
      case .confirmed: concern.floor
      }
    }.max()!
  }
}
