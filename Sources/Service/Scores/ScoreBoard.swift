import RiskModel
import Synchronization

/// The evidence of every provider in memory, folded, so that a score is computed without the database.
final class ScoreBoard: Sendable {
  /// A decision that a check does not count for a while.
  struct Waiver: Sendable {
    let id: Identifier
    let check: String
    let recordedAt: Instant
    let expiresAt: Instant
    fileprivate(set) var revokedAt: Instant?

    init(id: Identifier, check: String, recordedAt: Instant, expiresAt: Instant, revokedAt: Instant?) {
      self.id = id
      self.check = check
      self.recordedAt = recordedAt
      self.expiresAt = expiresAt
      self.revokedAt = revokedAt
    }

    func isInForce(at instant: Instant) -> Bool {
      recordedAt <= instant && instant < expiresAt && (revokedAt.map { instant < $0 } ?? true)
    }

    /// As it was known then, nil when it was not; all is known when no instant is given.
    func known(at instant: Instant?) -> Waiver? {
      guard let instant else { return self }
      guard recordedAt <= instant else { return nil }
      var waiver = self
      waiver.revokedAt = revokedAt.flatMap { $0 <= instant ? $0 : nil }
      return waiver
    }
  }

  /// A concern that an admin declared broken.
  struct Incident: Sendable {
    let id: Identifier
    let concern: String
    let recordedAt: Instant
    fileprivate(set) var closedAt: Instant?

    init(id: Identifier, concern: String, recordedAt: Instant, closedAt: Instant?) {
      self.id = id
      self.concern = concern
      self.recordedAt = recordedAt
      self.closedAt = closedAt
    }

    func isOpen(at instant: Instant) -> Bool {
      recordedAt <= instant && (closedAt.map { instant < $0 } ?? true)
    }

    /// As it was known then, nil when it was not; all is known when no instant is given.
    func known(at instant: Instant?) -> Incident? {
      guard let instant else { return self }
      guard recordedAt <= instant else { return nil }
      var incident = self
      incident.closedAt = closedAt.flatMap { $0 <= instant ? $0 : nil }
      return incident
    }
  }

  /// All that a provider's score depends on, but for the sources' trust.
  struct Evidence: Sendable {
    /// By methodology.
    fileprivate(set) var cells: [String: [CellKey: StoredCell]] = [:]
    fileprivate(set) var waivers: [Identifier: Waiver] = [:]
    fileprivate(set) var incidents: [Identifier: Incident] = [:]
    /// Grows with every change of the above.
    fileprivate(set) var generation = 0

    /// When the last decision about the provider was taken or taken back.
    var lastDecidedAt: Instant? {
      let waived = waivers.values.map { $0.revokedAt ?? $0.recordedAt }.max()
      return [waived, incidents.values.map { $0.closedAt ?? $0.recordedAt }.max()].compactMap(\.self).max()
    }
  }

  private struct State {
    var evidence: [Identifier: Evidence] = [:]
    var documents: [DocumentKey: ScoreDocument] = [:]
    var asOf: Instant?
  }
  struct DocumentKey: Hashable {
    let provider: Identifier
    let methodology: String
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
    state.withLock { state in
      (state.evidence.count, state.evidence.values.reduce(0) { $0 + $1.cells.values.reduce(0) { $0 + $1.count } })
    }
  }

  // MARK: - Taking over what is stored

  /// Takes over cells as they are stored. Older revisions than those here change nothing: news may come in any order.
  func apply(_ cells: [StoredCell]) {
    state.withLock { state in
      for cell in cells {
        let known = state.evidence[cell.provider]?.cells[cell.methodology]?[cell.key]
        if let known, known.revision >= cell.revision { continue }
        state.evidence[cell.provider, default: Evidence()].cells[cell.methodology, default: [:]][cell.key] = cell
        state.evidence[cell.provider]!.generation += 1
      }
    }
  }

  /// Forgets the cells and the documents of every other methodology.
  func forget(but methodologies: Set<String>) {
    state.withLock { state in
      for provider in state.evidence.keys {
        for methodology in state.evidence[provider]!.cells.keys where !methodologies.contains(methodology) {
          state.evidence[provider]!.cells[methodology] = nil
        }
      }
      for key in state.documents.keys where !methodologies.contains(key.methodology) { state.documents[key] = nil }
    }
  }

  /// Takes over decisions about one provider. They are merged and not replaced, so news may come in any order: a
  /// decision is never deleted, and what ended stays ended.
  func apply(waivers: [Waiver] = [], incidents: [Incident] = [], of provider: Identifier) {
    state.withLock { state in
      var evidence = state.evidence[provider] ?? Evidence()
      for waiver in waivers where evidence.waivers[waiver.id]?.revokedAt == nil { evidence.waivers[waiver.id] = waiver }
      for incident in incidents where evidence.incidents[incident.id]?.closedAt == nil {
        evidence.incidents[incident.id] = incident
      }
      evidence.generation += 1
      state.evidence[provider] = evidence
    }
  }

  func confirm(asOf instant: Instant) {
    state.withLock { $0.asOf = max($0.asOf ?? instant, instant) }
  }
}
