import JSON
import RiskModel
import Synchronization

/// A methodology as it is stored.
struct StoredMethodology: Sendable {
  enum Status: String, Sendable, CaseIterable { case draft, shadow, active, retired }

  let scoring: ScoringMethodology
  var status: Status
  /// With which set of methodologies results began to be folded under it; nil while they are not.
  var foldingVersion: Int?
  /// Whether its cells hold every stored result.
  var isComplete: Bool
  let recordedAt: Instant
  let recordedBy: String
  /// When it got its status, and from whom.
  var changedAt: Instant
  var changedBy: String
  /// Results received before had been dropped when it was added, and do not count under it; nil: all do.
  var evidenceFrom: Instant?

  var id: String { scoring.id }
  var isFolded: Bool { foldingVersion != nil }

  /// With its document, or without it as lists show it.
  func write(to json: inout JSONWriter, withDocument: Bool = true) {
    json.object { json in
      json.member("id", id)
      json.member("hash", scoring.hash)
      json.member("status", status.rawValue)
      json.member("complete", isComplete)
      json.member("recorded_at", recordedAt.rfc3339)
      json.member("recorded_by", recordedBy)
      json.member("changed_at", changedAt.rfc3339)
      json.member("changed_by", changedBy)
      json.member("evidence_from", evidenceFrom?.rfc3339)
      if withDocument { json.member("document", json: scoring.document) }
    }
  }
}

/// What results are folded under, and the version of the set of methodologies that says so.
struct FoldingSet: Sendable {
  let version: Int
  /// By the bytes of their ids: the order in which cells are locked.
  let methodologies: [ScoringMethodology]
}

/// All methodologies at one version of their set.
struct MethodologySet: Sendable {
  let version: Int
  /// By id.
  let all: [StoredMethodology]
  let active: ScoringMethodology

  /// - Precondition: one of them is active.
  init(version: Int, all: [StoredMethodology]) {
    self.version = version
    self.all = all
    active = all.first { $0.status == .active }!.scoring
  }

  subscript(id: String) -> StoredMethodology? { all.first { $0.id == id } }

  var folding: FoldingSet { FoldingSet(version: version, methodologies: all.filter(\.isFolded).map(\.scoring)) }
}

/// The methodologies in memory. What scores are given under changes as a whole: a reader takes `current` once and
/// never sees half a change.
final class MethodologyRegister: Sendable {
  private struct State {
    var current: MethodologySet
    var folding: FoldingSet
  }
  private let state: Mutex<State>
  private let currentVersion: Atomic<Int>

  /// Until something is loaded, the shipped one is all there is.
  init(shipped: ScoringMethodology) {
    let epoch = Instant(milliseconds: 0)
    let only = StoredMethodology(
      scoring: shipped, status: .active, foldingVersion: 0, isComplete: true, recordedAt: epoch, recordedBy: "",
      changedAt: epoch, changedBy: "")
    let set = MethodologySet(version: 0, all: [only])
    state = Mutex(State(current: set, folding: set.folding))
    currentVersion = Atomic(set.version)
  }

  /// What is served.
  var current: MethodologySet { state.withLock { $0.current } }

  /// The version of what is served, read without the lock.
  var version: Int { currentVersion.load(ordering: .acquiring) }

  var active: ScoringMethodology { current.active }

  /// What results are folded under; may be ahead of what is served, whose cells are read first.
  var folding: FoldingSet { state.withLock { $0.folding } }

  func replace(with set: MethodologySet) {
    state.withLock { state in
      if set.version >= state.current.version {
        state.current = set
        currentVersion.store(set.version, ordering: .releasing)
      }
      if set.version >= state.folding.version { state.folding = set.folding }
    }
  }

  func fold(under set: FoldingSet) {
    state.withLock { if set.version >= $0.folding.version { $0.folding = set } }
  }
}
