import RiskModel

/// One plain sentence about a reason: what was seen, where, by whom, and what would change it.
struct ReasonSentence {
  let text: String

  init(_ reason: Reason, check: Check) {
    let place = reason.target.map { target in
      " on \(target.address)" + (target.model.map { " with model \($0)" } ?? "")
    }
    let day = reason.lastObservedAt.map { ", last seen \($0.rfc3339.prefix(10))" } ?? ""
    let witnesses = Self.list(reason.sources)
    switch (reason.isWaived, reason.direction) {
    case (true, _):
      text = "\(check.title): waived, so results of this check do not count until the waiver ends."
    case (false, .raises):
      text =
        "\(check.title): found\(place ?? "") by \(witnesses)\(day). Once it is fixed, a fresh pass from the same "
        + "sources lowers the risk."
    case (false, .lowers):
      text =
        "\(check.title): tested and not found\(place ?? "") by \(witnesses)\(day). Fresh results keep the risk low, "
        + "as old ones fade."
    }
  }

  private static func list(_ names: [String]) -> String {
    switch names.count {
    case 0: "nobody"
    case 1: names[0]
    default: names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
    }
  }
}
