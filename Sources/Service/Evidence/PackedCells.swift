import Glibc
import Postgres
import RiskModel

/// All cells of one provider under one methodology in a single row. There are millions of cells, and for both sides a
/// row and a column of their own cost each several times what stands in them.
enum PackedCells {
  /// Reads the cells of each provider under each methodology by the table's key, in whose order they come: grouping
  /// those of many providers at once would sort them all. A text never holds the byte 0.
  static func query(of providers: [Identifier], under methodologies: [String]) -> Query {
    """
    select provider, methodology, packed.*
    from unnest(\(providers)) as provider cross join unnest(\(methodologies)) as methodology
    cross join lateral (
      select string_agg(uuid_send(source_id) || timestamptz_send(newest) || float8send(fail_weight)
          || float8send(pass_weight) || int8send(revision), ''),
        string_agg(textsend(check_id), '\\x00'), string_agg(textsend(target), '\\x00'),
        string_agg(textsend(model), '\\x00')
      from evidence_cell where provider_id = provider and evidence_cell.methodology = methodology.methodology
      having count(*) > 0
    ) as packed
    """
  }

  /// Reads a row of `query`.
  @Sendable static func unpack(_ row: inout Row) throws -> [StoredCell] {
    let provider = try row.next(Identifier.self)
    let methodology = try row.next(String.self)
    let numbers = try row.next([UInt8].self)
    var checks = Texts(try row.next([UInt8].self))
    var targets = Texts(try row.next([UInt8].self))
    var models = Texts(try row.next([UInt8].self))
    guard numbers.count % Numbers.bytesCount == 0 else {
      throw PostgresError.decoding(DecodingFailure(column: 2, reason: "\(numbers.count) bytes in the numbers of cells"))
    }
    return numbers.withUnsafeBytes { numbers in
      (0..<numbers.count / Numbers.bytesCount).map { index in
        let numbers = Numbers(numbers, at: index * Numbers.bytesCount)
        let (check, target, model) = (checks.next(), targets.next(), models.next())
        return StoredCell(
          provider: provider, methodology: methodology,
          key: CellKey(
            check: check, target: Target(address: target, model: model.isEmpty ? nil : model), source: numbers.source),
          cell: numbers.cell, revision: numbers.revision)
      }
    }
  }

  private struct Numbers {
    static let bytesCount = 48
    let source: Identifier
    let cell: EvidenceCell
    let revision: Int

    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
      func word(_ index: Int) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 8 * index, as: UInt64.self))
      }
      source = Identifier(high: word(0), low: word(1))
      cell = EvidenceCell(
        newest: Instant(Timestamp(binary: Int64(bitPattern: word(2)))), failWeight: Double(bitPattern: word(3)),
        passWeight: Double(bitPattern: word(4)))
      revision = Int(Int64(bitPattern: word(5)))
    }
  }

  /// Texts with a byte 0 between them. The same one comes many times in a row: it is neither checked nor stored twice.
  private struct Texts {
    private let bytes: [UInt8]
    private var position = 0
    private var last = ""

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> String {
      bytes.withUnsafeBytes { bytes in
        let rest = UnsafeRawBufferPointer(rebasing: bytes[min(position, bytes.count)...])
        let end = rest.isEmpty ? nil : memchr(rest.baseAddress!, 0, rest.count)
        let count = end.map { UnsafeRawPointer($0) - rest.baseAddress! } ?? rest.count
        position += count + 1
        let isSame = last.utf8.withContiguousStorageIfAvailable { last in
          last.count == count && (count == 0 || memcmp(last.baseAddress!, rest.baseAddress!, count) == 0)
        }
        if isSame != true { last = String(decoding: rest[..<count], as: UTF8.self) }
      }
      return last
    }
  }
}
