import Postgres
import RiskModel

/// A stored result as far as a cell depends on it.
struct RebuildingResult: Sendable {
  let id: Identifier
  let check: String
  let target: Target
  let source: Identifier
  /// `pass` or `fail`.
  let outcome: Outcome
  let countedAt: Instant
  let confidence: Double

  /// Reads `id, check_id, target, model, source_id, outcome, counted_at, confidence`.
  @Sendable static func decode(_ row: inout Row) throws -> RebuildingResult {
    let id = try row.next(Identifier.self)
    let check = try row.next(String.self)
    let address = try row.next(String.self)
    let model = try row.next(String.self)
    return RebuildingResult(
      id: id, check: check, target: Target(address: address, model: model.isEmpty ? nil : model),
      source: try row.next(Identifier.self), outcome: Outcome(rawValue: try row.next(String.self))!,
      countedAt: Instant(try row.next(Timestamp.self)), confidence: try row.next(Double.self))
  }
}

/// The half-lives that a cell's row must have for the next fold; nil for a check of kind `state`.
struct HalfLives: Equatable, Sendable {
  let failDays, passDays: Double?

  init(failDays: Double?, passDays: Double?) {
    self.failDays = failDays
    self.passDays = passDays
  }

  init(_ check: Check, _ concern: Concern) {
    failDays = check.kind == .sample ? concern.failHalfLifeDays : nil
    passDays = check.kind == .sample ? concern.passHalfLifeDays : nil
  }
}

/// A cell with all that its row says.
struct VerifiedCell: Sendable {
  var cell: EvidenceCell
  let halfLives: HalfLives
}

/// The cells of a provider under a methodology, folded anew from results in any order.
struct CellRebuilding: Sendable {
  let methodology: Methodology
  private(set) var cells: [CellKey: VerifiedCell] = [:]

  init(_ methodology: Methodology) { self.methodology = methodology }

  /// Results of checks that the methodology does not know do not exist.
  mutating func add(_ result: RebuildingResult) {
    guard let index = methodology.checkIndex(result.check) else { return }
    let check = methodology.checks[index]
    guard
      let cell = EvidenceCell(
        outcome: result.outcome, observedAt: result.countedAt, confidence: result.confidence, check: check,
        concern: methodology.concerns[check.concern])
    else { return }
    add(CellKey(check: result.check, target: result.target, source: result.source), cell)
  }

  /// Merges the fold of other results of the same cell with what is there.
  mutating func add(_ key: CellKey, _ cell: EvidenceCell) {
    guard let index = methodology.checkIndex(key.check) else { return }
    let check = methodology.checks[index]
    let concern = methodology.concerns[check.concern]
    if let known = cells[key] {
      cells[key]!.cell = known.cell.merged(with: cell, check: check, concern: concern)
    } else {
      cells[key] = VerifiedCell(cell: cell, halfLives: HalfLives(check, concern))
    }
  }
}
