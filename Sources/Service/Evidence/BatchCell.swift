import RiskModel

/// What a batch of results adds to one cell under one methodology.
struct BatchCell {
  let provider: Identifier
  let methodology: String
  let check: String
  let target: Target
  let source: Identifier
  fileprivate(set) var cell: EvidenceCell
  let halfLives: HalfLives

  /// Folds results cell by cell. Those whose outcome moves nothing, or whose check a methodology does not know, add
  /// nothing to it.
  /// - Returns: the cells in the order of their keys, which is the order in which their rows are locked.
  static func folding(_ candidates: [ResultStore.Candidate], under set: FoldingSet) -> [BatchCell] {
    let ordered = candidates.sorted { isOrdered($0.stored.result, before: $1.stored.result) }
    var cells: [BatchCell] = []
    cells.reserveCapacity(candidates.count * set.methodologies.count)
    for scoring in set.methodologies {
      let methodology = scoring.methodology
      let first = cells.count
      for candidate in ordered {
        let result = candidate.stored.result
        guard let index = methodology.checkIndex(result.checkID) else { continue }
        let check = methodology.checks[index]
        let concern = methodology.concerns[check.concern]
        guard
          let cell = EvidenceCell(
            outcome: result.outcome, observedAt: candidate.stored.countedAt, confidence: result.confidence,
            check: check, concern: concern)
        else { continue }
        let last = cells.count - 1
        if last >= first && cells[last].holds(result) {
          cells[last].cell = cells[last].cell.merged(with: cell, check: check, concern: concern)
        } else {
          cells.append(
            BatchCell(
              provider: result.provider, methodology: scoring.id, check: result.checkID, target: result.target,
              source: result.source, cell: cell, halfLives: HalfLives(check, concern)))
        }
      }
    }
    return cells
  }

  private func holds(_ result: ProbeResult) -> Bool {
    provider == result.provider && check == result.checkID && target == result.target && source == result.source
  }

  /// As the database orders the places that results are folded into: texts by their bytes.
  private static func isOrdered(_ result: ProbeResult, before other: ProbeResult) -> Bool {
    if result.provider != other.provider { return result.provider < other.provider }
    if result.checkID != other.checkID { return result.checkID.utf8.lexicographicallyPrecedes(other.checkID.utf8) }
    if result.target != other.target { return result.target < other.target }
    return result.source < other.source
  }
}
