import EventLoop
import Glibc
import HTTPServer
import Logging
import Synchronization
import Testing

@Suite struct ServerTests {
  @Test func aConnectionIsKeptAndRequestsMayBePipelined() async throws {
    try await TestServer.run([
      .hello, .echo(),
      .getAsync("/async/{n}") { request in
        await Task.yield()
        return .text(request.pathParameters["n"])
      },
    ]) { server in
      let client = try server.client()
      for _ in 0..<5 {
        let reply = try client.exchange("GET", "/hello")
        #expect(reply.status == 200 && reply.body == "hello")
        #expect(reply["Connection"] == nil)
        #expect(reply["X-Content-Type-Options"] == "nosniff")
        #expect(reply["Date"] != nil)
      }
      for number in 0..<20 {
        try client.request("GET", "/async/\(number)")
        try client.request("POST", "/echo", body: "{\"n\":\(number)}")
        try client.request("GET", "/hello")
      }
      for number in 0..<20 {
        #expect(try client.read().body == "\(number)")
        #expect(try client.read().body == "{\"n\":\(number)}")
        #expect(try client.read().body == "hello")
      }
    }
  }

  @Test func methodsAreAnsweredByTheRouter() async throws {
    try await TestServer.run([.hello, .echo("/hello")]) { server in
      let client = try server.client()
      let head = try client.exchange("HEAD", "/hello")
      #expect(head.status == 200 && head["Content-Length"] == "5")
      let options = try client.exchange("OPTIONS", "/hello")
      #expect(options.status == 204 && options["Allow"] == "GET, HEAD, POST, OPTIONS")
      #expect(try client.exchange("OPTIONS", "*")["Allow"] == "GET, HEAD, POST, OPTIONS")
      for method in ["DELETE", "TRACE", "BREW", "get"] {
        let refused = try client.exchange(method, "/hello")
        #expect(refused.status == 405 && refused["Allow"] == "GET, HEAD, POST, OPTIONS")
        #expect(refused.body.contains("/problems/method-not-allowed"))
      }
      let missing = try client.exchange("GET", "/hello/")
      #expect(missing.status == 404 && missing["Cache-Control"] == "no-store")
      #expect(try client.exchange("GET", "/%zz").status == 400)
      #expect(try client.exchange("GET", "/hello?a=%ff").status == 400)
      #expect(try client.exchange("GET", "http://other/hello").status == 200)
      // All of that over one connection.
      #expect(try client.exchange("GET", "/hello").status == 200)
      #expect(server.server.connectionsCurrent == 1)
    }
  }

