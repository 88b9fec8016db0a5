import Glibc

/// The running sums over a provider's checks, in catalogue order: sections 4 and 5 of the methodology.
struct ProviderSums {
  private(set) var lambda = 0.0
  private var variance = 0.0
  private(set) var concerns: [Concern]

  /// The part of one concern's checks.
  struct Concern {
    var lambda = 0.0
    var coverage = 0.0
  }

  init(concerns count: Int) { concerns = Array(repeating: Concern(), count: count) }

  /// Back to the start, with the memory kept.
  mutating func reset() {
    lambda = 0
    variance = 0
    for concern in concerns.indices { concerns[concern] = Concern() }
  }

  mutating func add(_ risk: CheckRisk, of check: ScoredCheck, isCovered: Bool) {
    lambda += risk.lambda
    variance += risk.variance
    concerns[check.concern].lambda += risk.lambda
    if isCovered { concerns[check.concern].coverage += check.share }
  }

  /// The mean over the concerns by impact.
  func coverage(under methodology: Methodology) -> Double {
    var covered = 0.0
    for (concern, sums) in zip(methodology.concerns, concerns) { covered += concern.impact * sums.coverage }
    return covered / methodology.impactSum
  }

  func isSufficient(under methodology: Methodology) -> Bool {
    let thresholds = methodology.sufficiency
    return reaches(coverage(under: methodology), thresholds.minCoverage)
      && concerns.allSatisfy { reaches($0.coverage, thresholds.minConcernCoverage) }
  }

  /// The approximate 90 % range of the score: lambda's sum is taken for log-normal with the mean and the variance that
  /// the checks have together.
  func range(z: Double) -> (low: Double, high: Double) {
    let variance = log1p(variance / (lambda * lambda))
    let mean = log(lambda) - variance / 2
    let deviation = z * variance.squareRoot()
    return (score(lambda: exp(mean - deviation)), score(lambda: exp(mean + deviation)))
  }
}

/// What is left of a provider's risk without each source that is heard and not authoritative: section 6.
struct LeaveOneOut {
  private(set) var baseMin, baseMax: Double
  private(set) var low = Double.infinity
  private(set) var high = -Double.infinity
  private(set) var isSufficient: Bool

  init(whole: ProviderSums, under methodology: Methodology) {
    baseMin = score(lambda: whole.lambda)
    baseMax = baseMin
    isSufficient = whole.isSufficient(under: methodology)
  }

  mutating func include(_ rest: ProviderSums, under methodology: Methodology) {
    let base = score(lambda: rest.lambda)
    baseMin = min(baseMin, base)
    baseMax = max(baseMax, base)
    let range = rest.range(z: methodology.z)
    low = min(low, range.low)
    high = max(high, range.high)
    isSufficient = isSufficient && rest.isSufficient(under: methodology)
  }

  /// The base, at most `limit` from what it would be without any one source. Where the bounds cross, the upper one
  /// wins: of two sources that disagree so widely neither may raise the score alone.
  func clip(_ base: Double, limit: Double) -> Double { min(max(base, baseMax - limit), baseMin + limit) }
}

/// Whether a sum reaches a threshold: sums that are equal on paper differ in their last digits.
func reaches(_ value: Double, _ threshold: Double) -> Bool { value >= threshold - 1e-9 }
