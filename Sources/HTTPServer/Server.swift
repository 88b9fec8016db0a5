import EventLoop
import Glibc
import Logging
import Synchronization

/// What all loops of a server share.
struct ServerConfiguration: Sendable {
  let router: Router
  let limits: ServerLimits
  let logger: Logger
  let problem: @Sendable (any Error) -> Problem?
  let observe: @Sendable (RequestSummary) -> Void
  let crossOrigin: CrossOriginPolicy?
  let trustedProxies: TrustedProxies
  let tls: TLSIdentity?
}

/// An HTTP/1.1 server over several event loops.
///
/// `SIGPIPE` is ignored from `start()` on, for the whole process: a client that leaves must not end it.
public final class Server: Sendable {
  /// The loops requests are handled on, in no order.
  public let loops: [EventLoop]

  let configuration: ServerConfiguration
  /// Counts the connections, and outlives the server where it is held.
  public let gate: ConnectionGate
  let ownsLoops: Bool
  let life = Mutex(Life())
  private let listen: ListenAddress

  struct Life {
    enum Phase { case new, running, stopping, stopped }
    var phase = Phase.new
    var daemons: [Daemon] = []
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  /// A server with loops of its own, which `start()` starts and `stop()` stops.
  /// - Parameters:
  ///   - loops: at least 1; one for each processor that is online by default.
  ///   - problem: what an error thrown by a handler is answered with, `Problem`s excepted; nil answers 500 and logs the
  ///     error under the request id. Called on any loop.
  ///   - observe: called once for each finished request, on its loop: it must not block.
  ///   - crossOrigin: which pages of other origins may call; nil says nothing to browsers, which then let none.
  ///   - trustedProxies: whose word is taken for where requests come from.
  ///   - tls: the server speaks TLS alone then; nil for one that speaks none.
  public convenience init(
    router: Router, listen: ListenAddress, limits: ServerLimits = .init(),
    loops: Int = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))), logger: Logger,
    problem: @escaping @Sendable (any Error) -> Problem? = { _ in nil },
    observe: @escaping @Sendable (RequestSummary) -> Void = { _ in }, crossOrigin: CrossOriginPolicy? = nil,
    trustedProxies: TrustedProxies = TrustedProxies([]), tls: TLSIdentity? = nil
  ) {
    precondition(loops > 0, "a server needs a loop")
    let made = (0..<loops).map { EventLoop(name: "http-\($0)") }
    self.init(
      router: router, listen: listen, limits: limits, on: made, ownsLoops: true, logger: logger, problem: problem,
      observe: observe, crossOrigin: crossOrigin, trustedProxies: trustedProxies, tls: tls)
  }

  /// A server on loops of the caller, who starts them before `start()` and stops them after `stop()`: for handlers that
  /// use the loops too, such as database connections.
  public convenience init(
    router: Router, listen: ListenAddress, limits: ServerLimits = .init(), on loops: [EventLoop], logger: Logger,
    problem: @escaping @Sendable (any Error) -> Problem? = { _ in nil },
    observe: @escaping @Sendable (RequestSummary) -> Void = { _ in }, crossOrigin: CrossOriginPolicy? = nil,
    trustedProxies: TrustedProxies = TrustedProxies([]), tls: TLSIdentity? = nil
  ) {
    precondition(!loops.isEmpty, "a server needs a loop")
    self.init(
      router: router, listen: listen, limits: limits, on: loops, ownsLoops: false, logger: logger, problem: problem,
      observe: observe, crossOrigin: crossOrigin, trustedProxies: trustedProxies, tls: tls)
  }

  private init(
    router: Router, listen: ListenAddress, limits: ServerLimits, on loops: [EventLoop], ownsLoops: Bool,
    logger: Logger, problem: @escaping @Sendable (any Error) -> Problem?,
    observe: @escaping @Sendable (RequestSummary) -> Void, crossOrigin: CrossOriginPolicy?,
    trustedProxies: TrustedProxies, tls: TLSIdentity?
  ) {
    self.loops = loops
    self.ownsLoops = ownsLoops
    self.listen = listen
    gate = ConnectionGate(limits: limits)
    configuration = ServerConfiguration(
      router: router, limits: limits, logger: logger, problem: problem, observe: observe,
      crossOrigin: crossOrigin, trustedProxies: trustedProxies, tls: tls)
  }

  /// Starts listening; requests are answered from then on. Called once, not on one of the loops. The threads of own
  /// loops take over the caller's signal mask. After an error `stop()` still has to be called.
  /// - Parameter inherited: listened on instead of the address; all loops share it.
  /// - Returns: the address with the actual port.
  /// - Throws: `ListenFault`, which names the address and why: in use, no permission.
  public func start(on inherited: InheritedSocket? = nil) throws(ListenFault) -> ListenAddress {
    let isFirst = life.withLock { life in
      guard life.phase == .new else { return false }
      life.phase = .running
      return true
    }
    precondition(isFirst, "a server starts once")
    signal(SIGPIPE, SIG_IGN)
    let (sockets, address) =
      if let inherited {
        (try inherited.descriptors(count: loops.count), inherited.address)
      } else {
        try ListenSocket.open(listen, count: loops.count)
      }
    if ownsLoops { for loop in loops { loop.start() } }
    let daemons = loops.enumerated().map { number, loop in
      Daemon(loop: loop, number: number, configuration: configuration, gate: gate)
    }
    life.withLock { $0.daemons = daemons }
    let failures = Atomic<Int>(0)
    let started = CountdownGate(loops.count)
    for (daemon, socket) in zip(daemons, sockets) {
      daemon.loop.execute {
        if !daemon.start(listeningOn: socket, isShared: inherited != nil) {
          close(socket)
          failures.add(1, ordering: .relaxed)
        }
        started.arrive()
      }
    }
    started.wait()
    guard failures.load(ordering: .relaxed) == 0 else {
      throw ListenFault(address: "\(address)", reason: "libmicrohttpd has no memory or descriptors left")
    }
    return address
  }

  /// Connections that are open now, idle ones included.
  public var connectionsCurrent: Int { gate.connectionsCurrent }

  /// Requests whose head was read and whose answer is not completely sent.
  public var requestsInFlight: Int {
    life.withLock { life in life.daemons.reduce(0) { $0 + $1.requestsInFlight.load(ordering: .relaxed) } }
  }
}
