/// How a list of scores is sorted.
enum ScoreOrder: String, CaseIterable, Sendable {
  case riskiestFirst = "-score"
  case safestFirst = "score"
  case name = "name"
  case newestFirst = "-evaluated_at"
  case leastCoveredFirst = "coverage"

  func rank(_ provider: Provider, _ standing: Standing) -> ScoreRank {
    // What has no score is last either way, since nothing says that it is safe or not.
    let number =
      switch self {
      case .riskiestFirst: standing.score.map { -$0 } ?? .infinity
      case .safestFirst: standing.score ?? .infinity
      case .name: 0.0
      case .leastCoveredFirst: standing.coverage
      // Most were evaluated at the current minute. They stand together whatever minute that is, so that the next one
      // does not put them all before the place where a page ended.
      case .newestFirst:
        standing.evaluatedAt == standing.evaluatedAt.startOfMinute ? 0 : -Double(standing.evaluatedAt.milliseconds)
      }
    return ScoreRank(number: number, name: self == .name ? provider.details.name : "", id: provider.id)
  }
}

/// Where an entry stands in a list of scores: no two are equal, so that a page begins exactly where one ended.
struct ScoreRank: Comparable, Sendable {
  /// Ascending; never NaN.
  let number: Double
  /// Empty unless the list is sorted by name.
  let name: String
  let id: Identifier

  static func < (left: ScoreRank, right: ScoreRank) -> Bool {
    (left.number, left.name, left.id) < (right.number, right.name, right.id)
  }

  /// The order is part of it: a rank means nothing in another one.
  func cursor(in order: ScoreOrder) -> Cursor {
    Cursor(text: "\(order.rawValue) \(number.bitPattern) \(id) \(name)")
  }

  init(number: Double, name: String, id: Identifier) {
    self.number = number
    self.name = name
    self.id = id
  }

  /// Nil unless the cursor is one of this order.
  init?(_ cursor: Cursor, in order: ScoreOrder) {
    let parts = cursor.text.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == order.rawValue, let bits = UInt64(parts[1]),
      let id = Identifier(parsing: String(parts[2])), !Double(bitPattern: bits).isNaN
    else { return nil }
    self.init(number: Double(bitPattern: bits), name: String(parts[3]), id: id)
  }
}
