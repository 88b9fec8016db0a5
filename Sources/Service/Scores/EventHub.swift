import HTTPServer
import JSON
import Postgres
import Synchronization

/// The events that this instance knows of, for its streams. A stream holds a position and nothing else: it takes what
/// is behind that when its connection takes more, from here or, when it is too far behind, from the database.
final class EventHub: Sendable {
  private struct State {
    /// All events after `floor`, as they are sent.
    var recent: [(version: Int, frame: [UInt8])] = []
    var floor = 0
    /// Every event up to this version is known.
    var head = 0
    var waiting: [Int: CheckedContinuation<Wake, Never>] = [:]
    var tickets = 0
    var streamsCount = 0
  }
  private let state = Mutex(State())
  private let store: PublicationStore
  private let registry: Registry
  private let keys: KeyRing
  private let clock: Clock
  private let streamsCountMax: Int

  enum Wake {
    /// There may be events, or the wait was cancelled.
    case news
    case heartbeat
  }

  /// Often enough that neither proxies nor clients take a quiet stream for a dead one.
  static let heartbeatSeconds = 15
  /// For how long events are sent again to who asks for those behind one.
  static let replayMilliseconds: Int64 = 7 * 86_400_000
  /// About a kilobyte each.
  private static let recentCountMax = 1_000
  /// In one piece of a stream.
  private static let pieceCountMax = 64

  init(
    store: PublicationStore, registry: Registry, keys: KeyRing, clock: Clock, streamsCountMax: Int = 1_000
  ) {
    self.store = store
    self.registry = registry
    self.keys = keys
    self.clock = clock
    self.streamsCountMax = streamsCountMax
  }

  /// Streams that are open now.
  var streamsCount: Int { state.withLock { $0.streamsCount } }

  // MARK: - News

  /// Takes over all events of these versions but the lower bound.
  func append(_ events: [ScoreEvent], of versions: Range<Int>) {
    let frames = events.compactMap { event in frame(event).map { (event.version, $0) } }
    let woken = state.withLock { state in
      if state.head < versions.lowerBound { (state.recent, state.floor) = ([], versions.lowerBound) }
      state.head = max(state.head, versions.upperBound)
      state.recent += frames
      let excess = state.recent.count - Self.recentCountMax
      if excess > 0 {
        state.floor = state.recent[excess - 1].version
        state.recent.removeFirst(excess)
      }
      return frames.isEmpty ? [] : Self.takeWaiting(&state)
    }
    for continuation in woken { continuation.resume(returning: .news) }
  }

  /// Lets every quiet stream show that it is alive.
  func beat() {
    for continuation in state.withLock({ Self.takeWaiting(&$0) }) { continuation.resume(returning: .heartbeat) }
  }

  private static func takeWaiting(_ state: inout State) -> [CheckedContinuation<Wake, Never>] {
    defer { state.waiting = [:] }
    return Array(state.waiting.values)
  }

  /// Until there is an event behind `version`, a heartbeat, or the task is cancelled.
  private func wait(behind version: Int) async -> Wake {
    let ticket = state.withLock { state in
      state.tickets += 1
      return state.tickets
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          if Task.isCancelled || state.recent.last?.version ?? 0 > version { return false }
          state.waiting[ticket] = continuation
          return true
        }
        if !mustWait { continuation.resume(returning: .news) }
      }
    } onCancel: {
      state.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume(returning: .news)
    }
  }

  // MARK: - Streams

  /// - Parameters:
  ///   - lastEventID: what the client had last; nil for what comes from now on.
  ///   - caller: the stream ends when its key is revoked or expires.
  /// - Throws: the problem that says that there are too many; `PostgresError` when it cannot be told what was missed.
  func stream(behind lastEventID: String?, for caller: Principal) async throws -> BodyStream {
    let subscription = try Subscription(self, caller)
    let head = state.withLock { $0.head }
    var (position, isKnown) = (head, true)
    if let lastEventID, !lastEventID.isEmpty {
      let version = Int(lastEventID)
      isKnown = try await isReplayable(version)
      if isKnown, let version { position = version }
    }
    var greeting = "retry: 2000\nid: \(position)\n"
    if !isKnown { greeting += "event: reset\ndata: {\"version\":\(position)}\n" }
    subscription.begin(at: position, Array((greeting + "\n").utf8))
    return BodyStream(isEndless: true) { try await subscription.next() }
  }

  /// Whether every event behind the version can still be sent.
  private func isReplayable(_ version: Int?) async throws -> Bool {
    guard let version, version >= 0 else { return false }
    // Another instance may have given it out before it was known here.
    if version > state.withLock({ $0.head }) {
      let head = try await store.head()
      if version > head { return false }
    }
    return try await store.lastEventVersion(before: clock.now() + -Self.replayMilliseconds) <= version
  }

  private func enter() throws(Problem) {
    let isLetIn = state.withLock { state in
      guard state.streamsCount < streamsCountMax else { return false }
      state.streamsCount += 1
      return true
    }
    guard isLetIn else {
      throw Problem(
        .tooManyStreams, "\(streamsCountMax) streams are open on this instance.", headers: [("Retry-After", "30")])
    }
  }

  private func leave() { state.withLock { $0.streamsCount -= 1 } }

  /// What comes next behind a version: some frames and the version of the last.
  private func frames(behind version: Int) async throws -> (bytes: [UInt8], version: Int)? {
    let recent: ArraySlice<(version: Int, frame: [UInt8])>? = state.withLock { state in
      guard version >= state.floor else { return nil }
      let start = state.recent.lastIndex { $0.version <= version }.map { $0 + 1 } ?? 0
      return state.recent[start...].prefix(Self.pieceCountMax)
    }
    if let recent {
      guard let last = recent.last else { return nil }
      return (recent.flatMap(\.frame), last.version)
    }
    let stored = try await store.events(after: version, count: Self.pieceCountMax)
    guard let last = stored.last else { return nil }
    return (stored.compactMap(frame).flatMap(\.self), last.version)
  }

  private func frame(_ event: ScoreEvent) -> [UInt8]? {
    guard let provider = registry.provider(id: event.provider) else { return nil }
    var json = JSONWriter(reservingBytes: 640)
    event.write(of: provider, to: &json)
    return Array("id: \(event.version)\nevent: score.changed\ndata: ".utf8) + json.bytes + [0x0A, 0x0A]
  }

  /// One client's place. It counts as open for as long as it exists.
  private final class Subscription: Sendable {
    private let hub: EventHub
    private let caller: Principal
    private let place = Mutex((position: 0, greeting: [UInt8]?.none))

    init(_ hub: EventHub, _ caller: Principal) throws(Problem) {
      try hub.enter()
      self.hub = hub
      self.caller = caller
    }

    deinit { hub.leave() }

    func begin(at position: Int, _ greeting: [UInt8]) { place.withLock { $0 = (position, greeting) } }

    func next() async throws -> [UInt8]? {
      let (position, greeting) = place.withLock { place in
        defer { place.greeting = nil }
        return place
      }
      if let greeting { return greeting }
      while hub.keys.isActive(caller) {
        if let (bytes, version) = try await hub.frames(behind: position) {
          place.withLock { $0.position = version }
          return bytes
        }
        let wake = await hub.wait(behind: position)
        try Task.checkCancellation()
        if wake == .heartbeat, hub.keys.isActive(caller) { return Array(": heartbeat\n\n".utf8) }
      }
      return nil
    }
  }
}
