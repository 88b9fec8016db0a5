import Glibc

/// A check as its document describes it, before its prior is known.
struct CheckDraft {
  let id: String
  /// The index among the concerns.
  let concern: Int
  let severity: Severity
  let kind: CheckKind
  let sensitivity: Double
  let objectivity: Objectivity
  let access: Access
  let title, titleChinese: String
}

/// What is believed of a provider that nobody probed: every concern has its base risk, and every check holds its share
/// of that, so that the first result on any check moves the score in proportion.
struct Priors {
  private let concerns: [Concern]
  private let severityImpact: Methodology.SeverityImpact
  /// Sums of the severity impacts of each concern's checks.
  private let impactSums: [Double]
  /// lambda0 of each concern.
  private let concernLambdas: [Double]

  init(concerns: [Concern], drafts: [CheckDraft], severityImpact: Methodology.SeverityImpact) {
    self.concerns = concerns
    self.severityImpact = severityImpact
    var sums = [Double](repeating: 0, count: concerns.count)
    for draft in drafts { sums[draft.concern] += severityImpact[draft.severity] }
    impactSums = sums
    concernLambdas = concerns.map { lambda(impact: $0.impact, theta: $0.baseRate) }
  }

  /// Whether any check of the concern is scored. The rest of this type presumes it of every concern.
  func isScored(concern: Int) -> Bool { impactSums[concern] > 0 }

  func check(_ draft: CheckDraft) -> Check {
    let concern = concerns[draft.concern]
    let severity = severityImpact[draft.severity]
    let impact = concern.impact * severity
    let share = severity > 0 ? severity / impactSums[draft.concern] : 0
    let prior = severity > 0 ? -expm1(-share * concernLambdas[draft.concern]) / impact : 0
    let priorLambda = lambda(impact: impact, theta: prior)
    let lambdaSum = concernLambdas.reduce(0, +)
    return Check(
      id: draft.id, concern: draft.concern, concernID: concern.id, severity: draft.severity, kind: draft.kind,
      sensitivity: draft.sensitivity, objectivity: draft.objectivity, access: draft.access, title: draft.title,
      titleChinese: draft.titleChinese, impact: impact, share: share, prior: prior, priorLambda: priorLambda,
      priorPoints: score(lambda: lambdaSum) * priorLambda / lambdaSum)
  }
}

/// The hazard of a risk: hazards of independent risks add up, which makes the combination a noisy-or.
///
/// `log1p` and `expm1` keep the digits that 1 - x loses when x is small.
func lambda(impact: Double, theta: Double) -> Double { -log1p(-impact * theta) }

/// The score of a hazard, 0 to 100.
func score(lambda: Double) -> Double { -100 * expm1(-lambda) }
