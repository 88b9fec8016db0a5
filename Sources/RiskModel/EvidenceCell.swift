import Glibc

/// The evidence of one source on one check and target, folded in constant time and space.
///
/// Cells of one (source, check, target) form a commutative monoid without its unit: results may arrive late, in any
/// grouping and on any host, and merge to the same cell. The reference time of a cell is the newest time in it and
/// never a fixed epoch, so that only the older side of a merge decays, no exponent is positive and nothing overflows.
///
/// It is stored as three columns. What the weights hold depends on the check's kind:
/// - `sample`: Ef and Ep, decayed to `newest`; passes are multiplied by the check's sensitivity already.
/// - `state`: the confidence of the standing result, as the fail weight or as the pass weight; the other is 0. Neither
///   decay nor sensitivity is in it, because a later merge compares confidences.
///
/// Methods take the check and its concern as `Methodology` holds them. Cells of different checks must not be merged.
public struct EvidenceCell: Sendable, Equatable {
  public let newest: Instant
  /// 0 or more.
  public let failWeight, passWeight: Double

  /// A cell as it was stored.
  public init(newest: Instant, failWeight: Double, passWeight: Double) {
    self.newest = newest
    self.failWeight = failWeight
    self.passWeight = passWeight
  }

  /// The cell of one result; nil when its outcome moves nothing.
  /// - Precondition: `confidence` is above 0 and at most 1.
  public init?(outcome: Outcome, observedAt: Instant, confidence: Double, check: Check, concern: Concern) {
    precondition(confidence > 0 && confidence <= 1, "a confidence of \(confidence)")
    assert(check.concernID == concern.id)
    switch outcome {
    case .pass:
      let weight = check.kind == .sample ? confidence * check.sensitivity : confidence
      self.init(newest: observedAt, failWeight: 0, passWeight: weight)
    case .fail: self.init(newest: observedAt, failWeight: confidence, passWeight: 0)
    case .inconclusive, .notApplicable, .error: return nil
    }
  }

  /// The cell of the results of both. Commutative exactly, associative to 1e-9.
  public func merged(with other: EvidenceCell, check: Check, concern: Concern) -> EvidenceCell {
    switch check.kind {
    case .state: return stands(before: other) ? self : other
    case .sample:
      let (older, newer) = newest < other.newest ? (self, other) : (other, self)
      let decayed = Decay(check: check, concern: concern).apply(
        fail: older.failWeight, pass: older.passWeight, days: newer.newest.days(since: older.newest))
      return EvidenceCell(
        newest: newer.newest, failWeight: newer.failWeight + decayed.fail, passWeight: newer.passWeight + decayed.pass)
    }
  }

  /// (Ef, Ep) at an instant.
  /// - Precondition: `instant` is not before `newest`. What the cell was earlier cannot be told from it: an as-of
  ///   score rebuilds its cells from the results observed until then.
  public func weights(at instant: Instant, check: Check, concern: Concern) -> (fail: Double, pass: Double) {
    weights(at: instant, Decay(check: check, concern: concern))
  }

  func weights(at instant: Instant, _ decay: Decay) -> (fail: Double, pass: Double) {
    precondition(newest <= instant, "evidence that is newer than the instant it is weighed at")
    return decay.apply(
      fail: failWeight, pass: passWeight * decay.standingSensitivity, days: instant.days(since: newest))
  }

  /// Which of two standing results displaces the other: the newer; of equally new ones a fail; of equal outcomes the
  /// more confident. A total order, which makes the merge of states commutative, associative and idempotent.
  private func stands(before other: EvidenceCell) -> Bool {
    if newest != other.newest { return newest > other.newest }
    if failWeight != other.failWeight { return failWeight > other.failWeight }
    return passWeight > other.passWeight
  }
}

/// How evidence on one check fades.
struct Decay {
  private let failHalfLifeDays, passHalfLifeDays: Double
  /// What a stored pass weight still lacks: a standing result is kept without its sensitivity.
  let standingSensitivity: Double

  init(check: Check, concern: Concern) {
    assert(check.concernID == concern.id)
    failHalfLifeDays = concern.failHalfLifeDays
    passHalfLifeDays = concern.passHalfLifeDays
    standingSensitivity = check.kind == .state ? check.sensitivity : 1
  }

  /// - Parameter days: 0 or more.
  func apply(fail: Double, pass: Double, days: Double) -> (fail: Double, pass: Double) {
    // Most cells hold one of the two, and a power costs more than everything else done to a cell.
    (fail > 0 ? fail * exp2(-days / failHalfLifeDays) : 0, pass > 0 ? pass * exp2(-days / passHalfLifeDays) : 0)
  }
}
