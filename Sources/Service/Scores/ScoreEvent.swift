import JSON

/// That a provider's verdict or grade changed, or its score moved by 1 or more.
struct ScoreEvent: Sendable {
  /// What brought it about, as far as it can be told.
  enum Cause: String, Sendable, CaseIterable {
    /// Results, or voids of results.
    case evidence
    /// A waiver, an incident, or another trust of a source.
    case decision
    /// Nothing but time: evidence decayed, a waiver expired.
    case time
    case methodology
  }

  /// What the score came to.
  struct State: Sendable, Equatable {
    let score: Double?
    let provisionalScore: Double
    let grade: String?
    let verdict: String
  }

  /// Of the publication that showed it.
  let version: Int
  let provider: Identifier
  let methodology: String
  let methodologyHash: String
  /// When the score was evaluated.
  let at: Instant
  let cause: Cause
  /// Nil for the first standing that rests on evidence.
  let before: State?
  let after: State

  /// A move of less is none.
  private static let moveMin = 1.0

  /// Whether going from `before` to `after` is an event.
  static func isDue(from before: State, to after: State) -> Bool {
    if before.verdict != after.verdict || before.grade != after.grade { return true }
    if (before.score == nil) != (after.score == nil) { return true }
    // Where it is shown the score is the provisional one.
    return abs(before.provisionalScore - after.provisionalScore) >= moveMin
  }

  /// - Parameter provider: as it is named now.
  func write(of provider: Provider, to json: inout JSONWriter) {
    json.object { json in
      json.member("version", version)
      json.object("provider") { provider.writeReference(to: &$0) }
      json.member("methodology", methodology)
      json.member("methodology_hash", methodologyHash)
      json.member("at", at.rfc3339)
      json.member("cause", cause.rawValue)
      json.name("before")
      if let before { before.write(to: &json) } else { json.null() }
      json.name("after")
      after.write(to: &json)
    }
  }
}

extension ScoreEvent.State {
  init(_ standing: Standing) {
    self.init(
      score: standing.score, provisionalScore: standing.provisionalScore, grade: standing.grade,
      verdict: standing.verdict.rawValue)
  }

  fileprivate func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("score", score)
      json.member("provisional_score", provisionalScore)
      json.member("grade", grade)
      json.member("verdict", verdict)
    }
  }
}
