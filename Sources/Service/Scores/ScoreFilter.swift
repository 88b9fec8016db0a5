import JSON
import RiskModel

/// Which scores a list shows.
struct ScoreFilter: Sendable {
  let verdict: Verdict?
  let grade: String?
  let concern: Concern?
  /// Of the concern when one is named, else of the score.
  let minScore: Double?

  /// A concern as it counts: above `prior`, the score of the concern for a provider that nobody probed.
  struct Concern: Sendable {
    let index: Int
    let prior: Double
  }

  static let everything = ScoreFilter()

  private init() {
    (verdict, grade, concern, minScore) = (nil, nil, nil, nil)
  }

  init(_ query: inout QueryFields, _ methodology: Methodology) {
    verdict = query.optional("verdict") { try $0.oneOf(Verdict.self) }
    grade = query.optional("grade") { field in
      let grade = try field.string()
      let grades = methodology.grades.map(\.grade)
      guard grades.contains(grade) else { throw field.fault("must be one of \(grades.joined(separator: ", "))") }
      return grade
    }
    concern = query.optional("concern") { field in
      let id = try field.string()
      guard let index = methodology.concerns.firstIndex(where: { $0.id == id }) else {
        throw field.fault("no such concern; GET /v1/concerns lists them")
      }
      // No evidence scores the same at every instant, since there is nothing to fade.
      let unprobed = methodology.assess(
        Evidence(sources: [], entries: [], openIncidents: [], waivedChecks: []), at: Instant(milliseconds: 0))
      return Concern(index: index, prior: unprobed.concerns[index].score)
    }
    minScore = query.optional("min_score") { field in
      guard case .number(let number)? = try? JSONReader.read(Array(try field.string().utf8)).value,
        0...100 ~= number.double
      else { throw field.fault("must be a number from 0 to 100") }
      return number.double
    }
  }

  func matches(_ standing: Standing) -> Bool {
    if let verdict, standing.verdict != verdict { return false }
    if let grade, standing.grade != grade { return false }
    guard let concern else {
      return minScore.map { minScore in standing.score.map { $0 >= minScore } ?? false } ?? true
    }
    let found = standing.concerns[concern.index]
    return (found.score > concern.prior || found.critical != .none) && found.score >= minScore ?? 0
  }
}
