import Service

/// Scores in aligned columns, at most 100 of them for slugs of up to 14 characters.
struct ScoreTable {
  private struct Cell {
    let text: String
    var isNumber = false
    /// A colour of ANSI terminals: 31 red, 32 green, 33 yellow.
    var colour: Int?
  }
  private var rows: [[Cell]]

  init(_ scores: [RiskService.ListedScore]) {
    rows = scores.map { score in
      [
        Cell(text: score.slug), Cell(text: score.score.map(Self.oneDecimal) ?? "-", isNumber: true),
        Cell(text: "\(Self.whole(score.low))-\(Self.whole(score.high))", isNumber: true),
        Cell(text: score.grade ?? "-"), Cell(text: score.verdict, colour: Self.colour(of: score.verdict)),
        Cell(text: "\(Self.whole(score.coverage * 100))%", isNumber: true),
        Cell(text: Self.reason(of: score)),
      ]
    }
    let titles = ["relay", "score", "range", "grade", "verdict", "coverage", "first reason (+ raises, - lowers)"]
    rows.insert(titles.map { Cell(text: $0) }, at: 0)
  }

  func lines(isColoured: Bool) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].text.count }.max()! }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.text.count)
        let text = isColoured ? cell.colour.map { "\u{1B}[\($0)m\(cell.text)\u{1B}[0m" } ?? cell.text : cell.text
        // Nothing trails behind the last column.
        if column == row.count - 1 { return line + text }
        line += (cell.isNumber ? padding + text : text + padding) + "  "
      }
      return line
    }
  }

  private static func reason(of score: RiskService.ListedScore) -> String {
    if score.incidentsOpen > 0 { return "+ an open incident" }
    return score.reason.map { ($0.isRaising ? "+ " : "- ") + $0.check } ?? "-"
  }

  private static func colour(of verdict: String) -> Int? { ["allow": 32, "warn": 33, "block": 31][verdict] }

  private static func whole(_ number: Double) -> Int { Int(number.rounded()) }

  private static func oneDecimal(_ number: Double) -> String {
    let tenths = Int((number * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
