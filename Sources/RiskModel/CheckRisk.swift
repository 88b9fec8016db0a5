/// The sums over the sources of one check on one target.
struct TargetSums {
  /// The rank in `Evidence.targets`.
  let target: Int32
  /// Where the target's cells are.
  var cells: Range<Int>
  /// F and P.
  var fail = 0.0
  var pass = 0.0
  /// The witnesses of a failure: trust, times at most 1 each.
  var witnesses = 0.0
  var sources = 0

  /// F / (kappa + F + P).
  func failShare(kappa: Double) -> Double { fail / (kappa + fail + pass) }
}

/// Calls `body` with the sums of each target that has a cell, in byte order.
/// - Parameter leftOut: a source whose cells are passed over; a target that has no other one does not exist.
@inline(__always)
func forEachTarget(
  in range: Range<Int>, of cells: [WeighedCell], leavingOut leftOut: Int32? = nil, _ body: (TargetSums) -> Void
) {
  var end = range.lowerBound
  while end < range.upperBound {
    let start = end
    var sums = TargetSums(target: cells[start].target, cells: start..<start)
    while end < range.upperBound, cells[end].target == sums.target {
      let cell = cells[end]
      end += 1
      if cell.source == leftOut { continue }
      sums.sources += 1
      sums.fail += cell.fail
      sums.pass += cell.pass
      sums.witnesses += cell.witness
    }
    sums.cells = start..<end
    if sums.sources > 0 { body(sums) }
  }
}

/// What the evidence says of one check, over all targets: section 3 of the methodology.
struct CheckRisk {
  let seen, unseen, theta: Double
  /// N.
  let evidence: Double
  /// K: the most witnesses of a failure on any target.
  let witnesses: Double
  let lambda: Double
  /// The check's part of the variance of lambda's sum.
  let variance: Double

  /// - Parameters:
  ///   - range: where the check's cells are; none without evidence or under a waiver.
  ///   - leftOut: a source to compute without.
  init(of check: ScoredCheck, range: Range<Int>, of cells: [WeighedCell], leavingOut leftOut: Int32? = nil) {
    var seen = 0.0
    var passMax = 0.0
    var evidence = 0.0
    var witnesses = 0.0
    forEachTarget(in: range, of: cells, leavingOut: leftOut) { sums in
      seen = max(seen, sums.failShare(kappa: check.kappa))
      passMax = max(passMax, sums.pass)
      evidence = max(evidence, sums.fail + sums.pass)
      witnesses = max(witnesses, sums.witnesses)
    }
    self.seen = seen
    self.evidence = evidence
    self.witnesses = witnesses
    // No volume of passes goes below the evasion's part: a relay may behave while it is probed.
    // Without passes the quotient is 1, which leaves exactly the prior.
    unseen = check.prior * max(check.evasion, check.kappa / (check.kappa + passMax))
    // 1 - (1 - seen)(1 - unseen), in the form that is exactly `unseen` when nothing was seen.
    theta = seen + unseen * (1 - seen)
    lambda = RiskModel.lambda(impact: check.impact, theta: theta)
    // The Beta's variance, carried through the derivative of lambda.
    let slope = check.impact / (1 - check.impact * theta)
    variance = slope * slope * theta * (1 - theta) / (check.kappa + evidence + 1)
  }
}

/// The worst target of a check: the largest share of fails, or without any the most passes. Targets within 1e-12 of the
/// largest tie, since their sums may differ in the last digits between two orders of arrival; the first by bytes wins.
func worstTarget(of check: ScoredCheck, range: Range<Int>, of cells: [WeighedCell]) -> TargetSums? {
  let tie = 1e-12
  var shareMax = 0.0
  var passMax = 0.0
  forEachTarget(in: range, of: cells) { sums in
    shareMax = max(shareMax, sums.failShare(kappa: check.kappa))
    passMax = max(passMax, sums.pass)
  }
  var worst: TargetSums?
  forEachTarget(in: range, of: cells) { sums in
    if worst != nil { return }
    let ties =
      shareMax > tie ? sums.failShare(kappa: check.kappa) >= shareMax - tie : sums.pass >= passMax - tie
    if ties { worst = sums }
  }
  return worst
}
