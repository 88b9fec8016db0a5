/// A scoring methodology: its constants, its concerns and its catalogue of checks.
///
/// A score is a pure function of a methodology, the evidence and an instant. `init(_:)` reads a methodology from its
/// document and admits only constants for which every formula is defined, so that nothing behind it checks again.
public struct Methodology: Sendable {
  public let id: String
  /// C: what one source weighs at most on a check and target, in results at full confidence.
  public let saturation: Double
  /// The normal quantile of the range's edges; 1.645 leaves 5 % outside on each side.
  public let z: Double
  /// B: how far a score may lie from what it would be without any one source that is not authoritative. 0 to 100.
  public let singleSourceLimit: Double
  /// The weight of the prior, in results at full confidence.
  public let kappa: ByKind
  /// e: the part of the prior that no volume of passes removes, because a relay may behave while it is probed.
  public let evasion: ByKind
  public let severityImpact: SeverityImpact
  public let critical: CriticalThresholds
  public let sufficiency: Sufficiency
  public let verdict: VerdictThresholds
  /// Ascending; the last one ends at 100.
  public let grades: [GradeBand]
  /// In the order of the document; `Check.concern` is an index into it.
  public let concerns: [Concern]
  /// In the order of the catalogue, checks that are not scored included.
  public let checks: [Check]

  /// The scored checks in catalogue order.
  let scored: [ScoredCheck]
  /// The impacts of all concerns together: what overall coverage is a mean by.
  let impactSum: Double
  private let indices: [String: Int]

  /// The index in `checks`, in constant time; nil for an unknown check.
  public func checkIndex(_ id: String) -> Int? { indices[id] }

  init(constants: Constants, concerns: [Concern], checks: [Check]) {
    id = constants.id
    saturation = constants.saturation
    z = constants.z
    singleSourceLimit = constants.singleSourceLimit
    kappa = constants.kappa
    evasion = constants.evasion
    severityImpact = constants.severityImpact
    critical = constants.critical
    sufficiency = constants.sufficiency
    verdict = constants.verdict
    grades = constants.grades
    self.concerns = concerns
    self.checks = checks
    scored = checks.indices.filter { checks[$0].isScored }.map { index in
      ScoredCheck(index, of: checks[index], concern: concerns[checks[index].concern], constants)
    }
    impactSum = concerns.reduce(0) { $0 + $1.impact }
    indices = Dictionary(uniqueKeysWithValues: checks.enumerated().map { ($1.id, $0) })
  }

  /// The constants as the document spells them, before the priors are known.
  struct Constants {
    let id: String
    let saturation, z, singleSourceLimit: Double
    let kappa, evasion: ByKind
    let severityImpact: SeverityImpact
    let critical: CriticalThresholds
    let sufficiency: Sufficiency
    let verdict: VerdictThresholds
    let grades: [GradeBand]
  }
}

extension Methodology {
  /// A constant that differs by the kind of check.
  public struct ByKind: Sendable, Equatable {
    public let state, sample: Double

    public subscript(kind: CheckKind) -> Double {
      switch kind {
      case .state: state
      case .sample: sample
      }
    }
  }

  /// u: the part of its concern's impact that a failing check carries, 0 to 1. A check whose part is 0 is not scored.
  public struct SeverityImpact: Sendable, Equatable {
    public let info, low, medium, high, critical: Double

    public subscript(severity: Severity) -> Double {
      switch severity {
      case .info: info
      case .low: low
      case .medium: medium
      case .high: high
      case .critical: critical
      }
    }
  }

  /// When a failure of severity `critical` counts as witnessed, in trusted witnesses of at most 1 each.
  public struct CriticalThresholds: Sendable, Equatable {
    public let confirm, provisional: Double
    /// The score that a provisional failure sets at most. 0 to 100.
    public let provisionalFloor: Double
  }

  public struct Sufficiency: Sendable, Equatable {
    /// N, in results at full confidence, from which a check is covered.
    public let minEvidence: Double
    /// Shares, 0 to 1.
    public let minCoverage, minConcernCoverage: Double
  }

  /// The edges of the robust range, 0 to 100.
  public struct VerdictThresholds: Sendable, Equatable {
    public let blockLow, allowHigh: Double
  }

  /// Scores up to `max`, 0 to 100, and above the band before.
  public struct GradeBand: Sendable, Equatable {
    public let max: Double
    public let grade: String
  }
}
