import EventLoop
import Logging

/// The connections of a database: pipelined lanes with their queue here, leased ones in `ConnectionPool+Leases.swift`.
/// All of it runs on the one loop.
actor ConnectionPool {
  /// A place for a pipelined connection; empty while it is being opened or waits to be.
  struct Lane {
    var session: Session?
    var isConnecting = false
  }

  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  nonisolated let configuration: DatabaseConfiguration
  nonisolated let logger: Logger
  nonisolated let gauges = PoolGauges()
  nonisolated let clientTimeout: Duration?

  /// So many statements are sent ahead on one lane. More would not be faster, and these are lost with the lane.
  static let inFlightMax = 64
  /// How long an unsent statement waits for the first connection or a reconnect: as long as an attempt may take. Where
  /// the attempt has failed, nobody waits.
  static let unsentWait: Duration = .seconds(5)
  /// A lane that lived for less is not replaced at once, lest a server that drops everybody is hammered.
  static let livedShortly: Duration = .seconds(1)
  static let drainTimeout: Duration = .seconds(5)

  private var lanes: [Lane]
  /// Never sent, so it outlives the lanes.
  private var queue = Fifo<PendingStatement>()
  private var breaker = Breaker()
  private var retryTimer: Timer?
  private var tick: Timer?
  var isClosing = false
  private var closeWaiters: [CheckedContinuation<Void, Never>] = []

  var leases = LeaseBook()
  private var listeners: [ObjectIdentifier: Session] = [:]

  init(_ configuration: DatabaseConfiguration, loop: EventLoop, logger: Logger) {
    self.configuration = configuration
    self.loop = loop
    self.logger = logger
    clientTimeout = DatabaseConfiguration.clientTimeout(
      statementTimeoutMilliseconds: configuration.statementTimeoutMilliseconds)
    lanes = Array(repeating: Lane(), count: configuration.pipelinedConnections)
  }

  private var lanesUp: Int { lanes.count { $0.session != nil } }
  /// Found to be down: the last attempt failed and no lane is left.
  var isDown: Bool { breaker.consecutiveFailures > 0 && lanesUp == 0 }

  // MARK: - Statements

  /// Takes a statement or refuses it at once: when the server is known to be down, or too many wait already.
  func submit(_ statement: PendingStatement) {
    guard !isClosing, !isDown else { return statement.fail(.unavailable) }
    guard queue.count + inFlightCount < configuration.queueStatementsMax else {
      gauges.refused.add(1, ordering: .relaxed)
      return statement.fail(.poolExhausted)
    }
    queue.append(statement)
    dispatch()
    startTick()
  }

  private var inFlightCount: Int {
    lanes.reduce(0) { sum, lane in sum + (lane.session?.assumeIsolated { $0.inFlightCount } ?? 0) }
  }

  /// Sends what is queued to whichever lane has the least to do.
  private func dispatch() {
    while !queue.isEmpty, let session = freestLane(), let statement = queue.popFirst() {
      session.assumeIsolated { $0.submit(statement) }
    }
    publish()
  }

  private func freestLane() -> Session? {
    var best: (session: Session, count: Int)?
    for lane in lanes {
      guard let session = lane.session else { continue }
      let (isOpen, count) = session.assumeIsolated { ($0.isOpen, $0.inFlightCount) }
      if isOpen, count < Self.inFlightMax, count < best?.count ?? .max { best = (session, count) }
    }
    return best?.session
  }

  private func failQueue(_ error: PostgresError) {
    while let statement = queue.popFirst() { statement.fail(error) }
  }

  // MARK: - Connecting

  /// Opens what is missing. While the server is down one attempt at a time suffices to find it again.
  func connectLanes() {
    guard !isClosing else { return }
    for index in lanes.indices where lanes[index].session == nil && !lanes[index].isConnecting {
      // Connecting costs the server a process each time.
      if breaker.consecutiveFailures > 0 && lanes.contains(where: \.isConnecting) { return }
      lanes[index].isConnecting = true
      connect { $0.laneOpened(index, $1) }
    }
  }

  /// Connects on a thread of its own and comes back to the loop with the outcome.
  func connect(
    _ then: @escaping @Sendable (isolated ConnectionPool, Result<OpenedConnection, ConnectFailure>) -> Void
  ) {
    let (configuration, logger, loop) = (configuration, logger, loop)
    BlockingThread.start {
      let outcome = Connector.connect(configuration, logger: logger)
      loop.execute { self.assumeIsolated { then($0, outcome) } }
    }
  }

  private func laneOpened(_ index: Int, _ outcome: Result<OpenedConnection, ConnectFailure>) {
    lanes[index].isConnecting = false
    switch outcome {
    case .success(let opened):
      guard !isClosing else { return opened.close() }
      if isDown { logger.notice("PostgreSQL is back") }
      breaker.succeeded()
      let session = Session(opened, role: .lane, loop: loop, clientTimeout: clientTimeout) { session, event in
        self.assumeIsolated { $0.laneChanged(index, session, event) }
      }
      lanes[index].session = session
      session.assumeIsolated { $0.start() }
      connectLanes()
      dispatch()
    case .failure(let failure): connectFailed(failure)
    }
    publish()
  }

  private func connectFailed(_ failure: ConnectFailure) {
    let delay = breaker.failed(random: .random(in: 0..<1))
    // Once an outage, not once an attempt.
    if breaker.consecutiveFailures == 1 {
      logger.warning("PostgreSQL cannot be reached", metadata: ["reason": "\(failure.reason)"])
    }
    // Whoever waited for a connection need not wait for the next attempt: from now on the answer is known.
    if isDown {
      failQueue(.unavailable)
      failLeaseWaiters(.unavailable)
    }
    connectLanes(after: delay)
  }

  private func connectLanes(after delay: Duration) {
    guard retryTimer == nil, !isClosing else { return }
    retryTimer = loop.schedule(after: delay) {
      self.retryTimer = nil
      self.connectLanes()
    }
  }

  private func laneChanged(_ index: Int, _ session: Session, _ event: Session.Event) {
    switch event {
    case .progressed: dispatch()
    case .lost:
      guard lanes[index].session === session else { break }
      lanes[index].session = nil
      guard !isClosing else { break }
      logger.info("a connection to PostgreSQL was lost")
      let isShortLived = .now - session.openedAt < Self.livedShortly
      isShortLived ? connectLanes(after: .milliseconds(250)) : connectLanes()
    }
    publish()
    finishClosing()
  }

  // MARK: - Deadlines

  /// One timer for all deadlines, only while something waits: a timer a statement would cost more than the statement.
  func startTick() {
    guard tick == nil else { return }
    let quarter = configuration.statementTimeoutMilliseconds / 4
    let interval = configuration.statementTimeoutMilliseconds > 0 ? min(250, max(20, quarter)) : 250
    tick = loop.schedule(after: .milliseconds(interval)) {
      self.tick = nil
      self.expire(.now)
    }
  }

  private func expire(_ now: ContinuousClock.Instant) {
    for lane in lanes { lane.session?.assumeIsolated { $0.expire(now) } }
    let wait = lanesUp == 0 ? Self.unsentWait : nil
    let overdue = queue.removeAll { statement in
      statement.isDue(now) || wait.map { now - statement.submittedAt > $0 } ?? false
    }
    // Never sent, so safe to repeat: no connection, or lanes too slow for all that wait.
    if wait == nil { gauges.refused.add(overdue.count, ordering: .relaxed) }
    for statement in overdue { statement.fail(wait == nil ? .poolExhausted : .unavailable) }
    expireLeases(now)
    if !queue.isEmpty || inFlightCount > 0 || leases.isBusy { startTick() }
    publish()
  }

  // MARK: - Listeners and end

  /// Ties a listening connection to the life of the pool. False when the pool closes.
  func addListener(_ session: Session) -> Bool {
    guard !isClosing else { return false }
    listeners[ObjectIdentifier(session)] = session
    return true
  }

  func removeListener(_ session: Session) { listeners[ObjectIdentifier(session)] = nil }

  /// Lets what was sent finish, for a bounded time, and closes everything.
  func close() async {
    guard !isClosing else { return }
    isClosing = true
    gauges.isClosed.store(true, ordering: .relaxed)
    retryTimer?.cancel()
    failQueue(.unavailable)
    failLeaseWaiters(.unavailable)
    closeListeners()
    await withCheckedContinuation { continuation in
      closeWaiters.append(continuation)
      loop.schedule(after: Self.drainTimeout) { self.closeAll() }
      finishClosing()
    }
  }

  private func closeListeners() {
    for session in listeners.values { session.assumeIsolated { $0.close() } }
  }

  func finishClosing() {
    if isClosing && inFlightCount == 0 && leases.inUse.isEmpty { closeAll() }
  }

  private func closeAll() {
    guard !closeWaiters.isEmpty else { return }
    for lane in lanes { lane.session?.assumeIsolated { $0.close() } }
    for session in leases.idle + leases.inUse { session.assumeIsolated { $0.close() } }
    leases = LeaseBook()
    for index in lanes.indices { lanes[index].session = nil }
    publish()
    for waiter in closeWaiters { waiter.resume() }
    closeWaiters = []
  }

  func publish() {
    gauges.lanesOpen.store(lanesUp, ordering: .relaxed)
    gauges.statementsWaiting.store(queue.count + inFlightCount, ordering: .relaxed)
    gauges.leasedOpen.store(leases.idle.count + leases.inUse.count, ordering: .relaxed)
    gauges.leasedInUse.store(leases.inUse.count, ordering: .relaxed)
    gauges.leaseWaiters.store(leases.waiters.count, ordering: .relaxed)
  }
}
