import Glibc
import Postgres
import RiskModel

/// All cells of one provider under one methodology in a single row. There are millions of cells, and for both sides a
/// row and a column of their own cost each several times what stands in them.
enum PackedCells {
  /// Reads the cells of each provider under each methodology by the table's key, in whose order they come: grouping
  /// those of many providers at once would sort them all. To join columns first and collect them then takes PostgreSQL
  /// longer. A text never holds the byte 0, and may hold any other.
  static func query(of providers: [Identifier], under methodologies: [String]) -> Query {
    """
    select provider, methodology, packed.*
    from unnest(\(providers)) as provider cross join unnest(\(methodologies)) as methodology
    cross join lateral (
      select string_agg(uuid_send(source_id), ''), string_agg(timestamptz_send(newest), ''),
        string_agg(float8send(fail_weight), ''), string_agg(float8send(pass_weight), ''),
        string_agg(int8send(revision), ''), string_agg(textsend(check_id), '\\x00'),
        string_agg(textsend(target), '\\x00'), string_agg(textsend(model), '\\x00')
      from evidence_cell where provider_id = provider and evidence_cell.methodology = methodology.methodology
      having count(*) > 0
    ) as packed
    """
  }

  /// Reads a row of `query`.
  @Sendable static func unpack(_ row: inout Row) throws -> [StoredCell] {
    let provider = try row.next(Identifier.self)
    let methodology = try row.next(String.self)
    // Two an id.
    let sources = try Words(&row)
    let newest = try Words(&row)
    let failWeights = try Words(&row)
    let passWeights = try Words(&row)
    let revisions = try Words(&row)
    var checks = Texts(try row.next([UInt8].self))
    var targets = Texts(try row.next([UInt8].self))
    var models = Texts(try row.next([UInt8].self))
    let count = revisions.count
    guard sources.count == 2 * count, [newest, failWeights, passWeights].allSatisfy({ $0.count == count }) else {
      throw PostgresError.decoding(DecodingFailure(column: 2, reason: "columns of cells are of different lengths"))
    }
    return (0..<count).map { index in
      let (check, target, model) = (checks.next(), targets.next(), models.next())
      return StoredCell(
        provider: provider, methodology: methodology,
        key: CellKey(
          check: check, target: Target(address: target, model: model.isEmpty ? nil : model),
          source: Identifier(high: sources[2 * index], low: sources[2 * index + 1])),
        cell: EvidenceCell(
          newest: Instant(Timestamp(binary: Int64(bitPattern: newest[index]))),
          failWeight: Double(bitPattern: failWeights[index]), passWeight: Double(bitPattern: passWeights[index])),
        revision: Int(Int64(bitPattern: revisions[index])))
    }
  }

  /// Numbers of eight bytes, the most significant first.
  private struct Words {
    private let bytes: [UInt8]

    init(_ row: inout Row) throws { bytes = try row.next([UInt8].self) }

    var count: Int { bytes.count / 8 }

    subscript(index: Int) -> UInt64 {
      bytes.withUnsafeBytes { UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)) }
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
