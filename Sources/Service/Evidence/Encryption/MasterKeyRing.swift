import Synchronization

/// The master keys that an instance has: one and, while it is being changed, the one to come beside it. Which of them
/// is in force the database says, so that all instances change at the same moment.
public final class MasterKeyRing: Sendable {
  private let keys: Mutex<[MasterKey]>
  private let reading: (@Sendable () async throws -> [MasterKey])?

  /// - Parameters:
  ///   - keys: in the order in which they came; one at least.
  ///   - reading: gives them again from where they are kept, which may have changed since; nil where that cannot be.
  public init(_ keys: [MasterKey], reading: (@Sendable () async throws -> [MasterKey])? = nil) {
    precondition(!keys.isEmpty, "a ring has a key")
    self.keys = Mutex(keys)
    self.reading = reading
  }

  /// The one to come, or the only one.
  var newest: MasterKey { keys.withLock { $0.last! } }

  var ids: [[UInt8]] { keys.withLock { $0.map(\.id) } }

  /// A key that is not known may have come since: those that are kept are read again.
  /// - Returns: nil when it is not here.
  func key(_ id: [UInt8]) async -> MasterKey? {
    if let known = known(id) { return known }
    // What cannot be read leaves those that are known; the caller says that one is missing.
    try? await readAgain()
    return known(id)
  }

  /// Takes over those that are kept now. What was known stays: an instance may still need it.
  func readAgain() async throws {
    guard let reading else { return }
    let kept = try await reading()
    keys.withLock { keys in
      let former = keys.filter { key in !kept.contains { $0.id == key.id } }
      keys = former + kept
    }
  }

  private func known(_ id: [UInt8]) -> MasterKey? { keys.withLock { $0.first { $0.id == id } } }
}
