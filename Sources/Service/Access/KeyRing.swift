import Synchronization

/// The keys in memory, so that authenticating a request waits for nothing.
///
/// A presented key is hashed once; then its whole text is remembered with what it proved to be, until keys change.
final class KeyRing: Sendable {
  private struct State {
    var keys: [Identifier: APIKey] = [:]
    var verified: [String: Principal] = [:]
    var uses: [Identifier: KeyUse] = [:]
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
        uniqueKeysWithValues: keys.filter { !$0.limits.quota.isUnlimited && !$0.isRevoked }.map { key in
          (key.id, KeyMeter(key.limits.quota, keeping: state.meters[key.id], clock: clock, refusals: refusals))
        })
      state.uses = Dictionary(uniqueKeysWithValues: keys.map { ($0.id, state.uses[$0.id] ?? KeyUse(of: $0.id)) })
    }
    changes.add(1, ordering: .acquiringAndReleasing)
  }

  /// Whether the caller still may, for what goes on after it was verified.
  func isActive(_ principal: Principal) -> Bool {
    if principal.isExpired(at: clock.now()) { return false }
    return principal.subject != nil || state.withLock { $0.keys[principal.keyID].map { !$0.isRevoked } ?? false }
  }

  /// When each key was last used here.
  var uses: [KeyUse] { state.withLock { Array($0.uses.values) } }

  func noteUse(by principal: Principal) { principal.use?.note(clock.now()) }

  /// - Parameter text: what stands after `Bearer `.
  func verify(_ text: String) -> Principal.Verdict {
    if let principal = state.withLock({ $0.verified[text] }) { return unlessExpired(principal) }
    let presented: PresentedKey
    do throws(PresentedKey.Fault) {
      presented = try PresentedKey(text)
    } catch {
      return .invalid(error == .mistyped ? "The key has a typing error: its checksum is wrong." : Self.invalid)
    }
    let verdict = state.withLock { state -> Principal.Verdict in
      guard let key = state.keys[presented.id], let use = state.uses[key.id] else { return .unknown }
      guard constantTimeEqual(presented.secretHash, key.secretHash), !key.isRevoked else {
        return .invalid(Self.invalid)
      }
      let principal = Principal(key, use: use, meter: state.meters[key.id])
      if state.verified.count >= Self.verifiedCountMax { state.verified.removeAll() }
      state.verified[text] = principal
      return .valid(principal)
    }
    if case .valid(let principal) = verdict { return unlessExpired(principal) }
    return verdict
  }

  static let invalid = "The key is not valid."

  private func unlessExpired(_ principal: Principal) -> Principal.Verdict {
    guard let end = principal.expiresAt, principal.isExpired(at: clock.now()) else { return .valid(principal) }
    return .invalid("The key expired at \(end.rfc3339).")
  }

  /// Whether it is past the instant.
  func isPast(_ instant: Instant) -> Bool { clock.now() >= instant }

  /// Takes as long for the first byte that differs as for the last.
  private func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
