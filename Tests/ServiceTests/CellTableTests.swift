import RiskModel
import Testing

@testable import Service

@Suite struct CellTableTests {
  private static let sources = (0..<5).map { Identifier(high: 7, low: UInt64($0)) }

  private static func cell(check: Int, target: Int, source: Int, revision: Int) -> StoredCell {
    StoredCell(
      provider: Identifier(high: 1, low: 1), methodology: "rm-1",
      key: CellKey(
        check: "check-\(check)", target: Target(address: "t\(target).example"), source: sources[source]),
      cell: EvidenceCell(newest: Instant(milliseconds: Int64(revision)), failWeight: 1, passWeight: 0),
      revision: revision)
  }

  /// What a dictionary would hold.
  private struct Reference {
    var revisions: [CellKey: Int] = [:]

    mutating func apply(_ cells: [StoredCell]) -> Bool {
      var hasChanged = false
      for cell in cells where revisions[cell.key].map({ $0 < cell.revision }) ?? true {
        revisions[cell.key] = cell.revision
        hasChanged = true
      }
      return hasChanged
    }
  }

  @Test func holdsTheNewestRevisionOfEachCellInAnyOrderOfArrival() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SeededGenerator(state: seed)
    for _ in 0..<300 {
      var table = CellTable()
      var names = CellTable.Names()
      var reference = Reference()
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let count = [1, 3, 16, 17, 60].randomElement(using: &generator)!
        var cells = (0..<count).map { _ in
          Self.cell(
            check: .random(in: 0..<4, using: &generator), target: .random(in: 0..<4, using: &generator),
            source: .random(in: 0..<5, using: &generator), revision: .random(in: 1...9, using: &generator))
        }
        // As a start reads them: each once, in the order of their names.
        if Bool.random(using: &generator) {
          cells = Dictionary(cells.map { ($0.key, $0) }) { first, _ in first }.values
            .sorted { ($0.key.check, $0.key.target, $0.key.source) < ($1.key.check, $1.key.target, $1.key.source) }
        }
        let before = table.count
        let (added, hasChanged) = table.apply(cells[...], &names)
        #expect(hasChanged == reference.apply(cells) && added == table.count - before, "seed \(seed)")
        var found: [CellKey: Int] = [:]
        for row in table.rows {
          let key = CellKey(
            check: names.checks.values[Int(row.check)], target: table.targets[Int(row.target)],
            source: names.sources.values[Int(row.source)])
          #expect(found.updateValue(row.revision, forKey: key) == nil, "seed \(seed): a cell is there twice")
        }
        #expect(found == reference.revisions, "seed \(seed)")
        let keys = table.rows.map { [$0.check, $0.target, $0.source] }
        #expect(keys == keys.sorted { $0.lexicographicallyPrecedes($1) }, "seed \(seed): not sorted")
      }
    }
  }
}
