import RiskModel
import Synchronization

/// The evidence of every provider in memory, folded, so that a score is computed without the database.
final class ScoreBoard: Sendable {
  /// All that a provider's score depends on, but for the provider itself and the sources' trust.
  struct Evidence: Sendable {
    /// By methodology.
    fileprivate(set) var cells: [String: CellTable] = [:]
    fileprivate(set) var waivers: [Identifier: Waiver] = [:]
    fileprivate(set) var incidents: [Identifier: Incident] = [:]
    fileprivate(set) var disputes: [Identifier: Dispute] = [:]
    /// Grows with every change of the above.
    fileprivate(set) var generation = 0

    var decisions: Decisions {
      Decisions(
        waivers: Array(waivers.values), incidents: Array(incidents.values), disputes: Array(disputes.values))
    }

    /// Whether nothing was ever seen or decided.
    var isEmpty: Bool { cells.values.allSatisfy { $0.count == 0 } && waivers.isEmpty && incidents.isEmpty }
  }

  /// How often a provider's evidence has changed: what `Evidence.generation` was last, read without the lock.
  final class ChangeCount: Sendable {
    private let count: Atomic<Int>
    fileprivate init(_ count: Int) { self.count = Atomic(count) }

    var value: Int { count.load(ordering: .acquiring) }
    fileprivate func set(_ count: Int) { self.count.store(count, ordering: .releasing) }
  }

  private struct State {
    var evidence: [Identifier: Evidence] = [:]
    /// Of the providers that were asked for.
    var changeCounts: [Identifier: ChangeCount] = [:]
    /// Written once for all providers: there are few checks and sources, and many cells.
    var names = CellTable.Names()
    var cellCount = 0
    var changed: Set<Identifier> = []
    var asOf: Instant?

    mutating func apply(_ cells: ArraySlice<StoredCell>, of provider: Identifier, under methodology: String) {
      let (added, hasChanged) =
        evidence[provider, default: Evidence()].cells[methodology, default: CellTable()].apply(cells, &names)
      cellCount += added
      if hasChanged { noteChange(of: provider) }
    }

    mutating func noteChange(of provider: Identifier) {
      evidence[provider]!.generation += 1
      changeCounts[provider]?.set(evidence[provider]!.generation)
      changed.insert(provider)
    }
  }
  private let state = Mutex(State())

  // MARK: - Reading

  /// A provider's evidence, and what the numbers in its cells mean.
  func evidence(of provider: Identifier) -> (evidence: Evidence, names: CellTable.Names) {
    state.withLock { ($0.evidence[provider] ?? Evidence(), $0.names) }
  }

  /// `Evidence.generation` without a copy of the rest.
  func generation(of provider: Identifier) -> Int { state.withLock { $0.evidence[provider]?.generation ?? 0 } }

  func changeCount(of provider: Identifier) -> ChangeCount {
    state.withLock { state in
      if let count = state.changeCounts[provider] { return count }
      let count = ChangeCount(state.evidence[provider]?.generation ?? 0)
      state.changeCounts[provider] = count
      return count
    }
  }

  /// Up to when results are counted: the last time the database was read or written. Nil before the first time.
  var asOf: Instant? { state.withLock { $0.asOf } }

  var counts: (providers: Int, cells: Int) { state.withLock { ($0.evidence.count, $0.cellCount) } }

  /// The providers whose evidence changed since this was last asked.
  func takeChanged() -> Set<Identifier> {
    state.withLock { state in
      defer { state.changed = [] }
      return state.changed
    }
  }

  // MARK: - Taking over what is stored

  /// Takes over cells as they are stored. Older revisions than those here change nothing: news may come in any order.
  func apply(_ cells: [StoredCell]) {
    state.withLock { state in
      var rest = cells[...]
      // Mostly those of one provider and methodology come one after the other.
      while let first = rest.first {
        let run = rest.prefix { $0.provider == first.provider && $0.methodology == first.methodology }
        rest = rest[run.endIndex...]
        state.apply(run, of: first.provider, under: first.methodology)
      }
    }
  }

  /// Forgets the cells of every other methodology.
  func forget(but methodologies: Set<String>) {
    state.withLock { state in
      for provider in state.evidence.keys {
        for methodology in state.evidence[provider]!.cells.keys where !methodologies.contains(methodology) {
          state.cellCount -= state.evidence[provider]!.cells.removeValue(forKey: methodology)!.count
        }
      }
    }
  }

  /// Takes over decisions about one provider. They are merged and not replaced, so news may come in any order: a
  /// decision is never deleted, and what ended stays ended.
  func apply(
    waivers: [Waiver] = [], incidents: [Incident] = [], disputes: [Dispute] = [], of provider: Identifier
  ) {
    if waivers.isEmpty, incidents.isEmpty, disputes.isEmpty { return }
    state.withLock { state in
      var evidence = state.evidence[provider] ?? Evidence()
      for waiver in waivers where evidence.waivers[waiver.id]?.revokedAt == nil { evidence.waivers[waiver.id] = waiver }
      for incident in incidents where evidence.incidents[incident.id]?.closedAt == nil {
        evidence.incidents[incident.id] = incident
      }
      for var dispute in disputes {
        let known = evidence.disputes[dispute.id]
        dispute.decidedAt = dispute.decidedAt ?? known?.decidedAt
        dispute.voidedAt = dispute.voidedAt ?? known?.voidedAt
        evidence.disputes[dispute.id] = dispute
      }
      state.evidence[provider] = evidence
      state.noteChange(of: provider)
    }
  }

  func confirm(asOf instant: Instant) {
    state.withLock { $0.asOf = max($0.asOf ?? instant, instant) }
  }
}