  @Test func aHandlerSeesTheRequest() async throws {
    try await TestServer.run([
      .get("/v1/{a}/x/{b}") { request in
        let query = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: ";")
        return .text(
          "\(request.method) \(request.target) \(request.pathParameters["a"]) \(request.pathParameters["b"]) \(query) "
            + "\(request.headers["x-thing"] ?? "") \(request.peer.address) \(request.peer.isLoopback)")
      }
    ]) { server in
      let client = try server.client()
      let reply = try client.exchange("GET", "/v1/a%2Fb/x/%C3%A9?q=1&q=a+b", ["X-Thing:  v w \t"])
      #expect(reply.body == "get /v1/a%2Fb/x/%C3%A9?q=1&q=a+b a/b é q=1;q=a b v w 127.0.0.1 true")
    }
  }

  @Test func http10IsAnsweredAndKeptWhenAsked() async throws {
    try await TestServer.run([.hello]) { server in
      let client = try server.client()
      try client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      #expect(try client.read().body == "hello")
      try client.send("GET /hello HTTP/1.0\r\n\r\n")
      #expect(try client.readToEnd().hasSuffix("\r\n\r\nhello"))
    }
  }

  // MARK: - Headers of responses

  @Test func requestIDsAreEchoedOnSuccessAndNamedInErrors() async throws {
    try await TestServer.run([.hello, .get("/id") { .text($0.id) }, .get("/teapot") { _ in Response(status: 418) }]) {
      server in
      let client = try server.client()
      let uuid = "01890A5D-AC96-774B-BCCE-B302099A8057"
      #expect(try client.exchange("GET", "/hello")["X-Request-Id"] == nil)
      #expect(try client.exchange("GET", "/hello", ["X-Request-Id: mine-1"])["X-Request-Id"] == "mine-1")
      let known = try client.exchange("GET", "/id", ["X-Request-Id: \(uuid)"])
      #expect(known["X-Request-Id"] == uuid && known.body == uuid.lowercased())
      for ignored in ["a b", String(repeating: "x", count: 129), "é"] {
        #expect(try client.exchange("GET", "/hello", ["X-Request-Id: \(ignored)"])["X-Request-Id"] == nil)
      }
      let named = try client.exchange("GET", "/none", ["X-Request-Id: \(uuid)"])
      #expect(named["X-Request-Id"] == uuid.lowercased())
      #expect(named.body.contains("urn:uuid:\(uuid.lowercased())"))
      let fresh = try client.exchange("GET", "/none", ["X-Request-Id: mine-1"])
      let id = try #require(fresh["X-Request-Id"])
      #expect(id.count == 36 && fresh.body.contains("urn:uuid:\(id)"))
      #expect(try client.exchange("GET", "/teapot")["X-Request-Id"]?.count == 36)
    }
  }

  @Test func aMatchingTagIsAnswered304() async throws {
    let headers: [(name: String, value: String)] = [
      ("ETag", "\"v1\""), ("Cache-Control", "private, max-age=5"), ("Vary", "Accept-Language"), ("X-Other", "y"),
      ("Content-Type", "text/plain"),
    ]
    let prepared = try PreparedResponse(headers: headers, body: Array("hello".utf8))
    try await TestServer.run([
      .get("/made") { _ in Response(status: 200, headers: headers, body: .bytes(Array("hello".utf8))) },
      .get("/prepared") { _ in .prepared(prepared) },
      .get("/created") { _ in Response(status: 201, headers: headers) },
    ]) { server in
      let client = try server.client()
      for path in ["/made", "/prepared"] {
        for extra in [[], ["X-Request-Id: r"]] {
          #expect(try client.exchange("GET", path, ["If-None-Match: \"v2\""] + extra).body == "hello")
          for method in ["GET", "HEAD"] {
            let reply = try client.exchange(method, path, ["If-None-Match: \"v0\"", "If-None-Match: W/\"v1\""] + extra)
            #expect(reply.status == 304 && reply["ETag"] == "\"v1\"")
            #expect(reply["Cache-Control"] == "private, max-age=5" && reply["Vary"] == "Accept-Language")
            #expect(reply["X-Other"] != nil && reply["Content-Type"] == nil)
            #expect(reply["X-Request-Id"] == (extra.isEmpty ? nil : "r"))
          }
        }
      }
      #expect(try client.exchange("GET", "/created", ["If-None-Match: *"]).status == 201)
    }
  }

  @Test func aHeaderWithALineEndIsNeverSplit() async throws {
    try await TestServer.run([
      .get("/split") { request in .text("x", headers: [("X-Name", request.query[0].value)]) },
      .get("/empty") { _ in .text("x", headers: [("X-Name", "")]) },
      .get("/length") { _ in .text("x", headers: [("Content-Length", "100")]) },
    ]) { server in
      let client = try server.client()
      #expect(try client.exchange("GET", "/split?v=fine")["X-Name"] == "fine")
      for path in ["/split?v=a%0D%0ASet-Cookie:%20b", "/split?v=a%0Ab", "/split?v=a%0Db", "/empty", "/length"] {
        let reply = try client.exchange("GET", path)
        #expect(reply.status == 500 && reply.body.contains("/problems/internal-error"))
        #expect(reply["Set-Cookie"] == nil && reply["X-Name"] == nil)
        let id = try #require(reply["X-Request-Id"])
        #expect(server.log.lines.values.last?.contains(id) == true)
      }
    }
  }

  @Test func aPreparedResponseIsSharedByThreads() async throws {
    let body = String(repeating: "0123456789", count: 2000)
    let small = try PreparedResponse(status: 203, headers: [("ETag", "\"s\"")], body: Array("small".utf8))
    let large = try PreparedResponse(headers: [("ETag", "\"l\"")], body: Array(body.utf8))
    try await TestServer.run([
      .get("/small") { _ in .prepared(small) }, .get("/large") { _ in .prepared(large) },
      .get("/more") { _ in
        var response = Response.prepared(large)
        response.headers.append(("X-More", "1"))
        return response
      },
    ]) { server in
      let done = Collected<Bool>()
      for _ in 0..<4 {
        Thread.run {
          do {
            let client = try server.client()
            var isRight = true
            for _ in 0..<100 {
              let reply = try client.exchange("GET", "/small")
              isRight =
                try isRight && reply.status == 203 && reply.body == "small"
                && client.exchange("GET", "/large").body == body
                && client.exchange("GET", "/large", ["If-None-Match: \"l\""]).status == 304
            }
            let more = try client.exchange("GET", "/more")
            done.append(isRight && more.body == body && more["X-More"] == "1" && more["ETag"] == "\"l\"")
          } catch {
            done.append(false)
          }
        }
      }
      #expect(eventually { done.values.count == 4 })
      #expect(done.values == [true, true, true, true])
    }
  }

  // MARK: - Errors and summaries

  private struct Secret: Error {}
  private struct Known: Error {}

  @Test func whatAHandlerThrowsIsAnsweredWithoutTellingSecrets() async throws {
    try await TestServer.run(
      [
        .get("/problem") { _ in throw Problem(.notFound, "no such thing", headers: [("X-Extra", "1")]) },
        .get("/known") { _ in throw Known() },
        .get("/unknown") { _ in throw Secret() },
        .getAsync("/unknown-async") { _ in
          await Task.yield()
          throw Secret()
        },
      ],
      problem: { $0 is Known ? Problem(.unsupportedMediaType, "converted") : nil }
    ) { server in
      let client = try server.client()
      let problem = try client.exchange("GET", "/problem")
      #expect(problem.status == 404 && problem["X-Extra"] == "1" && problem.body.contains("no such thing"))
      #expect(try client.exchange("GET", "/known").body.contains("converted"))
      #expect(server.log.lines.values.isEmpty)
      for path in ["/unknown", "/unknown-async"] {
        let reply = try client.exchange("GET", path)
        #expect(reply.status == 500 && !reply.body.contains("Secret"))
        let line = try #require(server.log.lines.values.last)
        let id = try #require(reply["X-Request-Id"])
        #expect(line.contains("Secret") && line.contains(id))
      }
    }
  }

  @Test func everyRequestIsObservedOnce() async throws {
    try await TestServer.run([.hello, .echo("/echo/{x}"), .get("/fails") { _ in throw Secret() }]) { server in
      let client = try server.client()
      _ = try client.exchange("GET", "/hello")
      _ = try client.exchange("HEAD", "/hello")
      _ = try client.exchange("POST", "/echo/1", body: "{}")
      _ = try client.exchange("BREW", "/none", body: "abc")
      let id = try client.exchange("GET", "/fails")["X-Request-Id"]
      #expect(eventually { server.summaries.values.count == 5 })
      let seen = server.summaries.values
      let lines = seen.map { summary in
        "\(summary.method) \(summary.route ?? "-") \(summary.status) \(summary.requestBodyBytes) "
          + "\(summary.responseBodyBytes > 0)"
      }
      let expected = [
        "GET /hello 200 0 true", "HEAD /hello 200 0 false", "POST /echo/{x} 200 2 true", "BREW - 404 3 true",
        "GET /fails 500 0 true",
      ]
      #expect(lines == expected)
      #expect(seen.map(\.errorLogged) == [false, false, false, false, true])
      #expect(seen.last?.id == id)
      #expect(seen.allSatisfy { $0.isComplete && $0.duration > .zero && $0.peer.address == "127.0.0.1" })
      #expect(server.server.requestsInFlight == 0)
    }
  }
}
