import HTTPServer
import RiskModel

/// One plain sentence about a reason: what was seen, where, by whom, and what would change it.
struct ReasonSentence {
  let text: String

  init(_ reason: Reason, check: Check, in language: Language) {
    text =
      switch language {
      case .english: Self.english(reason, check)
      case .chinese: Self.chinese(reason, check)
      }
  }

  private static func english(_ reason: Reason, _ check: Check) -> String {
    if reason.isWaived {
      return "\(check.title): waived, so results of this check do not count until the waiver ends."
    }
    let place = reason.target.map { target in
      " on \(target.address)" + (target.model.map { " with model \($0)" } ?? "")
    }
    let day = reason.lastObservedAt.map { ", last seen \($0.rfc3339.prefix(10))" } ?? ""
    let seen = "\(place ?? "") by \(list(reason.sources, nobody: "nobody", comma: ", ", and: " and "))\(day)."
    switch reason.direction {
    case .raises:
      return "\(check.title): found\(seen) Once it is fixed, a fresh pass from the same sources lowers the risk."
    case .lowers:
      return "\(check.title): tested and not found\(seen) Fresh results keep the risk low, as old ones fade."
    }
  }

  private static func chinese(_ reason: Reason, _ check: Check) -> String {
    if reason.isWaived { return "\(check.titleChinese)：已豁免，豁免结束之前该检查项的结果不计入评分。" }
    let place = reason.target.map { target in
      "在 \(target.address)" + (target.model.map { "（模型 \($0)）" } ?? "") + "上"
    }
    let witnesses = list(reason.sources, nobody: "无来源", comma: "、", and: " 和 ")
    let day = reason.lastObservedAt.map { "，最近一次为 \($0.rfc3339.prefix(10))" } ?? ""
    switch reason.direction {
    case .raises:
      return "\(check.titleChinese)：\(witnesses) \(place ?? "")发现该问题\(day)。修复后，由相同来源重新检测并通过，风险即会降低。"
    case .lowers:
      return "\(check.titleChinese)：\(witnesses) \(place ?? "")检测过，未发现该问题\(day)。旧结果的作用会逐渐减弱，持续提交新的结果可使风险保持在低位。"
    }
  }

  private static func list(_ names: [String], nobody: String, comma: String, and: String) -> String {
    switch names.count {
    case 0: nobody
    case 1: names[0]
    default: names.dropLast().joined(separator: comma) + and + names[names.count - 1]
    }
  }
}
