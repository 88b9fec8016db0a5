internal import CMicroHTTPD
import EventLoop
import Glibc
import Logging
import Synchronization

/// One libmicrohttpd daemon run from outside by one loop.
///
/// Unchecked: but for the counters it belongs to its loop's thread; it travels only to be named in work for the loop.
final class Daemon: EventSource, @unchecked Sendable {
  enum Phase {
    case serving
    /// Still serving, but every answer ends its connection.
    case closing
    /// New requests are refused.
    case refusing
  }

  /// How often deadlines are looked at: one clock for all connections instead of a timer for each request.
  private static let sweepInterval = Duration.milliseconds(250)

  let loop: EventLoop
  /// The place of the loop in `Server.loops`.
  let number: Int
  let router: Router
  let limits: ServerLimits
  let logger: Logger
  let problem: @Sendable (any Error) -> Problem?
  let observe: @Sendable (RequestSummary) -> Void
  let crossOrigin: CrossOriginPolicy?
  let isSecure: Bool
  let trustedProxies: TrustedProxies
  let gate: ConnectionGate
  let lingering: Lingering
  /// From the head to the end of the answer.
  let requestsInFlight = Atomic<Int>(0)

  var phase = Phase.serving
  var requestIDs = RequestIDGenerator()
  var answers = AnswerMemory()
  /// libmicrohttpd's daemon, between `start` and `stop`.
  private(set) var handle: OpaquePointer?
  private var listenSocket: Int32 = -1
  /// Whether somebody else has the socket too and goes on with it when this server has stopped.
  private var isSocketShared = false
  /// By descriptor, for the sweep and for the end: the library does not list them.
  private var connections: [Int32: Connection] = [:]
  private var watch: Watch?
  private var sweepTimer: Timer?
  private var mustRunAgain = false

  init(loop: EventLoop, number: Int, configuration: ServerConfiguration, gate: ConnectionGate) {
    self.loop = loop
    self.number = number
    self.gate = gate
    router = configuration.router
    limits = configuration.limits
    logger = configuration.logger
    problem = configuration.problem
    observe = configuration.observe
    crossOrigin = configuration.crossOrigin
    isSecure = configuration.tls != nil
    trustedProxies = configuration.trustedProxies
    lingering = Lingering(loop: loop, bytesMax: configuration.limits.refusedBodyBytesMax)
  }

  var shuttingDown: Problem {
    Problem(.shuttingDown, "this instance is stopping", headers: [("Retry-After", "1")])
  }

  // MARK: - Life, on the loop

  /// - Returns: false when libmicrohttpd has no memory or descriptors left.
  func start(listeningOn socket: Int32, isShared: Bool) -> Bool {
    var options = DaemonCallbacks.options(for: self)
    options.listen_socket = socket
    // The gate is what limits; at the library's own limit new clients would hang in the backlog instead.
    options.connections_max = UInt32(limits.connectionsMax + 1024)
    options.idle_timeout_seconds = UInt32(limits.idleTimeoutSeconds)
    options.connection_memory_bytes_max = limits.connectionMemoryBytesMax
    // The library keeps a copy of the text.
    let started = TLSIdentity.priorities.withCString { priorities in
      if isSecure {
        options.tls_priorities = priorities
        options.tls_certificate = TLSIdentity.retrieval
      }
      return mhd_start(&options)
    }
    guard let handle = started else { return false }
    self.handle = handle
    listenSocket = socket
    isSocketShared = isShared
    // What is ready is handled by `turn()`, which follows.
    watch = loop.watch(mhd_epoll_descriptor(handle), for: .readable) { _ in }
    loop.add(self)
    return true
  }

  /// Never blocks. The loop calls it after every round of jobs, timers and ready descriptors.
  func turn() -> Duration? {
    guard let handle else { return nil }
    repeat {
      mustRunAgain = false
      _ = MHD_run(handle)
      // The library's own timeout does not know of connections that were resumed meanwhile.
    } while mustRunAgain
    var milliseconds: UInt64 = 0
    return MHD_get_timeout(handle, &milliseconds) == .YES
      ? .milliseconds(Int64(clamping: milliseconds)) : nil
  }

  /// Once for each suspended connection.
  func resume(_ connection: OpaquePointer) {
    mustRunAgain = true
    MHD_resume_connection(connection)
  }

  /// The first step of the end: who is connected is still served.
  func stopHandshakes() {
    phase = .closing
    for connection in connections.values { connection.exchange?.streamed?.endIfEndless() }
    // A shared socket stays whole for whoever has it next.
    if handle != nil, !isSocketShared { ListenSocket.refuseNewHandshakes(listenSocket) }
  }

  /// Takes no more connections from the listening socket but those that clients consider open already; on a shared
  /// socket these wait for whoever has it next.
  func stopAccepting() {
    guard let handle else { return }
    let socket = MHD_quiesce_daemon(handle)
    guard socket >= 0 else { return }
    while !isSocketShared, let accepted = ListenSocket.accept(socket) {
      _ = accepted.withAddress { MHD_add_connection(handle, accepted.descriptor, $0, $1) }
    }
    close(socket)
  }

  /// Answers 503 for every handler that still waits, and cuts what is still being streamed.
  func abandonHandlers() {
    for connection in connections.values {
      connection.exchange?.expire(shuttingDown)
      connection.exchange?.streamed?.cut()
    }
  }

  /// - Precondition: no connection is suspended.
  func stop() {
    guard let handle else { return }
    loop.remove(self)
    watch?.cancel()
    sweepTimer?.cancel()
    lingering.endAll()
    self.handle = nil
    MHD_stop_daemon(handle)
  }

  // MARK: - Connections, from the callbacks

  /// - Returns: the record of the connection, which the callbacks keep with it until it is closed.
  func opened(_ handle: OpaquePointer) -> Connection {
    if isSecure, let session = mhd_tls_session(handle) { TLSIdentity.prepare(session) }
    let peer = Peer(mhd_client_address(handle).flatMap { IPAddress($0) })
    let connection = Connection(descriptor: mhd_connection_descriptor(handle), peer: peer)
    connections[connection.descriptor] = connection
    gate.opened(peer)
    if sweepTimer == nil { scheduleSweep() }
    return connection
  }

  func closed(_ connection: Connection) {
    connections[connection.descriptor] = nil
    gate.closed(connection.peer)
  }

  private func scheduleSweep() {
    sweepTimer = loop.schedule(after: Self.sweepInterval) { [weak self] in self?.sweep() }
  }

  /// Ends what takes too long. A request's time begins with its request line, which an exchange shows; before that only
  /// the connection is known, and it may be idle first.
  private func sweep() {
    let now = ContinuousClock.now
    let headLimit = Duration.seconds(limits.idleTimeoutSeconds + limits.requestDeadlineSeconds)
    for connection in connections.values {
      if let exchange = connection.exchange {
        if now >= exchange.deadline, exchange.incoming?.heldSince == nil {
          exchange.expire(Problem(.deadlineExceeded, "the request took longer than it may"))
        } else if exchange.state == .reading, connection.isEndedByPeer {
          connection.cut()
        } else if let streamed = exchange.streamed, streamed.state == .suspended, connection.isEndedByPeer {
          // Suspended, the library does not look at the connection.
          streamed.cut()
        }
      } else if now - connection.idleSince >= headLimit {
        // Silence alone is libmicrohttpd's to end; this one sends a byte now and then.
        connection.cut()
      }
    }
    if connections.isEmpty { sweepTimer = nil } else { scheduleSweep() }
  }
}
