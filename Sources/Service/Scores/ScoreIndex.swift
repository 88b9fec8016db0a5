/// The standings of all providers in the orders in which they are listed, so that a page costs what it shows and not
/// what there is.
///
/// What evidence, decisions and the registry change is taken in before a page is read. What time alone changes is
/// taken in at each whole minute: at once where it is little, else in the background, and until that is done a list
/// shows the minute before, as `evaluated_at` says.
actor ScoreIndex {
  /// One provider's place in the lists.
  final class Entry: Sendable {
    let provider: Provider
    let standing: Standing

    init(provider: Provider, standing: Standing) {
      self.provider = provider
      self.standing = standing
    }
  }

  private let scorer: Scorer
  /// What all entries are of.
  private var scoring: ScoringMethodology
  private var entries: [Identifier: Entry] = [:]
  /// In the orders that were asked for. One that is not current was right before the last changes.
  private var lists: [ScoreOrder: (entries: [Entry], isCurrent: Bool)] = [:]
  /// What changed since its entry was made.
  private var changed: Set<Identifier> = []
  /// Those of `changed` that were only read at the start.
  private var loaded: Set<Identifier> = []
  /// What time or a source's trust may have changed since.
  private var aged: Set<Identifier> = []
  /// What has an entry made anew that nobody has taken note of yet.
  private var renewed = Renewal()
  /// What `aged` was last filled for.
  private var minute = Instant(milliseconds: .min)
  private var sources = -1

  /// Whose entries were made anew, and why.
  struct Renewal: Sendable {
    /// Evidence, decisions or the registry changed.
    fileprivate(set) var changed: Set<Identifier> = []
    /// Time went by, or a source's trust changed.
    fileprivate(set) var aged: Set<Identifier> = []
    fileprivate(set) var sourceGeneration = -1
  }

  /// So many entries are computed in one turn: about 10 ms.
  private static let turnCountMax = 200
  /// More than so many are put in their places by sorting the lists anew, which are nearly in order already.
  private static let placedCountMax = 32

  init(scorer: Scorer) {
    self.scorer = scorer
    scoring = scorer.methodologies.active
  }

  /// The entries after a rank that match, in their order.
  /// - Parameters:
  ///   - count: how many at most.
  ///   - methodology: what the filter was made for.
  /// - Returns: nil when another methodology is active by now.
  func page(
    _ filter: ScoreFilter, _ order: ScoreOrder, after: ScoreRank?, count: Int, under methodology: String
  ) async -> [Entry]? {
    guard let list = await list(in: order, under: methodology) else { return nil }
    var index = 0
    if let after { index = list.partitioningIndex { order.rank($0.provider, $0.standing) > after } }
    var found: [Entry] = []
    while index < list.count, found.count < count {
      if filter.matches(list[index].standing) { found.append(list[index]) }
      index += 1
    }
    return found
  }

  /// All entries in their order, as they are at one instant.
  /// - Returns: nil when another methodology is active by now.
  func list(in order: ScoreOrder, under methodology: String) async -> [Entry]? {
    noteChanges()
    await takeChanged()
    if scoring.id != methodology { return nil }
    if aged.count <= Self.turnCountMax {
      place(aged)
      renewed.aged.formUnion(aged)
      aged = []
    }
    return list(in: order)
  }

  /// Says that what is here by now was read at the start: it has to be computed, but nothing of it has changed.
  func begin() {
    noteChanges()
    loaded = changed
  }

  /// Brings every entry up to date, in turns between which pages are read.
  func sweep() async {
    noteChanges()
    await takeChanged()
    // Computed first and taken over at once: the scorer remembers, so that the second time costs little.
    let ids = aged
    for (index, id) in ids.enumerated() {
      if index % Self.turnCountMax == Self.turnCountMax - 1 { await Task.yield() }
      _ = entry(of: id)
    }
    aged.subtract(ids)
    place(ids)
    renewed.aged.formUnion(ids)
  }

  /// Takes in what changed.
  /// - Returns: whose entries were made anew since this was last asked.
  func takeRenewed() async -> Renewal {
    noteChanges()
    await takeChanged()
    defer { renewed = Renewal() }
    renewed.sourceGeneration = sources
    return renewed
  }

  // MARK: - Keeping up

  private func noteChanges() {
    let active = scorer.methodologies.active
    if active.id != scoring.id {
      // All at once, so that no list is of two; the scorer has computed them before the methodology became active.
      scoring = active
      for id in entries.keys { entries[id] = entry(of: id) }
      for order in lists.keys { lists[order]!.isCurrent = false }
      renewed.aged.formUnion(entries.keys)
    }
    let news = scorer.board.takeChanged().union(scorer.registry.takeChangedProviders())
    changed.formUnion(news)
    loaded.subtract(news)
    let (minute, sources) = (scorer.clock.now().startOfMinute, scorer.registry.sourceGeneration)
    if minute != self.minute || sources != self.sources {
      (self.minute, self.sources) = (minute, sources)
      aged.formUnion(entries.keys)
    }
  }

  /// Takes in what changed, in turns.
  private func takeChanged() async {
    while !changed.isEmpty {
      let ids = Set(changed.prefix(Self.turnCountMax))
      changed.subtract(ids)
      aged.subtract(ids)
      place(ids)
      renewed.changed.formUnion(ids.subtracting(loaded))
      renewed.aged.formUnion(ids.intersection(loaded))
      loaded.subtract(ids)
      if !changed.isEmpty { await Task.yield() }
    }
  }

  /// Nil for what no list shows.
  private func entry(of id: Identifier) -> Entry? {
    guard let provider = scorer.registry.provider(id: id), provider.status != .retired else { return nil }
    return Entry(provider: provider, standing: scorer.standing(of: provider, under: scoring))
  }

  // MARK: - The lists

  /// Makes the entries anew and puts them where they belong now.
  private func place(_ ids: Set<Identifier>) {
    guard ids.count <= Self.placedCountMax else {
      for id in ids { entries[id] = entry(of: id) }
      for order in lists.keys { lists[order]!.isCurrent = false }
      return
    }
    for id in ids {
      let (old, new) = (entries[id], entry(of: id))
      entries[id] = new
      for order in lists.keys where lists[order]!.isCurrent {
        if let old { lists[order]!.entries.remove(at: position(of: old, in: order)) }
        if let new { lists[order]!.entries.insert(new, at: position(of: new, in: order)) }
      }
    }
  }

  /// Where an entry is, or belongs, in a list that is current.
  private func position(of entry: Entry, in order: ScoreOrder) -> Int {
    let rank = order.rank(entry.provider, entry.standing)
    return lists[order]!.entries.partitioningIndex { order.rank($0.provider, $0.standing) >= rank }
  }

  private func list(in order: ScoreOrder) -> [Entry] {
    if let list = lists[order], list.isCurrent { return list.entries }
    // Sorting what was in order a minute ago costs a fraction of sorting anew.
    var list = lists[order]?.entries.compactMap { entries[$0.provider.id] } ?? []
    if list.count < entries.count {
      let known = Set(list.map(\.provider.id))
      list += entries.values.filter { !known.contains($0.provider.id) }
    }
    list.sort { order.rank($0.provider, $0.standing) < order.rank($1.provider, $1.standing) }
    lists[order] = (list, true)
    return list
  }
}

extension [ScoreIndex.Entry] {
  /// The first index whose entry satisfies a condition that all after it satisfy as well; `count` without one.
  fileprivate func partitioningIndex(where isAtOrBehind: (Element) -> Bool) -> Int {
    var (low, high) = (startIndex, endIndex)
    while low < high {
      let middle = (low + high) / 2
      if isAtOrBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
