import RiskModel

/// What people decided about a provider.
struct ProviderDecisions: Sendable {
  let waivers: [WaiverRecord]
  let incidents: [IncidentRecord]
}

/// The stored cells of a provider and the score they give, beside those that its results give.
struct CellComparison {
  let methodology: Methodology
  let stored, rebuilt: [CellKey: VerifiedCell]
  let decisions: ProviderDecisions
  let registry: Registry
  let now: Instant

  /// Each cell that is on either side.
  var cellsCount: Int { stored.count + rebuilt.keys.count { stored[$0] == nil } }

  /// One sentence each, cells in the order of their keys, then the score.
  var differences: [String] {
    let keys = Set(stored.keys).union(rebuilt.keys).sorted { left, right in
      left.check != right.check
        ? left.check < right.check
        : left.target != right.target ? left.target < right.target : left.source < right.source
    }
    return keys.compactMap { difference(of: $0) } + scoreDifferences
  }

  private func difference(of key: CellKey) -> String? {
    let source = registry.source(id: key.source)?.slug.text ?? key.source.description
    let model = key.target.model.map { " with model \($0)" } ?? ""
    let place = "\(key.check) on \(key.target.address)\(model) from \(source)"
    guard let stored = stored[key] else { return "\(place): the cell is missing" }
    guard let rebuilt = rebuilt[key] else { return "\(place): the cell has no results" }
    var wrong: [String] = []
    if stored.cell.newest != rebuilt.cell.newest {
      wrong.append("newest is \(stored.cell.newest.rfc3339), not \(rebuilt.cell.newest.rfc3339)")
    }
    for (name, found, due) in [
      ("fail weight", stored.cell.failWeight, rebuilt.cell.failWeight),
      ("pass weight", stored.cell.passWeight, rebuilt.cell.passWeight),
    ] where !Self.agree(found, due) { wrong.append("the \(name) is \(found), not \(due)") }
    if stored.halfLives != rebuilt.halfLives { wrong.append("the half-lives are not those of the methodology") }
    return wrong.isEmpty ? nil : "\(place): \(wrong.joined(separator: "; "))"
  }

  /// To 1e-9, or to nine digits where a number is above 1: as many as sums of many results can keep.
  private static func agree(_ left: Double, _ right: Double) -> Bool {
    abs(left - right) <= EvidenceVerification.tolerance * max(1, abs(left), abs(right))
  }

  // MARK: - The score

  private var scoreDifferences: [String] {
    let newest = (Array(stored.values) + Array(rebuilt.values)).map(\.cell.newest).max()
    let instant = max(now, newest ?? now)
    let found = assess(stored, at: instant)
    let due = assess(rebuilt, at: instant)
    var numbers = [
      ("the score", found.score, due.score), ("the base", found.base, due.base), ("low", found.low, due.low),
      ("high", found.high, due.high), ("the robust low", found.robustLow, due.robustLow),
      ("the robust high", found.robustHigh, due.robustHigh), ("the coverage", found.coverage, due.coverage),
    ]
    for (found, due) in zip(found.checks, due.checks) {
      numbers.append(("the points of \(methodology.checks[found.check].id)", found.points, due.points))
    }
    return numbers.filter { !Self.agree($0.1, $0.2) }.map { "\($0.0) from the cells is \($0.1), not \($0.2)" }
  }

  private func assess(_ cells: [CellKey: VerifiedCell], at instant: Instant) -> Assessment {
    var indices: [Identifier: Int] = [:]
    var sources: [Evidence.Source] = []
    var entries: [Evidence.Entry] = []
    for (key, verified) in cells {
      guard let check = methodology.checkIndex(key.check), let source = registry.source(id: key.source),
        source.status == .active
      else { continue }
      if indices[source.id] == nil {
        indices[source.id] = sources.count
        sources.append(Evidence.Source(slug: source.slug.text, trust: source.trust))
      }
      entries.append(
        Evidence.Entry(check: check, target: key.target, source: indices[source.id]!, cell: verified.cell))
    }
    let open = decisions.incidents.map(\.incident).filter { $0.isOpen(at: instant) }
    let waived = decisions.waivers.map(\.waiver).filter { $0.isInForce(at: instant) }
    return methodology.assess(
      Evidence(
        sources: sources, entries: entries, openIncidents: Set(open.map(\.concern)),
        waivedChecks: Set(waived.map(\.check))), at: instant)
  }
}
