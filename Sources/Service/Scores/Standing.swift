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

  init(_ assessment: Assessment, at instant: Instant) {
    score = assessment.isShown ? assessment.score : nil
    provisionalScore = assessment.score
    grade = assessment.isShown ? assessment.grade : nil
    verdict = assessment.verdict
    isSufficient = assessment.isSufficient
    coverage = assessment.coverage
    evaluatedAt = instant
    concerns = assessment.concerns
  }
}

extension Assessment {
  /// Silence is not safety: without enough evidence there is no score, unless a critical failure is confirmed.
  var isShown: Bool { isSufficient || concerns.contains { $0.critical == .confirmed } }
}

extension ScoreDocument {
  /// So that hosts which nobody registered yet, or nobody probed, are soon asked for again.
  static let unknownAgeSecondsMax = 10

  /// For how long a client may keep the standing, in seconds.
  var maxAgeSecondsInShort: Int {
    standing.verdict == .unknown ? min(maxAgeSeconds, Self.unknownAgeSecondsMax) : maxAgeSeconds
  }
}

extension ScoreBoard {
  /// The headers of an answer made of scores.
  func headers(maxAgeSeconds: Int) -> [(name: String, value: String)] {
    let caching = (name: "Cache-Control", value: "private, max-age=\(maxAgeSeconds)")
    return [caching] + (asOf.map { [(name: "Evidence-As-Of", value: $0.rfc3339)] } ?? [])
  }
}
