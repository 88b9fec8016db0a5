import RiskModel

/// What a score comes to, without what it is made of: enough for lookups and lists.
struct Standing: Sendable {
  /// Nil while silence must not pass for safety.
  let score: Double?
  let provisionalScore: Double
  /// Nil when `score` is.
  let grade: String?
  let verdict: Verdict
  let isSufficient: Bool
  let coverage: Double
  let evaluatedAt: Instant
  /// In the methodology's order.
  let concerns: [ConcernAssessment]
  /// When a client has to ask again, in order.
  private let ends: [Instant]
  fileprivate let basis: Basis

  /// What it was computed from.
  struct Basis: Sendable {
    /// The newest of the results that count and the decisions; 1970 when there is none.
    let newest: Instant
    /// Generations of the provider's evidence and of the sources, and the provider's version.
    let evidence, provider, sources: Int
  }

  /// The newest of the results that count and the decisions; 1970 when there is none.
  var newest: Instant { basis.newest }

  /// Whether it rests on a result or a decision.
  var hasEvidence: Bool { basis.newest.milliseconds > 0 }

  /// Whether it would be computed again as it is, told without looking at the evidence.
  func isCurrent(in state: ScoreState) -> Bool {
    isCurrent(at: state.minute, evidence: state.evidence) && basis.provider == state.provider
      && basis.sources == state.sources
  }

  /// The same while neither the provider nor a source has changed.
  func isCurrent(at minute: Instant, evidence: Int) -> Bool {
    evaluatedAt == max(minute, basis.newest) && basis.evidence == evidence
  }

  /// Whether it was computed from a later state than `other`.
  func isNewer(than other: Standing) -> Bool {
    (basis.provider, basis.sources, basis.evidence, evaluatedAt)
      > (other.basis.provider, other.basis.sources, other.basis.evidence, other.evaluatedAt)
  }

  init(_ assessment: Assessment, at instant: Instant, ends: [Instant], basis: Basis) {
    score = assessment.isShown ? assessment.score : nil
    provisionalScore = assessment.score
    grade = assessment.isShown ? assessment.grade : nil
    verdict = assessment.verdict
    isSufficient = assessment.isSufficient
    coverage = assessment.coverage
    evaluatedAt = instant
    concerns = assessment.concerns
    self.ends = ends
    self.basis = basis
  }

  /// For how long a client may keep the score, in seconds.
  func maxAgeSeconds(at now: Instant) -> Int {
    let most = verdict == .unknown ? Self.unknownAgeSecondsMax : Self.ageSecondsMax
    guard let end = ends.first(where: { $0 > now }) else { return most }
    // An answer may be sent a little later than it is made.
    let left = end.milliseconds - now.milliseconds - ScoreDocument.preparedMilliseconds
    return min(most, max(0, Int(left / 1000)))
  }

  private static let ageSecondsMax = 30

  /// So that hosts which nobody registered yet, or nobody probed, are soon asked for again.
  static let unknownAgeSecondsMax = 10
}

extension Assessment {
  /// Silence is not safety: without enough evidence there is no score, unless a critical failure is confirmed.
  var isShown: Bool { isSufficient || concerns.contains { $0.critical == .confirmed } }
}

extension ScoreBoard {
  /// The headers of an answer made of scores.
  func headers(maxAgeSeconds: Int) -> [(name: String, value: String)] {
    let caching = (name: "Cache-Control", value: "private, max-age=\(maxAgeSeconds)")
    return [caching] + (asOf.map { [(name: "Evidence-As-Of", value: $0.rfc3339)] } ?? [])
  }
}
