/// How well one scored check is covered, and what that hangs on: section 5 of the methodology, check by check.
public struct CheckCoverage: Sendable {
  /// The index in `Methodology.checks`.
  public let check: Int
  /// What the check is of overall coverage while it is covered, 0 to 1.
  public let share: Double
  public let isCovered: Bool
  /// Whether it is covered at the later instant too if nothing is seen until then.
  public let staysCovered: Bool
  /// The index in `Evidence.sources` of the source without which it would not be covered; nil where there is none, and
  /// for an authoritative source, which is never left out.
  public let soleSource: Int?
  /// The worst target; nil without evidence, or when the check is waived.
  public let target: Target?
  public let isWaived: Bool
  /// The newest result of the check that moves anything, on any target and from any source.
  public let lastObservedAt: Instant?
}

extension Methodology {
  /// Of every scored check, in catalogue order.
  /// - Precondition: `later` is not before `instant`, and no cell is newer than `instant`.
  public func coverage(of evidence: Evidence, at instant: Instant, until later: Instant) -> [CheckCoverage] {
    let now = WeighedEvidence(evidence, under: self, at: instant)
    let then = WeighedEvidence(evidence, under: self, at: later)
    return scored.indices.map { index in
      let check = scored[index]
      let known = now.checks[index]
      let isCovered = isCovered(check, known.cells, of: now)
      let heard = Set(now.cells[known.cells].map(\.source)).sorted()
      let sole = heard.first { source in
        evidence.sources[Int(source)].trust < 1 && !self.isCovered(check, known.cells, of: now, leavingOut: source)
      }
      return CheckCoverage(
        check: check.check, share: checks[check.check].share * concerns[check.concern].impact / impactSum,
        isCovered: isCovered, staysCovered: self.isCovered(check, then.checks[index].cells, of: then),
        soleSource: isCovered ? sole.map { Int($0) } : nil,
        target: worstTarget(of: check, range: known.cells, of: now.cells).map { evidence.targets[Int($0.target)] },
        isWaived: known.isWaived, lastObservedAt: known.lastObservedAt)
    }
  }

  private func isCovered(
    _ check: ScoredCheck, _ cells: Range<Int>, of weighed: WeighedEvidence, leavingOut source: Int32? = nil
  ) -> Bool {
    let risk = CheckRisk(of: check, range: cells, of: weighed.cells, leavingOut: source)
    return reaches(risk.evidence, sufficiency.minEvidence)
  }
}

extension Evidence {
  /// When a source last saw each check, by index in `Methodology.checks`.
  public func lastObserved(by slug: String) -> [Int: Instant] {
    guard let source = sources.firstIndex(where: { $0.slug == slug }) else { return [:] }
    var last: [Int: Instant] = [:]
    for row in rows where row.source == source {
      last[Int(row.check)] = max(last[Int(row.check)] ?? row.cell.newest, row.cell.newest)
    }
    return last
  }
}
