import EventLoop
import Glibc
import HTTPServer
import Synchronization
import Testing

/// What clients that mean no good can make the server do.
@Suite(.serialized) struct LimitTests {
  /// A test that opens thousands of connections has both ends of each.
  private static func allowDescriptors(_ count: Int) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, rlim_t(count)))
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  @Test(arguments: [
    "", "GET /hel", "GET /hello HTTP/1.1\r\nHost: a\r\nX: ",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3E8\r\n",
    "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
  ])
  func aSenderThatDripsIsCutByTheDeadlineWhileOthersAreServed(start: String) async throws {
    // Silence would not end it: a byte comes every 20 ms.
    let limits = ServerLimits(idleTimeoutSeconds: 1, requestDeadlineSeconds: 1, drainGraceSeconds: 5)
    try await TestServer.run([.hello, .echo()], limits: limits) { server in
      let dripping = try server.client()
      try dripping.send(start)
      let end = ContinuousClock.now + .seconds(15)
      var isCut = false
      while !isCut && ContinuousClock.now < end {
        do { try dripping.send("x") } catch { isCut = true }
        #expect(try server.client().exchange("GET", "/hello").status == 200)
        usleep(20_000)
      }
      #expect(isCut)
    }
  }

  @Test func aClientThatNeverReadsIsGivenUpWhileOthersAreServed() async throws {
    let limits = ServerLimits(idleTimeoutSeconds: 1, drainGraceSeconds: 5)
    let large = [UInt8](repeating: 0x78, count: 16 << 20)
    try await TestServer.run([.hello, .get("/large") { _ in .json(large) }], limits: limits) { server in
      let idle = try server.client()
      try idle.request("GET", "/large")
      #expect(eventually { server.server.requestsInFlight == 1 })
      #expect(try server.client().exchange("GET", "/hello").status == 200)
      #expect(eventually { server.server.requestsInFlight == 0 })
      let summary = try #require(server.summaries.values.first { $0.route == "/large" })
      #expect(summary.status == 200 && !summary.isComplete)
      // A client that reads gets all of it.
      #expect(try server.client().exchange("GET", "/large").body.utf8.count == large.count)
    }
  }

  /// Its end arrives together with its last bytes, which libmicrohttpd alone would notice after the idle time only.
  @Test func aClientThatLeavesInTheMiddleOfABodyIsLetGoOfSoon() async throws {
    let limits = ServerLimits(idleTimeoutSeconds: 3600, requestDeadlineSeconds: 3600, drainGraceSeconds: 5)
    try await TestServer.run([.hello, .echo()], limits: limits) { server in
      for (round, length) in ["Content-Length: 1000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3E8\r\nabc"]
        .enumerated()
      {
        let held = Flag()
        for loop in server.server.loops {
          loop.execute {
            // So that the end is there before anything is read.
            while !held.isRaised { usleep(500) }
          }
        }
        for _ in 0..<20 {
          let client = try server.client()
          try client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + length)
        }
        held.raise()
        #expect(eventually { server.summaries.values.count == 20 * (round + 1) })
      }
      #expect(eventually { server.server.connectionsCurrent == 0 })
      #expect(server.summaries.values.allSatisfy { $0.status == 0 && !$0.isComplete && $0.requestBodyBytes == 3 })
    }
  }

  @Test func connectionsBeyondTheLimitAreClosedAndTheRestServed() async throws {
    Self.allowDescriptors(8000)
    let limits = ServerLimits(connectionsMax: 100, drainGraceSeconds: 5)
    try await TestServer.run([.hello], limits: limits) { server in
      let first = try server.client()
      #expect(try first.exchange("GET", "/hello").status == 200)
      var idle: [TestClient] = []
      for _ in 0..<2100 { idle.append(try server.client()) }
      #expect(eventually { server.server.connectionsCurrent >= 100 })
      // One more may slip in for each loop.
      #expect(server.server.connectionsCurrent <= 102)
      #expect(try first.exchange("GET", "/hello").status == 200)
      let last = try #require(idle.last)
      #expect(throws: ClientFault.self) { _ = try last.exchange("GET", "/hello") }
      // All that were ever opened were let in or turned away.
      let gate = server.server.gate
      #expect(eventually { gate.connectionsAccepted + gate.connectionsRefused == 2101 })
      #expect(100...102 ~= gate.connectionsAccepted)
      idle = []
      #expect(eventually { server.server.connectionsCurrent == 1 })
      #expect(try server.client().exchange("GET", "/hello").status == 200)
    }
  }

  @Test func connectionsOfOneAddressAreLimited() async throws {
    let limits = ServerLimits(connectionsPerAddressMax: 3, drainGraceSeconds: 5)
    try await TestServer.run([.hello], limits: limits, loops: 1) { server in
      var clients = try (0..<3).map { _ in try server.client() }
      for client in clients { #expect(try client.exchange("GET", "/hello").status == 200) }
      #expect(throws: ClientFault.self) { _ = try server.client().exchange("GET", "/hello") }
      clients.removeLast()
      #expect(eventually { server.server.connectionsCurrent == 2 })
      #expect(try server.client().exchange("GET", "/hello").status == 200)
    }
  }

  /// An epoll thread of libmicrohttpd 0.9.75 stalls for as long as a connection may be idle whenever exactly 128
  /// connections are ready at once. Here the loop is held until all requests are there.
  @Test(.timeLimit(.minutes(1)), arguments: [127, 128, 129, 256])
  func exactlySoManyReadyConnectionsAreAllAnsweredPromptly(count: Int) async throws {
    Self.allowDescriptors(4000)
    try await TestServer.run([.hello], loops: 1) { server in
      let clients = try (0..<count).map { _ in try server.client() }
      for client in clients { #expect(try client.exchange("GET", "/hello").status == 200) }
      // Ten stalls would not fit into the limit.
      for _ in 0..<10 {
        let held = Flag()
        let release = Flag()
        server.server.loops[0].execute {
          held.raise()
          while !release.isRaised { usleep(500) }
        }
        #expect(eventually { held.isRaised })
        for client in clients { try client.request("GET", "/hello") }
        release.raise()
        for client in clients { #expect(try client.read().body == "hello") }
      }
    }
  }
}
