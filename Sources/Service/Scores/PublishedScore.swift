import JSON

/// A provider's score as it was last published: what `GET /v1/changes` gives of it, the same on every instance.
struct PublishedScore: Sendable {
  let provider: Identifier
  let version: Int
  let basis: Basis
  /// The entry of the list of changes, as it is sent; nil once the provider was retired.
  let body: [UInt8]?
  /// What the body says; nil when the body is.
  let figures: ScoreFigures?
  /// Of the score document that was published; empty when the body is nil.
  let etag: String

  /// What it was published from.
  struct Basis: Sendable {
    /// Of the registry's entry.
    let providerVersion: Int
    let methodologyHash: String
    /// The newest of the results and decisions counted.
    let newest: Instant
  }

  init(provider: Identifier, version: Int, basis: Basis, body: String?) {
    self.provider = provider
    self.version = version
    self.basis = basis
    let bytes = body.map { Array($0.utf8) }
    self.body = bytes
    let value = bytes.flatMap { try? JSONReader.read($0).value }
    figures = value.flatMap(ScoreFigures.init)
    etag = value?["etag"]?.text ?? ""
  }

  /// How far a number may be from the live one before the score is published again, on the scale of scores: time moves
  /// every score every minute, evidence rarely moves one for nothing.
  private static let driftMax = 0.1
  private static let evidenceDriftMax = 0.01

  /// Whether the live score has to be published in place of this one.
  func isStale(beside live: Standing, of provider: Provider, methodologyHash: String) -> Bool {
    guard let figures, basis.providerVersion == provider.version, basis.methodologyHash == methodologyHash else {
      return true
    }
    let tolerance = basis.newest == live.newest ? Self.driftMax : Self.evidenceDriftMax
    return figures.differ(from: ScoreFigures(live), byMoreThan: tolerance)
  }
}

/// What a score says, as far as a copy of it has to be right.
struct ScoreFigures: Sendable {
  struct Concern: Sendable {
    let id: String
    let score: Double
    let critical: String
  }

  /// Nil while the score is not shown.
  let grade: String?
  let isShown: Bool
  let provisionalScore: Double
  let verdict: String
  let isSufficient: Bool
  /// 0 to 1.
  let coverage: Double
  let concerns: [Concern]

  init(_ standing: Standing) {
    grade = standing.grade
    isShown = standing.score != nil
    provisionalScore = standing.provisionalScore
    verdict = standing.verdict.rawValue
    isSufficient = standing.isSufficient
    coverage = standing.coverage
    concerns = standing.concerns.map { Concern(id: $0.id, score: $0.score, critical: $0.critical.rawValue) }
  }

  /// - Returns: nil for what is no entry of a list of scores.
  init?(_ value: JSONValue) {
    guard let verdict = value["verdict"]?.text, let score = value["provisional_score"]?.double,
      let coverage = value["coverage"]?.double, case .array(let concerns)? = value["concerns"]
    else { return nil }
    grade = value["grade"]?.text
    isShown = value["score"]?.double != nil
    provisionalScore = score
    self.verdict = verdict
    isSufficient = value["evidence"]?.text == "sufficient"
    self.coverage = coverage
    self.concerns = concerns.compactMap { concern in
      guard let id = concern["concern"]?.text, let score = concern["score"]?.double,
        let critical = concern["critical"]?.text
      else { return nil }
      return Concern(id: id, score: score, critical: critical)
    }
  }

  /// - Parameter tolerance: on the scale of scores, 0 to 100.
  func differ(from other: ScoreFigures, byMoreThan tolerance: Double) -> Bool {
    guard
      (grade, isShown, verdict, isSufficient, concerns.count)
        == (other.grade, other.isShown, other.verdict, other.isSufficient, other.concerns.count)
    else { return true }
    func isFar(_ left: Double, _ right: Double) -> Bool { abs(left - right) > tolerance }
    return isFar(provisionalScore, other.provisionalScore) || isFar(100 * coverage, 100 * other.coverage)
      || zip(concerns, other.concerns).contains { left, right in
        left.id != right.id || left.critical != right.critical || isFar(left.score, right.score)
      }
  }
}

extension JSONValue {
  fileprivate subscript(name: String) -> JSONValue? { if case .object(let object) = self { object[name] } else { nil } }

  fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }

  fileprivate var double: Double? { if case .number(let number) = self { number.double } else { nil } }
}
