import EventLoop
import Glibc
import HTTPServer
import Logging
import Synchronization

/// A server of a test, on a port of its own.
struct TestServer: Sendable {
  let server: Server
  let port: UInt16
  let log: TestLog
  let summaries: Collected<RequestSummary>

  /// Starts a server, runs `test` on a thread that may block, and stops the server.
  static func run(
    _ routes: [Route], limits: ServerLimits = ServerLimits(drainGraceSeconds: 5), loops: Int = 2,
    problem: @escaping @Sendable (any Error) -> Problem? = { _ in nil }, crossOrigin: CrossOriginPolicy? = nil,
    trustedProxies: TrustedProxies = TrustedProxies([]), _ test: @escaping @Sendable (TestServer) throws -> Void
  ) async throws {
    let started = try start(
      routes, limits: limits, loops: loops, problem: problem, crossOrigin: crossOrigin, trustedProxies: trustedProxies)
    let outcome = await offThePool { Result { try test(started) } }
    await started.server.stop()
    try outcome.get()
  }

  static func start(
    _ routes: [Route], limits: ServerLimits = ServerLimits(drainGraceSeconds: 5), loops: Int = 2,
    problem: @escaping @Sendable (any Error) -> Problem? = { _ in nil }, crossOrigin: CrossOriginPolicy? = nil,
    trustedProxies: TrustedProxies = TrustedProxies([])
  ) throws -> TestServer {
    let log = TestLog()
    let summaries = Collected<RequestSummary>()
    let server = Server(
      router: try Router(routes), listen: try ListenAddress(parsing: "127.0.0.1:0"), limits: limits, loops: loops,
      logger: Logger(label: "test") { _ in log }, problem: problem, observe: { summaries.append($0) },
      crossOrigin: crossOrigin, trustedProxies: trustedProxies)
    return TestServer(server: server, port: try server.start().port, log: log, summaries: summaries)
  }

  func client(from lastByte: UInt32 = 1) throws -> TestClient { try TestClient(port, from: lastByte) }
}

/// Values that several threads add to.
final class Collected<Value: Sendable>: Sendable {
  private let storage = Mutex<[Value]>([])
  func append(_ value: Value) { storage.withLock { $0.append(value) } }
  var values: [Value] { storage.withLock { $0 } }
}

/// Keeps what is logged.
struct TestLog: LogHandler {
  let lines = Collected<String>()
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .trace

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    lines.append("\(event.level) \(event.message) \(event.metadata ?? [:])")
  }
}

/// Runs `work` on a thread of its own, where it may block.
func offThePool<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
  await withCheckedContinuation { continuation in
    Thread.run { continuation.resume(returning: work()) }
  }
}

/// Waits until `condition` holds; false after a time no working server needs.
func eventually(_ condition: () -> Bool) -> Bool {
  let end = ContinuousClock.now + .seconds(20)
  while ContinuousClock.now < end {
    if condition() { return true }
    usleep(2000)
  }
  return false
}

/// A flag that is raised once and waited for.
final class Flag: Sendable {
  private let raised = Atomic<Bool>(false)
  func raise() { raised.store(true, ordering: .sequentiallyConsistent) }
  var isRaised: Bool { raised.load(ordering: .sequentiallyConsistent) }
}

// MARK: - Routes most tests use

extension Route {
  /// `GET /hello`
  static let hello = Route(.get, "/hello") { _ in .direct { _ in .json(Array("hello".utf8)) } }

  /// `POST /echo`, which answers with the body.
  static func echo(_ pattern: String = "/echo", bodyBytesMax: Int = 1024) -> Route {
    Route(.post, pattern, bodyBytesMax: bodyBytesMax, contentTypes: ["application/json"]) { _ in
      .direct { .json($0.body) }
    }
  }

  /// A GET whose response is `make`'s.
  static func get(_ pattern: String, _ make: @escaping @Sendable (Request) throws -> Response) -> Route {
    Route(.get, pattern) { _ in .direct(make) }
  }

  /// A GET answered by a task.
  static func getAsync(
    _ pattern: String, deadlineSeconds: Int? = nil, _ make: @escaping @Sendable (Request) async throws -> Response
  ) -> Route {
    Route(.get, pattern, requestDeadlineSeconds: deadlineSeconds) { _ in .async(make) }
  }
}

extension Response {
  static func text(_ text: String, headers: [(name: String, value: String)] = []) -> Response {
    .json(Array(text.utf8), headers: headers)
  }
}
