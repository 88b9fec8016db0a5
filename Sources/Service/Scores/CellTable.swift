import RiskModel

/// The cells of one provider in flat memory, sorted by check, target and source.
///
/// A dictionary of keys with names costs several hundred bytes a cell; a row here has 48, and millions are held.
struct CellTable: Sendable {
  /// What the numbers in the rows of all tables mean.
  struct Names: Sendable {
    fileprivate(set) var checks = Numbering<String>()
    fileprivate(set) var sources = Numbering<Identifier>()
  }

  /// Values in the order in which they came, and the number of each.
  struct Numbering<Value: Hashable & Sendable>: Sendable {
    private(set) var values: [Value] = []
    private var numbers: [Value: UInt32] = [:]

    mutating func number(of value: Value) -> UInt32 {
      if let number = numbers[value] { return number }
      numbers[value] = UInt32(values.count)
      values.append(value)
      return UInt32(values.count - 1)
    }
  }

  struct Row: Sendable {
    let check, target, source: UInt32
    let cell: EvidenceCell
    let revision: Int

    fileprivate func isBefore(_ other: Row) -> Bool {
      (check, target, source) < (other.check, other.target, other.source)
    }

    fileprivate func isSameCell(as other: Row) -> Bool {
      check == other.check && target == other.target && source == other.source
    }

    /// Whether all its results were voided. Such a cell is kept for its revision alone and is no evidence.
    var isEmpty: Bool { cell.failWeight == 0 && cell.passWeight == 0 }
  }

  private(set) var rows: [Row] = []
  private var targetNumbers = Numbering<Target>()

  var count: Int { rows.count }

  /// What `Row.target` is an index into.
  var targets: [Target] { targetNumbers.values }

  /// Up to so many cells are put in their places one by one; more are sorted and merged in one pass.
  private static let placedCountMax = 16

  /// Takes over cells as they are stored, but for those that are here in the same or a later revision.
  /// - Returns: how many were not here before, and whether anything changed.
  mutating func apply(_ cells: ArraySlice<StoredCell>, _ names: inout Names) -> (added: Int, hasChanged: Bool) {
    let before = rows.count
    var arriving: [Row] = []
    arriving.reserveCapacity(cells.count)
    var last: (key: CellKey, row: Row)?
    for stored in cells {
      // Many have the check or the target of the one before.
      let isSameCheck = last?.key.check == stored.key.check
      let isSameTarget = last?.key.target == stored.key.target
      let row = Row(
        check: isSameCheck ? last!.row.check : names.checks.number(of: stored.key.check),
        target: isSameTarget ? last!.row.target : targetNumbers.number(of: stored.key.target),
        source: names.sources.number(of: stored.key.source), cell: stored.cell, revision: stored.revision)
      arriving.append(row)
      last = (stored.key, row)
    }
    let hasChanged =
      arriving.count > Self.placedCountMax ? merge(arriving) : arriving.reduce(false) { place($1) || $0 }
    return (rows.count - before, hasChanged)
  }

  private mutating func place(_ row: Row) -> Bool {
    var (low, high) = (0, rows.count)
    while low < high {
      let middle = (low + high) / 2
      if rows[middle].isBefore(row) { low = middle + 1 } else { high = middle }
    }
    if low < rows.count, rows[low].isSameCell(as: row) {
      guard rows[low].revision < row.revision else { return false }
      rows[low] = row
    } else {
      rows.insert(row, at: low)
    }
    return true
  }

  private mutating func merge(_ arriving: [Row]) -> Bool {
    // As they come at the start, when nothing is here: in the order of their names.
    if rows.isEmpty, zip(arriving, arriving.dropFirst()).allSatisfy({ $0.isBefore($1) }) {
      rows = arriving
      return true
    }
    var hasChanged = false
    var merged: [Row] = []
    merged.reserveCapacity(rows.count + arriving.count)
    // Stable, so that of one cell the row that is here comes before those that arrive.
    for row in (rows + arriving).sorted(by: { $0.isBefore($1) }) {
      if let last = merged.last, last.isSameCell(as: row) {
        guard last.revision < row.revision else { continue }
        merged[merged.count - 1] = row
      } else {
        merged.append(row)
      }
    }
    hasChanged = merged.count > rows.count || !zip(merged, rows).allSatisfy { $0.revision == $1.revision }
    rows = merged
    return hasChanged
  }
}
