import Postgres
import RiskModel

/// Which cell: the evidence of one source on one check and target.
struct CellKey: Sendable, Hashable {
  let check: String
  let target: Target
  let source: Identifier
}

/// A cell with the revision that its row had.
struct StoredCell: Sendable {
  let provider: Identifier
  let methodology: String
  let key: CellKey
  let cell: EvidenceCell
  let revision: Int

  /// Whether all its results were voided. Such a cell is kept for its revision alone and is no evidence.
  var isEmpty: Bool { cell.failWeight == 0 && cell.passWeight == 0 }

  /// Reads `provider_id, methodology, check_id, target, model, source_id, newest, fail_weight,
  /// pass_weight, revision`.
  @Sendable static func decode(_ row: inout Row) throws -> StoredCell {
    let provider = try row.next(Identifier.self)
    let methodology = try row.next(String.self)
    let check = try row.next(String.self)
    let address = try row.next(String.self)
    let model = try row.next(String.self)
    let source = try row.next(Identifier.self)
    let newest = Instant(try row.next(Timestamp.self))
    let failWeight = try row.next(Double.self)
    let passWeight = try row.next(Double.self)
    return StoredCell(
      provider: provider, methodology: methodology,
      key: CellKey(check: check, target: Target(address: address, model: model.isEmpty ? nil : model), source: source),
      cell: EvidenceCell(newest: newest, failWeight: failWeight, passWeight: passWeight),
      revision: try row.next(Int.self))
  }

  static let columns = """
    provider_id, methodology, check_id, target, model, source_id, newest, fail_weight, pass_weight, revision
    """
}
