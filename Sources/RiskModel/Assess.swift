extension Methodology {
  /// Scores a provider: a pure function of the methodology, the evidence and the instant.
  ///
  /// One pass over the cells, and one over the checks for every source that is heard and not authoritative; memory is
  /// taken in a fixed number of blocks, whatever the number of checks.
  /// - Precondition: no cell is newer than `instant`, and the checks of the evidence are of this methodology.
  public func assess(_ evidence: Evidence, at instant: Instant) -> Assessment {
    let weighed = WeighedEvidence(evidence, under: self, at: instant)
    var whole = ProviderSums(concerns: concerns.count)
    for (check, known) in zip(scored, weighed.checks) {
      whole.add(known.risk, of: check, isCovered: isCovered(known.risk))
    }
    let rest = leaveOneOut(evidence.sources, weighed, whole)

    let critical = criticalStates(weighed, evidence.openIncidents)
    let base = score(lambda: whole.lambda)
    let clipped = rest.clip(base, limit: singleSourceLimit)
    let floor = zip(concerns, critical).reduce(0) { max($0, self.floor(of: $1.0, $1.1)) }
    let score = max(clipped, floor)
    let range = whole.range(z: z)
    let low = min(max(range.low, floor), score)
    let high = max(range.high, floor, score)
    let robustLow = min(low, rest.low)
    let robustHigh = max(high, rest.high)

    let isSufficient = whole.isSufficient(under: self)
    let strongest = critical.max() ?? .none
    let checks = checkAssessments(evidence, weighed, pointsPerLambda: base / whole.lambda)
    return Assessment(
      score: score, base: base, singleSourceAdjustment: clipped - base, floorAdjustment: score - clipped,
      low: low, high: high, robustLow: robustLow, robustHigh: robustHigh, coverage: whole.coverage(under: self),
      isSufficient: isSufficient, isRobustlySufficient: rest.isSufficient,
      verdict: decide(
        isSufficient: isSufficient, isRobustlySufficient: rest.isSufficient, critical: critical,
        robustLow: robustLow, robustHigh: robustHigh),
      grade: isSufficient || strongest == .confirmed ? grades.first { $0.max >= score }?.grade : nil,
      concerns: concernAssessments(whole, critical, pointsPerLambda: base / whole.lambda), checks: checks,
      reasons: reasons(of: checks, evidence, weighed))
  }

  private func isCovered(_ risk: CheckRisk) -> Bool { reaches(risk.evidence, sufficiency.minEvidence) }

  /// Leaving a source out is a recomputation and never a subtraction; but a check that the source says nothing of
  /// stays what it is.
  private func leaveOneOut(
    _ sources: [Evidence.Source], _ weighed: WeighedEvidence, _ whole: ProviderSums
  ) -> LeaveOneOut {
    var result = LeaveOneOut(whole: whole, under: self)
    var rest = ProviderSums(concerns: concerns.count)
    for source in sources.indices where sources[source].trust < 1 && weighed.isHeard[source] {
      let leftOut = Int32(source)
      rest.reset()
      for index in scored.indices {
        let range = weighed.checks[index].cells
        var risk = weighed.checks[index].risk
        if range.contains(where: { weighed.cells[$0].source == leftOut }) {
          risk = CheckRisk(of: scored[index], range: range, of: weighed.cells, leavingOut: leftOut)
        }
        rest.add(risk, of: scored[index], isCovered: isCovered(risk))
      }
      result.include(rest, under: self)
    }
    return result
  }

  // MARK: - Critical failures

  private func criticalState(of check: ScoredCheck, _ risk: CheckRisk) -> CriticalState {
    if !check.isCritical { return .none }
    if reaches(risk.witnesses, critical.confirm) { return .confirmed }
    return reaches(risk.witnesses, critical.provisional) ? .provisional : .none
  }

  /// Of each concern. Waivers do not touch incidents.
  private func criticalStates(_ weighed: WeighedEvidence, _ openIncidents: Set<String>) -> [CriticalState] {
    var states = concerns.map { openIncidents.contains($0.id) ? CriticalState.confirmed : .none }
    for (check, known) in zip(scored, weighed.checks) {
      states[check.concern] = max(states[check.concern], criticalState(of: check, known.risk))
    }
    return states
  }

  private func floor(of concern: Concern, _ state: CriticalState) -> Double {
    switch state {
    case .none: 0
    case .provisional: min(concern.floor, critical.provisionalFloor)
    case .confirmed: concern.floor
    }
  }

  // MARK: - Verdict

  /// The thresholds are met exactly here: they are numbers that a reader compares with the ranges shown.
  private func decide(
    isSufficient: Bool, isRobustlySufficient: Bool, critical: [CriticalState], robustLow: Double, robustHigh: Double
  ) -> Verdict {
    if critical.contains(.confirmed) || isRobustlySufficient && robustLow >= verdict.blockLow { return .block }
    let isProvisional = critical.contains(.provisional)
    if !isSufficient && !isProvisional { return .unknown }
    return isRobustlySufficient && !isProvisional && robustHigh <= verdict.allowHigh ? .allow : .warn
  }

  // MARK: - Parts

  private func concernAssessments(
    _ whole: ProviderSums, _ critical: [CriticalState], pointsPerLambda: Double
  ) -> [ConcernAssessment] {
    concerns.indices.map { index in
      ConcernAssessment(
        concern: index, id: concerns[index].id, score: score(lambda: whole.concerns[index].lambda),
        points: pointsPerLambda * whole.concerns[index].lambda, coverage: whole.concerns[index].coverage,
        critical: critical[index])
    }
  }

  private func checkAssessments(
    _ evidence: Evidence, _ weighed: WeighedEvidence, pointsPerLambda: Double
  ) -> [CheckAssessment] {
    scored.indices.map { index in
      let check = scored[index]
      let known = weighed.checks[index]
      let risk = known.risk
      let worst = worstTarget(of: check, range: known.cells, of: weighed.cells)
      return CheckAssessment(
        check: check.check, theta: risk.theta, seen: risk.seen, unseen: risk.unseen, prior: check.prior,
        failEvidence: worst?.fail ?? 0, passEvidence: worst?.pass ?? 0,
        target: worst.map { evidence.targets[Int($0.target)] }, sources: worst?.sources ?? 0,
        points: pointsPerLambda * risk.lambda, critical: criticalState(of: check, risk), isCovered: isCovered(risk),
        isWaived: known.isWaived, lastObservedAt: known.lastObservedAt, lambda: risk.lambda,
        priorLambda: check.priorLambda, evidence: risk.evidence)
    }
  }
}
