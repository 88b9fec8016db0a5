import Synchronization

/// The keys in memory, so that authenticating a request waits for nothing.
///
/// A presented key is hashed once; then its whole text is remembered with what it proved to be, until keys change.
final class KeyRing: Sendable {
  enum Verdict {
    case valid(Principal)
    /// Not a key, a wrong secret, or revoked.
    case invalid
    /// No such key is known here; it may be newer than what this instance has read.
    case unknown
  }

  private struct State {
    var keys: [Identifier: APIKey] = [:]
    var verified: [String: Principal] = [:]
    /// Of the keys that have a quota.
    var meters: [Identifier: KeyMeter] = [:]
  }
  /// More distinct keys than a service has callers; beyond it the memory starts anew.
  private static let verifiedCountMax = 10_000

  private let state = Mutex(State())
  private let changes = Atomic<Int>(0)
  private let clock: Clock
  let refusals = QuotaRefusals()

  init(clock: Clock) { self.clock = clock }

  /// Grows with every change of the keys, before it shows and after.
  var generation: Int { changes.load(ordering: .acquiring) }

  /// Takes over the keys as they are stored now.
  func replace(with keys: [APIKey]) {
    changes.add(1, ordering: .acquiringAndReleasing)
    state.withLock { state in
      state.keys = Dictionary(uniqueKeysWithValues: keys.map { ($0.id, $0) })
      state.verified.removeAll()
      state.meters = Dictionary(
        uniqueKeysWithValues: keys.filter { !$0.quota.isUnlimited && !$0.isRevoked }.map { key in
          (key.id, KeyMeter(key.quota, keeping: state.meters[key.id], clock: clock, refusals: refusals))
        })
    }
    changes.add(1, ordering: .acquiringAndReleasing)
  }

  /// Whether the key exists and was not revoked, for what goes on after it was verified.
  func isActive(_ id: Identifier) -> Bool { state.withLock { $0.keys[id].map { !$0.isRevoked } ?? false } }

  /// - Parameter text: what stands after `Bearer `.
  func verify(_ text: String) -> Verdict {
    if let principal = state.withLock({ $0.verified[text] }) { return .valid(principal) }
    guard let presented = PresentedKey(text) else { return .invalid }
    return state.withLock { state in
      guard let key = state.keys[presented.id] else { return .unknown }
      guard constantTimeEqual(presented.secretHash, key.secretHash), !key.isRevoked else { return .invalid }
      let principal = Principal(
        keyID: key.id, keyName: key.name, scopes: Set(key.scopes), sourceID: key.sourceID,
        meter: state.meters[key.id])
      if state.verified.count >= Self.verifiedCountMax { state.verified.removeAll() }
      state.verified[text] = principal
      return .valid(principal)
    }
  }

  /// Takes as long for the first byte that differs as for the last.
  private func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
