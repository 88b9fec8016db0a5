import Glibc
import HTTPServer
import Logging
import Synchronization
import Testing

@Suite(.serialized) struct StopTests {
  /// Sends requests until the server is gone.
  /// - Returns: nil when each request that was sent was answered, otherwise what was not.
  private static func load(_ port: UInt16, _ path: String, answered: Collected<Int>) -> String? {
    while true {
      let client: TestClient
      // A refused or dropped connection attempt cuts no request.
      do { client = try TestClient(port, timeoutSeconds: 2) } catch { return nil }
      do {
        while true {
          let reply = try client.exchange("GET", path)
          answered.append(reply.status)
          guard reply.status == 200 || reply.status == 503 else { return "status \(reply.status)" }
          if reply["Connection"] == "close" { break }
        }
      } catch {
        return "\(error)"
      }
    }
  }

  @Test(arguments: ["/hello", "/wait"])
  func stoppingUnderLoadCutsNoRequest(path: String) async throws {
    let server = try TestServer.start([
      .hello,
      .getAsync("/wait") { _ in
        try await Task.sleep(for: .milliseconds(20))
        return .text("waited")
      },
    ])
    let answered = Collected<Int>()
    let outcomes = Collected<String?>()
    for _ in 0..<16 { Thread.run { outcomes.append(Self.load(server.port, path, answered: answered)) } }
    await offThePool { #expect(eventually { answered.values.count > 100 }) }
    await server.server.stop()
    #expect(server.server.requestsInFlight == 0)
    #expect(server.server.connectionsCurrent == 0)
    await offThePool { #expect(eventually { outcomes.values.count == 16 }) }
    #expect(outcomes.values.compactMap { $0 } == [])
  }

  /// The kernel completed their handshakes; to their clients they are as good as accepted.
  @Test func connectionsInTheBacklogAreServedWhenTheServerStops() async throws {
    let server = try TestServer.start([.hello])
    let release = Flag()
    let answered = Collected<Int>()
    for loop in server.server.loops { loop.execute { while !release.isRaised { usleep(500) } } }
    Thread.run {
      do {
        let clients = try (0..<200).map { _ in try server.client() }
        for client in clients { try client.request("GET", "/hello") }
        // Time for the stop to be asked for; without it the test would be weaker, not wrong.
        usleep(50_000)
        release.raise()
        for client in clients { answered.append((try? client.read().status) ?? 0) }
      } catch {
        release.raise()
        answered.append(-1)
      }
    }
    await server.server.stop()
    await offThePool { #expect(eventually { answered.values.count == 200 }) }
    #expect(answered.values.allSatisfy { $0 == 200 })
  }

  @Test func aRequestInFlightIsAwaitedAndNewOnesAreRefused() async throws {
    let started = Flag()
    let release = Flag()
    let server = try TestServer.start([
      .hello,
      .getAsync("/wait") { _ in
        started.raise()
        while !release.isRaised { try await Task.sleep(for: .milliseconds(2)) }
        return .text("waited")
      },
    ])
    let waiting = try TestClient(server.port)
    let idle = try TestClient(server.port)
    let fresh = try TestClient(server.port)
    try waiting.request("GET", "/wait")
    _ = await offThePool { eventually { started.isRaised && server.server.connectionsCurrent == 3 } }
    async let stopped: Void = server.server.stop()
    let refused = try await Self.firstRefusal(idle: idle, fresh: fresh)
    #expect(refused.status == 503 && refused["Retry-After"] == "1" && refused["Connection"] == "close")
    #expect(refused.body.contains("/problems/shutting-down"))
    release.raise()
    let reply = try await Self.onThread(waiting) { try $0.read() }
    #expect(reply.body == "waited" && reply["Connection"] == "close")
    await stopped
    #expect(throws: ClientFault.self) { _ = try TestClient(server.port) }
  }

  /// Drips a request so slowly that its head ends only after the server refuses.
  private static func firstRefusal(idle: TestClient, fresh: TestClient) async throws -> Reply {
    try fresh.send("GET /hello HTTP/1.1\r\nHost: a\r\n")
    return try await onThread(idle) { idle in
      // Still in the serving window, or refused already: the connection ends either way.
      let first = try idle.exchange("GET", "/hello")
      if first.status == 503 { return first }
      usleep(400_000)
      try fresh.send("\r\n")
      return try fresh.read()
    }
  }

  private static func onThread(
    _ client: TestClient, _ body: @escaping (TestClient) throws -> Reply
  ) async throws -> Reply {
    struct Pass: @unchecked Sendable {
      let client: TestClient
      let body: (TestClient) throws -> Reply
    }
    let pass = Pass(client: client, body: body)
    return try await offThePool { Result { try pass.body(pass.client) } }.get()
  }

  @Test func aHandlerThatDoesNotEndIsAbandonedWhenTheGraceIsOver() async throws {
    let cancelled = Flag()
    let started = Flag()
    let server = try TestServer.start(
      [
        .getAsync("/never") { _ in
          started.raise()
          do { try await Task.sleep(for: .seconds(3600)) } catch { cancelled.raise() }
          return .noContent()
        }
      ], limits: ServerLimits(drainGraceSeconds: 1))
    let client = try TestClient(server.port)
    try client.request("GET", "/never")
    _ = await offThePool { eventually { started.isRaised } }
    await server.server.stop()
    #expect(cancelled.isRaised)
    #expect(try await Self.onThread(client) { try $0.read() }.status == 503)
  }

  @Test func stoppingTwiceOrBeforeAnythingHappenedIsFine() async throws {
    let server = try TestServer.start([.hello])
    async let first: Void = server.server.stop()
    async let second: Void = server.server.stop()
    _ = await (first, second)
    await server.server.stop()
    let never = Server(
      router: try Router([]), listen: try ListenAddress(parsing: "127.0.0.1:0"), logger: Logger(label: "test"))
    await never.stop()
  }

  // MARK: - Listening

  @Test func anAddressInUseIsNamed() async throws {
    try await TestServer.run([.hello]) { server in
      let second = Server(
        router: try Router([]), listen: ListenAddress(host: "127.0.0.1", port: server.port),
        logger: Logger(label: "test") { _ in TestLog() })
      let fault = #expect(throws: ListenFault.self) { _ = try second.start() }
      #expect(fault?.address == "127.0.0.1:\(server.port)")
      #expect(fault?.reason == "the address is in use by another process")
    }
  }

  @Test func ipv6IsServed() async throws {
    let server = Server(
      router: try Router([.get("/peer") { .text("\($0.peer.address) \($0.peer.isLoopback)") }]),
      listen: try ListenAddress(parsing: "[::]:0"), logger: Logger(label: "test") { _ in TestLog() })
    // A machine without IPv6 says so; that is all there is to test then.
    guard let address = try? server.start() else { return await server.stop() }
    // Over IPv4, which a wildcard IPv6 socket serves too: the peer is written as IPv4.
    let reply = await offThePool { try? TestClient(address.port).exchange("GET", "/peer").body }
    #expect(reply == "127.0.0.1 true")
    await server.stop()
  }

  @Test(arguments: [
    ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:80", "::1", 80), ("localhost:0", "localhost", 0),
  ])
  func addressesAreRead(text: String, host: String, port: UInt16) throws {
    let address = try ListenAddress(parsing: text)
    #expect(address == ListenAddress(host: host, port: port))
    #expect(address.description == text)
  }

  @Test(arguments: ["", "8080", ":8080", "a:", "a:65536", "a:-1", "::1:80", "[]:80", "a:b"])
  func whatIsNoAddressIsRefused(text: String) {
    #expect(throws: ListenFault.self) { try ListenAddress(parsing: text) }
  }
}
