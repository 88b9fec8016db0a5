extension Methodology {
  /// The five checks with evidence or with a waiver whose hazard differs most from that of a provider without results.
  ///
  /// Hazards are compared and not points: points are shares of the whole score, so every check's points change with
  /// any other's evidence. A waived check's hazard is its prior's, and so it comes after every check that differs.
  func reasons(
    of checks: [CheckAssessment], _ evidence: Evidence, _ weighed: WeighedEvidence
  ) -> [Reason] {
    let countMax = 5
    // The strongest so far, in order. Inserting behind equals keeps ties in catalogue order.
    var strongest: [Int] = []
    strongest.reserveCapacity(countMax + 1)
    for (index, check) in checks.enumerated() where check.target != nil || check.isWaived {
      let place = strongest.firstIndex { checks[$0].difference < check.difference } ?? strongest.count
      if place == countMax { continue }
      strongest.insert(index, at: place)
      if strongest.count > countMax { strongest.removeLast() }
    }
    return strongest.map { index in
      let check = checks[index]
      return Reason(
        check: check.check, points: check.points, priorPoints: self.checks[check.check].priorPoints,
        direction: check.lambda > check.priorLambda ? .raises : .lowers, target: check.target,
        sources: slugs(
          at: worstTarget(of: scored[index], range: weighed.checks[index].cells, of: weighed.cells),
          evidence, weighed),
        lastObservedAt: check.lastObservedAt, isWaived: check.isWaived)
    }
  }

  /// The sources with evidence on a target, by bytes.
  private func slugs(at target: TargetSums?, _ evidence: Evidence, _ weighed: WeighedEvidence) -> [String] {
    guard let target else { return [] }
    return weighed.cells[target.cells].map { evidence.sources[Int($0.source)].slug }
  }
}

extension CheckAssessment {
  fileprivate var difference: Double { abs(lambda - priorLambda) }
}
