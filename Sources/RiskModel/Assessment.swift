/// The risk of one provider at one instant, with everything it is made of.
///
/// Scores, points and ranges are 0 to 100. `base`, `singleSourceAdjustment` and `floorAdjustment` sum to `score`, and
/// the points of the checks, like those of the concerns, to `base`. The score is a ranking of risk and not a
/// probability of harm: the base rates behind it come from thin data or from judgement.
public struct Assessment: Sendable {
  /// Always a number; whether it may be shown is for `isSufficient` and the concerns' `critical` to say.
  public let score: Double
  /// The noisy-or over all checks, before any adjustment.
  public let base: Double
  /// What the rule added that no single witness decides; negative when it took away.
  public let singleSourceAdjustment: Double
  /// What critical failures and open incidents added.
  public let floorAdjustment: Double
  /// The approximate 90 % range.
  public let low, high: Double
  /// The range over every recomputation without one source as well.
  public let robustLow, robustHigh: Double
  /// The covered share of the catalogue, 0 to 1.
  public let coverage: Double
  public let isSufficient: Bool
  /// Sufficient without any one source that is not authoritative, too.
  public let isRobustlySufficient: Bool
  public let verdict: Verdict
  public let grade: String?
  /// In the methodology's order.
  public let concerns: [ConcernAssessment]
  /// Every scored check, in catalogue order.
  public let checks: [CheckAssessment]
  /// At most five, the check that differs most from its prior first.
  public let reasons: [Reason]
}

/// One concern's part of an assessment.
public struct ConcernAssessment: Sendable, Equatable {
  /// The index in `Methodology.concerns`.
  public let concern: Int
  public let id: String
  /// The concern's own noisy-or.
  public let score: Double
  /// Its part of `Assessment.base`.
  public let points: Double
  /// 0 to 1.
  public let coverage: Double
  /// The strongest state of its checks; an open incident confirms.
  public let critical: CriticalState
}

/// One scored check's part of an assessment.
public struct CheckAssessment: Sendable, Equatable {
  /// The index in `Methodology.checks`.
  public let check: Int
  /// The chance that the check fails: what was seen, or what may be there unseen.
  public let theta: Double
  /// What was seen to fail, at the worst target.
  public let seen: Double
  /// What may still be there.
  public let unseen: Double
  /// theta of a provider without results.
  public let prior: Double
  /// F and P at the worst target.
  public let failEvidence, passEvidence: Double
  /// The worst target; nil without evidence, or when the check is waived.
  public let target: Target?
  /// The number of sources with evidence at the worst target.
  public let sources: Int
  /// The check's part of `Assessment.base`.
  public let points: Double
  /// `none` unless the check's severity is critical.
  public let critical: CriticalState
  public let isCovered: Bool
  public let isWaived: Bool
  /// The newest result of the check that moves anything, on any target and from any source, waived or not.
  public let lastObservedAt: Instant?
  /// -ln(1 - s * theta), and the same of a provider without results.
  public let lambda, priorLambda: Double
  /// N: the most evidence on any target, in trusted results at full confidence.
  public let evidence: Double
}

/// Why a score differs from that of a provider without results: one check with evidence or with a waiver.
public struct Reason: Sendable, Equatable {
  public enum Direction: String, Sendable, CaseIterable {
    case raises
    /// Also where nothing differs, as with a waiver.
    case lowers
  }
  /// The index in `Methodology.checks`.
  public let check: Int
  public let points: Double
  /// The check's points when the provider has no results at all.
  public let priorPoints: Double
  public let direction: Direction
  /// The worst target; nil for a waived check.
  public let target: Target?
  /// The slugs of the sources with evidence at the worst target, by bytes.
  public let sources: [String]
  public let lastObservedAt: Instant?
  public let isWaived: Bool
}
