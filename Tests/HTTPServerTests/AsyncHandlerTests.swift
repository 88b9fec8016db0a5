import EventLoop
import Glibc
import HTTPServer
import Testing

@Suite struct AsyncHandlerTests {
  @Test func aHandlerThatWaitsIsResumedOnItsLoop() async throws {
    try await TestServer.run([
      .getAsync("/sleep") { _ in
        try await Task.sleep(for: .milliseconds(20))
        return .text("slept")
      },
      .getAsync("/hop") { _ in
        let away = await Task.detached { "elsewhere" }.value
        return .text(away)
      },
      .getAsync("/now") { _ in .text("at once") },
    ]) { server in
      let client = try server.client()
      for _ in 0..<3 {
        #expect(try client.exchange("GET", "/sleep").body == "slept")
        #expect(try client.exchange("GET", "/hop").body == "elsewhere")
        #expect(try client.exchange("GET", "/now").body == "at once")
      }
    }
  }

  @Test func aHandlerRunsOnItsLoopBeforeAndAfterItWaited() async throws {
    let loop = EventLoop(name: "own")
    loop.start()
    let places = Collected<Bool>()
    let route = Route.getAsync("/x") { _ in
      places.append(loop.isCurrent)
      await Task.yield()
      places.append(loop.isCurrent)
      await Task.detached {}.value
      places.append(loop.isCurrent)
      return .noContent()
    }
    let server = Server(
      router: try Router([route]), listen: try ListenAddress(parsing: "127.0.0.1:0"), on: [loop],
      logger: .init(label: "test") { _ in TestLog() })
    let address = try server.start()
    let status = await offThePool { try? TestClient(address.port).exchange("GET", "/x").status }
    #expect(status == 204)
    #expect(places.values == [true, true, true])
    await server.stop()
    // A loop of the caller goes on.
    await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
    loop.stop()
  }

  @Test func manyHandlersWaitAtTheSameTime() async throws {
    try await TestServer.run(
      [
        .getAsync("/wait/{n}") { request in
          try await Task.sleep(for: .milliseconds(30))
          return .text(request.pathParameters["n"])
        }
      ], loops: 1
    ) { server in
      let clients = try (0..<200).map { _ in try server.client() }
      for round in 0..<3 {
        for (number, client) in clients.enumerated() { try client.request("GET", "/wait/\(round)-\(number)") }
        for (number, client) in clients.enumerated() { #expect(try client.read().body == "\(round)-\(number)") }
      }
    }
  }

  // MARK: - Deadlines

  @Test func aHandlerThatOutlivesTheDeadlineIsCancelledAnd504Answered() async throws {
    let cancelled = Flag()
    let stubbornEnded = Flag()
    let release = Flag()
    try await TestServer.run([
      .getAsync("/polite", deadlineSeconds: 1) { _ in
        do {
          try await Task.sleep(for: .seconds(3600))
        } catch {
          cancelled.raise()
          throw error
        }
        return .noContent()
      },
      .getAsync("/stubborn", deadlineSeconds: 1) { _ in
        // Does not notice that it is cancelled; its late answer must go nowhere.
        while !release.isRaised { await Task.yield() }
        stubbornEnded.raise()
        return .text("late")
      },
      .hello,
    ]) { server in
      let client = try server.client()
      for path in ["/polite", "/stubborn"] {
        let reply = try client.exchange("GET", path)
        #expect(reply.status == 504 && reply.body.contains("/problems/deadline-exceeded"))
        #expect(reply["Connection"] == nil)
      }
      #expect(eventually { cancelled.isRaised })
      #expect(try client.exchange("GET", "/hello").body == "hello")
      release.raise()
      #expect(eventually { stubbornEnded.isRaised })
      #expect(try client.exchange("GET", "/hello").body == "hello")
    }
  }

  @Test func aClientThatLeavesWhileItsHandlerWaitsHarmsNobody() async throws {
    let started = Collected<Int>()
    let release = Flag()
    try await TestServer.run([
      .hello,
      .getAsync("/wait") { _ in
        started.append(1)
        while !release.isRaised { try await Task.sleep(for: .milliseconds(5)) }
        return .text(String(repeating: "x", count: 100_000))
      },
    ]) { server in
      do {
        // Both leave: one in order, one by a reset.
        let clients = try (0..<10).map { _ in try server.client() }
        for (number, client) in clients.enumerated() {
          try client.request("GET", "/wait")
          var linger = linger(l_onoff: number % 2 == 0 ? 1 : 0, l_linger: 0)
          setsockopt(client.descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        }
        #expect(eventually { started.values.count == 10 })
      }
      #expect(try server.client().exchange("GET", "/hello").body == "hello")
      release.raise()
      #expect(eventually { server.server.requestsInFlight == 0 && server.server.connectionsCurrent == 0 })
      #expect(server.summaries.values.count == 11)
    }
  }

  // MARK: - Admissions that wait

  private static func later(_ pattern: String, waits: Bool) -> Route {
    Route(.post, pattern, contentTypes: ["application/json"]) { head in
      .later {
        if waits { try? await Task.sleep(for: .milliseconds(5)) }
        switch head.headers["X-Way"] {
        case "direct": return .direct { .json($0.body) }
        case "async":
          return .async { request in
            await Task.yield()
            return .json(request.body)
          }
        case "again": return .later { .direct { .json($0.body) } }
        default: return .refuse(Problem(.notFound, "refused"))
        }
      }
    }
  }

  @Test(arguments: [false, true])
  func anAdmissionMayWaitAndTheBodyIsReadAfterwards(waits: Bool) async throws {
    try await TestServer.run([Self.later("/x", waits: waits), .hello]) { server in
      let client = try server.client()
      let body = String(repeating: "x", count: 90_000)
      for _ in 0..<2 {
        for way in ["direct", "async", "again"] {
          #expect(try client.exchange("POST", "/x", ["X-Way: \(way)"], body: body).body == body)
          #expect(try client.exchange("POST", "/x", ["X-Way: \(way)"]).body == "")
        }
        let refused = try client.exchange("POST", "/x", body: body)
        #expect(refused.status == 404 && refused["Connection"] == nil)
        #expect(try client.exchange("POST", "/x").status == 404)
        #expect(try client.exchange("POST", "/x", ["X-Way: direct"], body: body + body).status == 413)
        #expect(try client.exchange("GET", "/hello").body == "hello")
      }
      let expecting = try server.client()
      let head = "Host: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
      try expecting.send("POST /x HTTP/1.1\r\nX-Way: direct\r\n" + head + "\r\n")
      #expect(try expecting.read().status == 100)
      try expecting.send("{}")
      #expect(try expecting.read().body == "{}")
      try expecting.send("POST /x HTTP/1.1\r\n" + head + "\r\n")
      #expect(try expecting.read().status == 404)
      #expect(try expecting.readToEnd() == "")
    }
  }

  @Test func anAdmissionThatOutlivesTheDeadlineIsAnswered504() async throws {
    let route = Route(.post, "/x", contentTypes: ["application/json"], requestDeadlineSeconds: 1) { _ in
      .later {
        try? await Task.sleep(for: .seconds(3600))
        return .refuse(Problem(.notFound, "too late"))
      }
    }
    try await TestServer.run([route]) { server in
      let client = try server.client()
      #expect(try client.exchange("POST", "/x", body: "{}").status == 504)
      #expect(try client.readToEnd() == "")
    }
  }
}
