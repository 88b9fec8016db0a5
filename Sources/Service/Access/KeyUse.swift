import Logging
import Synchronization

/// When a key was last used, as far as this instance knows.
final class KeyUse: Sendable {
  let id: Identifier
  /// Milliseconds since 1970; 0 for never.
  private let last = Atomic<Int64>(0)
  private let stored = Atomic<Int64>(0)

  init(of id: Identifier) { self.id = id }

  func note(_ now: Instant) { last.store(now.milliseconds, ordering: .relaxed) }

  /// The last use, unless it is stored.
  var news: Instant? {
    let last = last.load(ordering: .relaxed)
    return last > stored.load(ordering: .relaxed) ? Instant(milliseconds: last) : nil
  }

  func wasStored(_ instant: Instant) { stored.store(instant.milliseconds, ordering: .relaxed) }
}

/// Stores when keys were last used: now and then, and all that were since in one statement, so that a request costs no
/// write. What an instance that dies has not stored is lost.
struct KeyUseWriter: Sendable {
  let keys: KeyRing
  let store: KeyStore
  let logger: Logger

  static let everySeconds = 30

  /// Until the task is cancelled, and then once more.
  func run() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(Self.everySeconds))
      // In a task that was not cancelled, or the last time would fail.
      await Task { await write() }.value
    }
  }

  /// What cannot be stored is tried again the next time.
  private func write() async {
    do {
      try await store(keys.uses)
    } catch {
      logger.debug("the last use of keys was not stored", metadata: ["error": "\(error)"])
    }
  }

  func store(_ uses: [KeyUse]) async throws {
    let news = uses.compactMap { use in use.news.map { (use: use, at: $0) } }
    if news.isEmpty { return }
    try await store.setLastUses(news.map { ($0.use.id, $0.at) })
    for (use, instant) in news { use.wasStored(instant) }
  }
}
