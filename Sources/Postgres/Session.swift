import CLibPQ
import EventLoop

/// One open connection, confined to its loop's thread by being an actor that runs there.
///
/// It is in pipeline mode except while a script, a `COPY` or a LISTEN has it to itself (`Session+Exclusive.swift`).
actor Session {
  enum Role { case lane, leased, listener }
  enum Event: Sendable {
    /// Some statements were answered.
    case progressed
    /// The connection is gone and closed; whoever waited has been told.
    case lost
  }

  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  nonisolated let openedAt = ContinuousClock.now
  private let role: Role
  private let onEvent: @Sendable (Session, Event) -> Void

  private var opened: OpenedConnection?
  private var watch: Watch?
  private var lane = LaneState<PendingStatement>()
  /// The results of what is at the head, until its Sync.
  private var kept: [OpaquePointer] = []
  /// Answered, with waiters that do not know it yet.
  private var answered: [(statement: PendingStatement, outcome: PendingStatement.Outcome)] = []
  private var lastProgress = ContinuousClock.now
  /// Nil when a statement may take for ever.
  private(set) var clientTimeout: Duration?

  /// Whether a script or COPY has the connection to itself.
  var isExclusive = false
  /// How long that may go without any progress; nil for ever.
  var exclusiveTimeout: Duration?
  /// How often the socket was read or written for whoever has the connection to itself.
  private(set) var readinessCount = 0
  private var readinessWaiter: CheckedContinuation<Void, Never>?

  init(
    _ opened: OpenedConnection, role: Role, loop: EventLoop, clientTimeout: Duration?,
    onEvent: @escaping @Sendable (Session, Event) -> Void
  ) {
    self.opened = opened
    self.role = role
    self.loop = loop
    self.clientTimeout = clientTimeout
    self.onEvent = onEvent
  }

  var isOpen: Bool { opened != nil }
  var pointer: OpaquePointer? { opened?.pointer }
  var inFlightCount: Int { lane.count }
  /// Open, with nothing under way and no transaction: fit for somebody else.
  var isAtRest: Bool {
    guard let pointer, lane.isEmpty, !isExclusive else { return false }
    return PQtransactionStatus(pointer) == PQTRANS_IDLE
  }

  func start() {
    guard let pointer else { return }
    watch = loop.watch(PQsocket(pointer), for: .readable) { _ in self.onReady() }
    if role == .listener {
      isExclusive = true
    } else if PQenterPipelineMode(pointer) != 1 {
      lose()
    }
  }

  func close() { lose() }

  // MARK: - Sending

  /// Sends at once; the caller sees to the limits.
  func submit(_ statement: PendingStatement) {
    guard isOpen else { return statement.fail(.unavailable) }
    guard !isExclusive else {
      return statement.fail(.protocolViolation("the connection is busy with a script or COPY"))
    }
    guard statement.queries.allSatisfy({ $0.bindings.count <= Bindings.countMax }) else {
      return statement.fail(.protocolViolation("more than \(Bindings.countMax) parameters"))
    }
    if lane.isEmpty { lastProgress = .now }
    perform(lane.handle(.submit(statement, statement.keys, mayRetry: statement.mayRetry)))
    flush()
  }

  /// For a leased connection, which is one task's: many at once are a mistake of the program.
  func submitSequentially(_ statement: PendingStatement) {
    guard inFlightCount < ConnectionPool.inFlightMax else { return statement.fail(.poolExhausted) }
    submit(statement)
  }

  func setClientTimeout(_ timeout: Duration?) { clientTimeout = timeout }

  private func send(_ statement: PendingStatement, _ group: LaneState<PendingStatement>.Group) {
    guard let pointer else { return }
    var isSent = true
    if let old = group.deallocates {
      isSent = PQsendQueryParams(pointer, "DEALLOCATE \(old)", 0, nil, nil, nil, nil, 1) == 1
    }
    for (query, prepared) in zip(statement.queries, group.statements) {
      if prepared.prepares {
        let types = query.bindings.parameters.map { Oid($0.type) }
        isSent = isSent && PQsendPrepare(pointer, prepared.name, query.sql, Int32(types.count), types) == 1
      }
      isSent = isSent && query.bindings.send(prepared: prepared.name, on: pointer)
    }
    // Sends what is buffered too; what the socket does not take now is left to `flush`.
    isSent = isSent && PQpipelineSync(pointer) == 1
    if !isSent { lose() }
  }

  /// Waits for the socket to take more only while there is something unsent.
  func flush() {
    guard let pointer else { return }
    switch PQflush(pointer) {
    case 0: watch?.interest = .readable
    case 1: watch?.interest = [.readable, .writable]
    default: lose()
    }
  }

  // MARK: - Receiving

  private func onReady() {
    guard let pointer else { return }
    guard PQconsumeInput(pointer) == 1 else { return lose() }
    lastProgress = .now
    if isExclusive {
      flush()
      readinessCount += 1
      readinessWaiter.take()?.resume()
      return
    }
    receive()
    flush()
    // The pool first: a waiter may look at its gauges from another thread as soon as it goes on.
    if isOpen { onEvent(self, .progressed) }
    let answered = answered
    self.answered = []
    for (statement, outcome) in answered { statement.finish(outcome) }
  }

  private func receive() {
    while let pointer, !lane.isEmpty, PQisBusy(pointer) == 0 {
      guard let result = PQgetResult(pointer) else {
        perform(lane.handle(.commandEnd))
        continue
      }
      switch PQresultStatus(result) {
      case PGRES_PIPELINE_SYNC:
        PQclear(result)
        perform(lane.handle(.sync))
        // Not taken by `.complete`: a stale plan sent again, or a waiter that gave up.
        dropKept()
      case PGRES_PIPELINE_ABORTED: receive(result, .aborted)
      case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: receive(result, .success)
      case PGRES_FATAL_ERROR where ResultErrors.endsConnection(result):
        // No Sync will follow, and it may have come where no command waits for anything: before the Sync.
        PQclear(result)
        lose()
      case PGRES_FATAL_ERROR:
        receive(result, .failure(sqlState: ResultErrors.field(DIAG_SQLSTATE, of: result) ?? ""))
      default:
        // COPY in a pipeline would never end; a status of a newer libpq is not understood.
        PQclear(result)
        fail(.protocolViolation("a result that does not belong in a pipeline, such as COPY"))
      }
    }
  }

  private func receive(_ result: OpaquePointer, _ reply: LaneState<PendingStatement>.Reply) {
    let action = lane.handle(.reply(reply))
    if case .keepResult = action {
      kept.append(result)
    } else {
      PQclear(result)
      perform(action)
    }
  }

  private func perform(_ action: LaneState<PendingStatement>.Action) {
    switch action {
    case .send(let statement, let group): send(statement, group)
    case .complete(let statement): complete(statement)
    case .violation(let reason): fail(.protocolViolation(reason))
    case .keepResult, .dropResult, .none: break
    }
  }

  private func complete(_ statement: PendingStatement) {
    answered.append((statement, outcome()))
  }

  private func outcome() -> PendingStatement.Outcome {
    guard let last = kept.last else { return .failure(.protocolViolation("a statement without a result")) }
    if PQresultStatus(last) == PGRES_FATAL_ERROR {
      defer { dropKept() }
      return .failure(.server(ResultErrors.serverError(last)))
    }
    defer { kept = [] }
    return .success(kept.map(ResultTable.init(taking:)))
  }

  private func dropKept() {
    for result in kept { PQclear(result) }
    kept = []
  }

  // MARK: - Time and end

  /// Abandons waiters whose time is up, and the connection when it has gone silent: the server's own limit ends every
  /// statement before this, so a silence beyond it means that nothing will come any more.
  func expire(_ now: ContinuousClock.Instant) {
    let abandoned = lane.abandon { $0.isDue(now) }
    for statement in abandoned { statement.fail(.timeout) }
    let limit = isExclusive ? (readinessWaiter == nil ? nil : exclusiveTimeout) : (lane.isEmpty ? nil : clientTimeout)
    let isSilent = limit.map { now - lastProgress > $0 + DatabaseConfiguration.clientGrace } ?? false
    // A leased connection serves one task: with its statement given up, the transaction is lost as well. Closing it
    // makes the server cancel (`client_connection_check_interval`); lanes must not be cancelled, others use them.
    if isSilent || (role == .leased && !abandoned.isEmpty) { lose() }
  }

  /// Waits until the socket was read, or written when something is unsent, since `readinessCount` was `seen`. Only
  /// while exclusive.
  ///
  /// Any `await` may let the loop read the socket, the one that calls this included, so the caller takes the count
  /// before it looks whether there is something to do; else it would wait for what has already arrived.
  func readiness(since seen: Int) async {
    await withCheckedContinuation { continuation in
      if isOpen && readinessCount == seen {
        readinessWaiter = continuation
      } else {
        continuation.resume()
      }
    }
  }

  /// Marks the start of a wait, so that the time before it does not count as silence.
  func noteProgress() { lastProgress = .now }

  private func lose() { fail(.connectionLost) }

  private func fail(_ error: PostgresError) {
    guard let opened = opened.take() else { return }
    dropKept()
    // Before PQfinish closes the descriptor: its number may be another's at once.
    watch.take()?.cancel()
    opened.close()
    for statement in lane.drain() { statement.fail(error) }
    readinessWaiter.take()?.resume()
    // Later, so that the pool is not entered in the middle of its own call.
    loop.execute { self.onEvent(self, .lost) }
  }
}
