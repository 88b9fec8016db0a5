/// What one provider is scored from: cells in the order in which the methodology sums them, what is in force, nothing
/// else. Building it sorts once; every assessment of it is then one pass.
public struct Evidence: Sendable {
  /// One cell and its place.
  public struct Entry: Sendable {
    /// The index in `Methodology.checks`.
    public let check: Int
    public let target: Target
    /// The index in the sources that the entry is handed over with.
    public let source: Int
    public let cell: EvidenceCell

    public init(check: Int, target: Target, source: Int, cell: EvidenceCell) {
      self.check = check
      self.target = target
      self.source = source
      self.cell = cell
    }
  }

  /// An independent witness.
  public struct Source: Sendable, Equatable {
    public let slug: String
    /// r, above 0 and at most 1; 1 is authoritative.
    public let trust: Double

    /// - Precondition: `trust` is above 0 and at most 1.
    public init(slug: String, trust: Double) {
      precondition(trust > 0 && trust <= 1, "a trust of \(trust)")
      self.slug = slug
      self.trust = trust
    }
  }

  /// By the bytes of their slugs.
  public let sources: [Source]
  /// The ids of the concerns with an incident that is open at the instant of the assessment. Others are ignored.
  public var openIncidents: Set<String>
  /// The ids of the checks with a waiver in force at the instant of the assessment. Others are ignored.
  public var waivedChecks: Set<String>

  /// Whether there is no cell, so that no time changes the score.
  public var isEmpty: Bool { rows.isEmpty }

  /// By bytes.
  let targets: [Target]
  /// By check, target and source.
  let rows: [Row]

  /// An entry whose target and source are indices into the sorted lists.
  struct Row {
    let check, target, source: Int32
    let cell: EvidenceCell
  }

  /// - Precondition: slugs differ, and there is at most one cell for a source, a check and a target. Entries of checks
  ///   that are not scored may be there and count for nothing.
  public init(
    sources: [Source], entries: [Entry], openIncidents: Set<String> = [], waivedChecks: Set<String> = []
  ) {
    self.openIncidents = openIncidents
    self.waivedChecks = waivedChecks
    let order = sources.indices.sorted {
      sources[$0].slug.utf8.lexicographicallyPrecedes(sources[$1].slug.utf8)
    }
    self.sources = order.map { sources[$0] }
    for (slug, next) in zip(self.sources, self.sources.dropFirst()) {
      precondition(!slug.slug.utf8.elementsEqual(next.slug.utf8), "two sources are called \(slug.slug)")
    }
    let sourceRanks = Self.ranks(order)

    let (distinct, targetNumbers) = Self.distinctTargets(of: entries)
    let targetOrder = distinct.indices.sorted { distinct[$0] < distinct[$1] }
    targets = targetOrder.map { distinct[$0] }
    let targetRanks = Self.ranks(targetOrder)

    var rows = zip(entries, targetNumbers).map { entry, number in
      Row(
        check: Int32(entry.check), target: targetRanks[number], source: sourceRanks[entry.source], cell: entry.cell)
    }
    // Least significant first; each pass keeps the order of the one before.
    Self.sort(&rows, by: \.source)
    Self.sort(&rows, by: \.target)
    Self.sort(&rows, by: \.check)
    for (row, next) in zip(rows, rows.dropFirst()) {
      let isDuplicate = row.check == next.check && row.target == next.target && row.source == next.source
      precondition(!isDuplicate, "two cells of one source on one check and target")
    }
    self.rows = rows
  }

  /// A stable counting sort: the ranks are small and dense, so that three passes beat a sort by comparison.
  @inline(__always)
  private static func sort(_ rows: inout [Row], by rank: (Row) -> Int32) {
    var starts = [Int](repeating: 0, count: Int(rows.lazy.map(rank).max() ?? 0) + 2)
    for row in rows { starts[Int(rank(row)) + 1] += 1 }
    for index in starts.indices.dropFirst() { starts[index] += starts[index - 1] }
    let unsorted = rows
    for row in unsorted {
      rows[starts[Int(rank(row))]] = row
      starts[Int(rank(row))] += 1
    }
  }

  /// The targets in the order of their first entry, and each entry's number among them. Sorting the few targets and
  /// then the many entries by number is far cheaper than sorting the entries by their targets' bytes.
  private static func distinctTargets(of entries: [Entry]) -> (targets: [Target], numbers: [Int]) {
    // Most providers have a handful of targets, which are compared sooner than hashed.
    let comparedMax = 8
    var targets: [Target] = []
    var numbers: [Target: Int] = [:]
    let ofEntries = entries.map { entry in
      if let number = targets.prefix(comparedMax).firstIndex(of: entry.target) { return number }
      if targets.count > comparedMax, let number = numbers[entry.target] { return number }
      numbers[entry.target] = targets.count
      targets.append(entry.target)
      return targets.count - 1
    }
    return (targets, ofEntries)
  }

  /// Where each index stands in `order`.
  private static func ranks(_ order: [Int]) -> [Int32] {
    var ranks = [Int32](repeating: 0, count: order.count)
    for (rank, index) in order.enumerated() { ranks[index] = Int32(rank) }
    return ranks
  }
}
