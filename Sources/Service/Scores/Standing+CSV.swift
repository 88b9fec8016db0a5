import RiskModel

extension ScoreFields {
  /// The names of the columns: where the value stands in the document of an entry, with the concern for its place.
  func csvHeader(_ methodology: Methodology) -> [UInt8] {
    var line = CSVLine()
    for member in Member.allCases where has(member) {
      switch member {
      case .provider: for name in ["id", "slug", "name", "status"] { line.add("provider.\(name)") }
      case .concerns:
        for concern in methodology.concerns {
          for name in ["score", "critical"] { line.add("concerns.\(concern.id).\(name)") }
        }
      default: line.add(member.rawValue)
      }
    }
    return line.terminated
  }
}

extension Standing {
  /// An entry of a list of scores as a line.
  func csvLine(of provider: Provider, only fields: ScoreFields) -> [UInt8] {
    var line = CSVLine()
    for member in ScoreFields.Member.allCases where fields.has(member) {
      switch member {
      case .provider:
        let reference = [provider.id.description, provider.slug.text, provider.details.name, provider.status.rawValue]
        for text in reference { line.add(text) }
      case .score: line.add(score)
      case .provisionalScore: line.add(provisionalScore)
      case .grade: line.add(grade ?? "")
      case .verdict: line.add(verdict.rawValue)
      case .evidence: line.add(evidence)
      case .coverage: line.add(coverage)
      case .evaluatedAt: line.add(evaluatedAt.rfc3339)
      case .concerns:
        for concern in concerns {
          line.add(concern.score)
          line.add(concern.critical.rawValue)
        }
      }
    }
    return line.terminated
  }
}
