import JSON
import RiskModel

/// Every constant of the document that is not of one concern, check or grade, by its place there.
func constantsTable(_ document: JSONValue) -> String {
  let meanings = [
    ("saturation", "C: what one source can weigh at most on a check and target, in results at full confidence"),
    ("kappa/state", "κ: the weight of the prior, in results at full confidence"),
    ("kappa/sample", "the same of a sample"),
    ("evasion/state", "e: the part of the prior that no volume of passes removes"),
    ("evasion/sample", "the same of a sample: behaviour can change while it is probed"),
    ("single_source_limit", "B: points that a single source of trust below 1 can move a score by"),
    ("z", "the normal quantile of the range's edges: 5 % lie outside on either side"),
    ("severity_impact/info", "u: the part of the concern's impact that a failing check carries; 0 is not scored"),
    ("severity_impact/low", "the same"), ("severity_impact/medium", "the same"),
    ("severity_impact/high", "the same"), ("severity_impact/critical", "the same"),
    ("critical/confirm", "trusted witnesses, each at most 1, that confirm a critical failure"),
    ("critical/provisional", "those that make it provisional"),
    ("critical/provisional_floor", "the score that a provisional failure sets at most"),
    ("sufficiency/min_evidence", "N from which a check is covered"),
    ("sufficiency/min_coverage", "the share of the catalogue that must be covered"),
    ("sufficiency/min_concern_coverage", "the share of every concern that must be covered"),
    ("verdict/block_low", "block when the robust range begins here or above"),
    ("verdict/allow_high", "allow when the robust range ends here or below"),
  ]
  var rows = meanings.map { ["`\($0.0)`", value(at: $0.0, of: document), $0.1] }
  if case .array(let grades)? = member("grades", of: document) {
    let bands = grades.map { "\(text(member("grade", of: $0))) to \(text(member("max", of: $0)))" }
    rows.append(["`grades`", bands.joined(separator: ", "), "the first band whose end is not below the score"])
  }
  return table(["constant", "value", "meaning"], rows)
}

func concernsTable(_ methodology: Methodology) -> String {
  let rows = methodology.concerns.map { concern in
    let checks = methodology.checks.filter { $0.concernID == concern.id && $0.isScored }.count
    return [
      "`\(concern.id)`", "\(concern.impact)", "\(concern.baseRate)", "\(concern.failHalfLifeDays)",
      "\(concern.passHalfLifeDays)", "\(concern.floor)", "\(checks)",
    ]
  }
  let head = [
    "concern", "impact", "base rate", "half-life of a fail, days", "of a pass, days", "floor", "scored checks",
  ]
  return table(head, rows)
}

private func value(at path: String, of document: JSONValue) -> String {
  text(path.split(separator: "/").reduce(Optional(document)) { value, name in value.flatMap { member(name, of: $0) } })
}

private func member(_ name: some StringProtocol, of value: JSONValue) -> JSONValue? {
  guard case .object(let object) = value else { return nil }
  return object[String(name)]
}

private func text(_ value: JSONValue?) -> String {
  switch value {
  case .number(let number)?: "\(number.double)"
  case .string(let string)?: string
  default: preconditionFailure("a constant is missing or no number")
  }
}
