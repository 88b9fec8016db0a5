import EventLoop
import Logging
import Synchronization

/// One issuer of tokens, with its keys as they were last read.
///
/// They are read again now and then, so that a key that the issuer withdrew ends here, too; and when a token names one
/// that is not known. While they cannot be read, what was read before goes on.
public final class Issuer: Sendable {
  private struct State {
    var document: [UInt8] = []
    var keys = KeySet.none
    /// Milliseconds since 1970.
    var attemptedAt: Int64?
    /// Why the last attempt failed.
    var fault: KeySetFault?
    var running: Task<Void, Never>?
  }

  private let state = Mutex(State())
  private let changes = Atomic<Int>(0)
  private let verifier: TokenVerifier
  private let location: KeySetLocation
  private let loop: EventLoop
  private let now: @Sendable () -> Int64
  private let logger: Logger

  /// Strangers can name unknown keys as often as they like, and the issuer must not feel it.
  private static let urlReadMillisecondsMin: Int64 = 60_000
  private static let urlReadEverySeconds = 600
  private static let urlTriedEverySeconds = 60
  private static let fileReadEverySeconds = 1

  /// - Parameters:
  ///   - loop: where files and URLs are read, which blocks: nothing else may need it.
  ///   - now: milliseconds since 1970.
  public init(
    _ demands: TokenVerifier.Demands, keysAt location: KeySetLocation, loop: EventLoop,
    now: @escaping @Sendable () -> Int64, logger: Logger
  ) {
    verifier = TokenVerifier(demands)
    self.location = location
    self.loop = loop
    self.now = now
    self.logger = logger
  }

  /// What stands in `iss`.
  public var name: String { verifier.demands.issuer }

  /// Grows with every change of the keys, before it shows and after.
  public var generation: Int { changes.load(ordering: .acquiring) }

  public func verify(_ text: String) -> TokenVerifier.Verdict {
    verifier.verify(text, with: state.withLock { $0.keys }, now: now())
  }

  /// Reads the keys again; from a URL not when that was tried within the last minute.
  /// - Throws: why the last attempt failed.
  public func refresh() async throws(KeySetFault) {
    let moment = now()
    let task = state.withLock { state -> Task<Void, Never>? in
      if let running = state.running { return running }
      if case .url = location, let last = state.attemptedAt, last..<last + Self.urlReadMillisecondsMin ~= moment {
        return nil
      }
      return begin(&state, at: moment)
    }
    await task?.value
    if let fault = state.withLock({ $0.fault }) { throw fault }
  }

  /// Keeps the keys up to date until the task is cancelled.
  public func follow() async {
    while !Task.isCancelled {
      let moment = now()
      await state.withLock { $0.running ?? begin(&$0, at: moment) }.value
      try? await Task.sleep(for: .seconds(restSeconds))
    }
  }

  private var restSeconds: Int {
    if case .file = location { return Self.fileReadEverySeconds }
    return state.withLock { $0.fault == nil } ? Self.urlReadEverySeconds : Self.urlTriedEverySeconds
  }

  private func begin(_ state: inout State, at moment: Int64) -> Task<Void, Never> {
    state.attemptedAt = moment
    let task = Task(executorPreference: loop) { await self.read() }
    state.running = task
    return task
  }

  private func read() async {
    do throws(KeySetFault) {
      let document = try location.read { Task.isCancelled }
      let isSame = state.withLock { $0.document == document }
      let keys = isSame ? nil : try await KeySet(document)
      if let keys { take(keys, document) }
      let wasLost = finish(nil) != nil
      if wasLost || keys != nil { logger.info("the issuer's keys were read", metadata: ["from": "\(location)"]) }
    } catch {
      // Told once for as long as it is the same.
      guard finish(error) != error else { return }
      logger.warning(
        "the issuer's keys cannot be read: those from before stay",
        metadata: ["from": "\(location)", "reason": "\(error)"])
    }
  }

  private func take(_ keys: KeySet, _ document: [UInt8]) {
    changes.add(1, ordering: .acquiringAndReleasing)
    state.withLock { ($0.keys, $0.document) = (keys, document) }
    changes.add(1, ordering: .acquiringAndReleasing)
  }

  /// - Returns: why the attempt before failed.
  private func finish(_ fault: KeySetFault?) -> KeySetFault? {
    state.withLock { state in
      defer { (state.fault, state.running) = (fault, nil) }
      return state.fault
    }
  }
}
