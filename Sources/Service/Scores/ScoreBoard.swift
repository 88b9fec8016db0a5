import RiskModel
import Synchronization

/// The evidence of every provider in memory, folded, so that a score is computed without the database.
final class ScoreBoard: Sendable {
  /// A decision that a check does not count for a while.
  struct Waiver: Sendable {
    let check: String
    let recordedAt: Instant
    let expiresAt: Instant
    let revokedAt: Instant?

    func isInForce(at instant: Instant) -> Bool {
      recordedAt <= instant && instant < expiresAt && (revokedAt.map { instant < $0 } ?? true)
    }
  }

  /// A concern that an admin declared broken.
  struct Incident: Sendable {
    let concern: String
    let recordedAt: Instant
    let closedAt: Instant?

    func isOpen(at instant: Instant) -> Bool {
      recordedAt <= instant && (closedAt.map { instant < $0 } ?? true)
    }
  }

  /// All that a provider's score depends on, but for the sources' trust.
  struct Evidence: Sendable {
    fileprivate(set) var cells: [CellKey: StoredCell] = [:]
    fileprivate(set) var waivers: [Waiver] = []
    fileprivate(set) var incidents: [Incident] = []
    /// Grows with every change of the above.
    fileprivate(set) var generation = 0
  }

  private struct State {
    var evidence: [Identifier: Evidence] = [:]
    var documents: [DocumentKey: ScoreDocument] = [:]
    var asOf: Instant?
  }
  struct DocumentKey: Hashable {
    let provider: Identifier
    let isFull: Bool
  }
  private let state = Mutex(State())

  // MARK: - Reading

  func evidence(of provider: Identifier) -> Evidence { state.withLock { $0.evidence[provider] } ?? Evidence() }

  /// `Evidence.generation` without a copy of the rest.
  func generation(of provider: Identifier) -> Int { state.withLock { $0.evidence[provider]?.generation } ?? 0 }

  /// Up to when results are counted: the last time the database was read or written. Nil before the first time.
  var asOf: Instant? { state.withLock { $0.asOf } }

  func document(_ key: DocumentKey) -> ScoreDocument? { state.withLock { $0.documents[key] } }

  func remember(_ document: ScoreDocument, as key: DocumentKey) { state.withLock { $0.documents[key] = document } }

  var counts: (providers: Int, cells: Int) {
    state.withLock { state in (state.evidence.count, state.evidence.values.reduce(0) { $0 + $1.cells.count }) }
  }

  // MARK: - Taking over what is stored

  /// Takes over cells as they are stored. Older revisions than those here change nothing: news may come in any order.
  func apply(_ cells: [StoredCell]) {
    state.withLock { state in
      for cell in cells {
        let known = state.evidence[cell.provider]?.cells[cell.key]
        if let known, known.revision >= cell.revision { continue }
        state.evidence[cell.provider, default: Evidence()].cells[cell.key] = cell
        state.evidence[cell.provider]!.generation += 1
      }
    }
  }

  /// Takes over all decisions about one provider.
  func apply(waivers: [Waiver], incidents: [Incident], of provider: Identifier) {
    state.withLock { state in
      state.evidence[provider, default: Evidence()].waivers = waivers
      state.evidence[provider]!.incidents = incidents
      state.evidence[provider]!.generation += 1
    }
  }

  func confirm(asOf instant: Instant) {
    state.withLock { $0.asOf = max($0.asOf ?? instant, instant) }
  }
}
