import RiskModel

/// The checks with evidence, and what comes of all.
func exampleTable(_ example: Observations) -> String {
  let assessment = example.assess()
  let rows = assessment.checks.filter { $0.target != nil }.map { check in
    let numbers = [
      check.prior, check.failEvidence, check.passEvidence, check.seen, check.unseen, check.theta, check.points,
    ]
    return ["`\(example.methodology.checks[check.check].id)`"] + numbers.map { "\($0)" }
  }
  let head = ["check", "θ₀", "F", "P", "seen", "unseen", "θ", "points"]
  return table(head, rows) + "\n\n"
    + table(
      ["of all checks", "value"],
      [
        ["base", "\(assessment.base)"], ["single-source adjustment", "\(assessment.singleSourceAdjustment)"],
        ["floor adjustment", "\(assessment.floorAdjustment)"], ["score", "\(assessment.score)"],
        ["range", "\(assessment.low) to \(assessment.high)"],
        ["robust range", "\(assessment.robustLow) to \(assessment.robustHigh)"],
        ["coverage", "\(assessment.coverage)"],
        ["evidence", assessment.isSufficient ? "sufficient" : "insufficient"],
        ["verdict, grade", "\(assessment.verdict.rawValue), \(assessment.grade ?? "none")"],
      ])
}
