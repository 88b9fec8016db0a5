/// A cell at the instant of an assessment, with what its source's trust leaves of it. Living: Ef + Ep > 0.
struct WeighedCell {
  /// Ranks in `Evidence`.
  let target, source: Int32
  /// w * Ef and w * Ep. A source's weight depends on its own evidence only, so leaving another source out changes
  /// neither.
  let fail, pass: Double
  /// r * min(1, Ef).
  let witness: Double
}

/// A provider's evidence at one instant: every cell decayed once, in flat arrays, for the full computation and all the
/// recomputations without one source.
struct WeighedEvidence {
  /// The living cells of the scored and unwaived checks, by check, target and source.
  private(set) var cells: [WeighedCell] = []
  /// What is known of each scored check, in catalogue order.
  private(set) var checks: [ScoredCheckEvidence] = []
  /// For each source, whether a living cell is its.
  private(set) var isHeard: [Bool]

  struct ScoredCheckEvidence {
    /// Where the check's cells are.
    let cells: Range<Int>
    let risk: CheckRisk
    let lastObservedAt: Instant?
    let isWaived: Bool
  }

  init(_ evidence: Evidence, under methodology: Methodology, at instant: Instant) {
    isHeard = Array(repeating: false, count: evidence.sources.count)
    cells.reserveCapacity(evidence.rows.count)
    checks.reserveCapacity(methodology.scored.count)
    var row = 0
    for check in methodology.scored {
      let isWaived =
        !evidence.waivedChecks.isEmpty && evidence.waivedChecks.contains(methodology.checks[check.check].id)
      let first = cells.count
      var last: Instant?
      while row < evidence.rows.count, evidence.rows[row].check <= check.check {
        let place = evidence.rows[row]
        row += 1
        // The rows before the check's own are of checks that are not scored.
        guard place.check == check.check else { continue }
        last = max(last ?? place.cell.newest, place.cell.newest)
        let (fail, pass) = place.cell.weights(at: instant, check.decay)
        if isWaived || fail + pass <= 0 { continue }
        append(fail: fail, pass: pass, at: place, trust: evidence.sources[Int(place.source)].trust, methodology)
      }
      let range = first..<cells.count
      checks.append(
        ScoredCheckEvidence(
          cells: range, risk: CheckRisk(of: check, range: range, of: cells), lastObservedAt: last, isWaived: isWaived))
    }
  }

  /// A source weighs at most r * C however much it sends, and its own share of fails is kept.
  private mutating func append(
    fail: Double, pass: Double, at place: Evidence.Row, trust: Double, _ methodology: Methodology
  ) {
    isHeard[Int(place.source)] = true
    let weight = trust * methodology.saturation / (methodology.saturation + fail + pass)
    cells.append(
      WeighedCell(
        target: place.target, source: place.source, fail: weight * fail, pass: weight * pass,
        witness: trust * min(1, fail)))
  }
}
