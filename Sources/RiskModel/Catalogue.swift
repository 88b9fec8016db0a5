/// One of the harms that a relay can do.
public struct Concern: Sendable, Equatable {
  public let id: String
  public let title: String
  /// How bad the worst case is, above 0 and below 1.
  public let impact: Double
  /// The share of relays that are thought to have it, before any is probed; above 0 and below 1.
  public let baseRate: Double
  /// After so many days a fail, or a pass, counts half.
  public let failHalfLifeDays, passHalfLifeDays: Double
  /// The least score once a critical failure of this concern is confirmed. 0 to 100.
  public let floor: Double
}

/// One question that probes answer about a relay.
public struct Check: Sendable, Equatable {
  public let id: String
  /// The index in `Methodology.concerns`.
  public let concern: Int
  public let concernID: String
  public let severity: Severity
  public let kind: CheckKind
  /// The chance that a probe sees the fault where there is one; a pass counts only so much. Above 0, at most 1.
  public let sensitivity: Double
  public let objectivity: Objectivity
  public let access: Access
  public let title: String
  public let titleChinese: String

  /// s: the risk that the check carries when it certainly fails, the concern's impact times the severity's. Like
  /// the four below it is 0 for a check that is not scored.
  public let impact: Double
  /// The check's part of its concern, by severity; the parts of a concern sum to 1.
  public let share: Double
  /// theta0: the chance that the check fails on a relay nobody probed.
  public let prior: Double
  /// -ln(1 - s * theta0).
  public let priorLambda: Double
  /// The points that the check contributes to the score of a provider without results.
  public let priorPoints: Double

  /// False for a check that only informs: it is neither scored nor listed.
  public var isScored: Bool { impact > 0 }
}

/// What the engine needs of a scored check, as plain numbers: copying a `Check` in the inner loop would count
/// references to its strings.
struct ScoredCheck {
  /// The index in `Methodology.checks`.
  let check: Int
  let concern: Int
  let impact, share, prior, priorLambda: Double
  let kappa, evasion: Double
  let isCritical: Bool
  let decay: Decay

  init(_ index: Int, of check: Check, concern: Concern, _ constants: Methodology.Constants) {
    self.check = index
    self.concern = check.concern
    impact = check.impact
    share = check.share
    prior = check.prior
    priorLambda = check.priorLambda
    kappa = constants.kappa[check.kind]
    evasion = constants.evasion[check.kind]
    isCritical = check.severity == .critical
    decay = Decay(check: check, concern: concern)
  }
}
