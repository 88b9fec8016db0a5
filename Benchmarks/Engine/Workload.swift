import RiskModel

/// A provider that five sources probed on three targets for every check of the catalogue: a cell for each, every
/// seventh with fails and passes, the others with passes alone.
struct Workload {
  static let sources = 5
  static let targets = 3

  let methodology: Methodology
  /// In days of whole numbers since 1970, so that the evidence has an age.
  let now = Instant(milliseconds: 1_780_000_000_000)
  let entries: [Evidence.Entry]
  let full: Evidence
  let empty = Evidence(sources: [], entries: [])
  let cellOfOne, cellOfAMillion: EvidenceCell

  private let sample, state: Check
  private static let witnesses = (0..<sources).map { number in
    Evidence.Source(slug: "source-\(number)", trust: number == 0 ? 1 : 0.8)
  }

  init(_ methodology: Methodology) {
    self.methodology = methodology
    let now = now
    entries = methodology.checks.indices.flatMap { check in
      (0..<Self.sources).flatMap { source in
        (0..<Self.targets).map { target in
          let number = check + source + target
          return Evidence.Entry(
            check: check, target: Target(address: "relay-\(target).example", model: "model-\(target)"), source: source,
            cell: EvidenceCell(
              newest: Instant(milliseconds: now.milliseconds - Int64(1 + number % 30) * 86_400_000),
              failWeight: number % 7 == 0 ? 0.5 : 0, passWeight: 0.9))
        }
      }
    }
    full = Evidence(sources: Self.witnesses, entries: entries)
    let sample = methodology.checks.first { $0.kind == .sample && $0.isScored }!
    self.sample = sample
    state = methodology.checks.first { $0.kind == .state && $0.isScored }!
    let one = Self.fail(sample, at: now.milliseconds - 60_000_000, methodology)
    cellOfOne = one
    cellOfAMillion = (1..<1_000_000).reduce(one) { cell, second in
      cell.merged(
        with: Self.fail(sample, at: now.milliseconds - 60_000_000 + Int64(second), methodology), check: sample,
        concern: methodology.concerns[sample.concern])
    }
  }

  func evidence() -> Evidence { Evidence(sources: Self.witnesses, entries: entries) }

  /// A result of now joins the cell.
  func folded(into cell: EvidenceCell) -> Double {
    let result = Self.fail(sample, at: now.milliseconds, methodology)
    return cell.merged(with: result, check: sample, concern: methodology.concerns[sample.concern]).failWeight
  }

  func standing() -> Double {
    let result = Self.fail(state, at: now.milliseconds, methodology)
    return cellOfOne.merged(with: result, check: state, concern: methodology.concerns[state.concern]).failWeight
  }

  private static func fail(_ check: Check, at milliseconds: Int64, _ methodology: Methodology) -> EvidenceCell {
    EvidenceCell(
      outcome: .fail, observedAt: Instant(milliseconds: milliseconds), confidence: 0.9, check: check,
      concern: methodology.concerns[check.concern])!
  }
}
