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

  // MARK: - Millions of them

  /// The columns with the numbers in one value: for both sides a column costs more than what stands in it.
  static let packedColumns = """
    provider_id, methodology, check_id, target, model, uuid_send(source_id) || timestamptz_send(newest)
      || float8send(fail_weight) || float8send(pass_weight) || int8send(revision)
    """

  /// Reads `packedColumns`.
  /// - Parameter last: the cell before, mostly of the same methodology, check and target.
  static func unpack(_ row: inout Row, after last: StoredCell?) throws -> StoredCell {
    let provider = try row.next(Identifier.self)
    let methodology = try row.next(sameAs: last?.methodology)
    let check = try row.next(sameAs: last?.key.check)
    let address = try row.next(sameAs: last?.key.target.address)
    let model = try row.next(sameAs: "")
    let numbers = try row.next(Numbers.self)
    return StoredCell(
      provider: provider, methodology: methodology,
      key: CellKey(
        check: check, target: Target(address: address, model: model.isEmpty ? nil : model), source: numbers.source),
      cell: numbers.cell, revision: numbers.revision)
  }

  private struct Numbers: PostgresDecodable {
    let source: Identifier
    let cell: EvidenceCell
    let revision: Int

    static func decode(_ value: PostgresCell) throws(PostgresError) -> Numbers {
      let bytes = try value.required(.bytea)
      guard bytes.count == 48 else { throw value.failure("\(bytes.count) bytes in the numbers of a cell") }
      func word(_ index: Int) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
      }
      return Numbers(
        source: Identifier(high: word(0), low: word(1)),
        cell: EvidenceCell(
          newest: Instant(Timestamp(binary: Int64(bitPattern: word(2)))), failWeight: Double(bitPattern: word(3)),
          passWeight: Double(bitPattern: word(4))),
        revision: Int(Int64(bitPattern: word(5))))
    }
  }
}
