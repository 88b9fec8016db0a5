import Synchronization
import Testing

@testable import HTTPServer

/// An answer is given again to the same request, and to no other.
@Suite struct AnswerMemoryTests {
  /// `GET /x`, whose handler counts its calls and answers with what the client's key and query are.
  private final class Handler: Sendable {
    let calls = Atomic<Int>(0)
    let isCurrent = Atomic<Bool>(true)
    let isForOnePeer: Bool

    init(isForOnePeer: Bool) { self.isForOnePeer = isForOnePeer }

    var route: Route {
      .get("/x") { request in
        let count = self.calls.add(1, ordering: .relaxed).newValue
        var response = Response.prepared(
          try PreparedResponse(
            headers: [("Content-Type", "text/plain"), ("ETag", "\"\(request.headers["Authorization"] ?? "")\"")],
            body: Array("\(request.headers["Authorization"] ?? "nobody") \(request.target) \(count)".utf8)))
        response.reuse = Reuse(forOnePeer: self.isForOnePeer) { self.isCurrent.load(ordering: .relaxed) }
        return response
      }
    }
  }

  private func withHandler(
    isForOnePeer: Bool = false, crossOrigin: CrossOriginPolicy? = nil,
    _ test: @escaping @Sendable (TestServer, Handler) throws -> Void
  ) async throws {
    let handler = Handler(isForOnePeer: isForOnePeer)
    try await TestServer.run([handler.route], loops: 1, crossOrigin: crossOrigin) { try test($0, handler) }
  }

  @Test func theSameRequestIsAnsweredWithoutItsHandler() async throws {
    try await withHandler { server, handler in
      let first = try server.client().exchange("GET", "/x?a=1", ["Authorization: k"])
      #expect(first.body == "k /x?a=1 1")
      // Another connection, and one that is kept.
      let client = try server.client()
      for _ in 0..<3 {
        let again = try client.exchange("GET", "/x?a=1", ["Authorization: k"])
        #expect(again.status == 200 && again.body == first.body && again["ETag"] == first["ETag"])
      }
      #expect(handler.calls.load(ordering: .relaxed) == 1)
      #expect(eventually { server.summaries.values.count == 4 })
      #expect(
        server.summaries.values.allSatisfy {
          $0.route == "/x" && $0.status == 200 && $0.method == "GET" && $0.isComplete
        }
      )
    }
  }

  @Test func whatDiffersInAByteIsAnotherRequest() async throws {
    try await withHandler { server, handler in
      let client = try server.client()
      var answers: [String] = []
      for (path, headers) in [
        ("/x", ["Authorization: k"]), ("/x", ["Authorization: l"]), ("/x", []), ("/x?", ["Authorization: k"]),
        ("/x?a", ["Authorization: k"]), ("/x", ["authorization: k"]), ("/x", ["Authorization:  k"]),
        ("/x", ["Authorization: k", "Accept: */*"]), ("/x", ["Accept: */*", "Authorization: k"]),
      ] as [(String, [String])] {
        answers.append(try client.exchange("GET", path, headers).body)
      }
      #expect(Set(answers).count == answers.count)
      #expect(handler.calls.load(ordering: .relaxed) == answers.count)
    }
  }

  @Test(arguments: [false, true])
  func whatDependsOnTheAddressIsGivenAgainToTheSameAlone(isForOnePeer: Bool) async throws {
    try await withHandler(isForOnePeer: isForOnePeer) { server, handler in
      for peer in [1, 2, 1, 2, 2] as [UInt32] {
        let reply = try server.client(from: peer).exchange("GET", "/x", [])
        #expect(reply.status == 200)
      }
      // The second one's answer takes the place of the first one's, and the other way round.
      #expect(handler.calls.load(ordering: .relaxed) == (isForOnePeer ? 4 : 1))
      #expect(eventually { server.summaries.values.count == 5 })
      #expect(server.summaries.values.map(\.peer.address).sorted() == [1, 1, 2, 2, 2].map { "127.0.0.\($0)" })
    }
  }

  @Test func whatNoLongerHoldsIsAskedForAgain() async throws {
    try await withHandler { server, handler in
      let client = try server.client()
      #expect(try client.exchange("GET", "/x", []).body == "nobody /x 1")
      handler.isCurrent.store(false, ordering: .relaxed)
      #expect(try client.exchange("GET", "/x", []).body == "nobody /x 2")
      #expect(try client.exchange("GET", "/x", []).body == "nobody /x 3")
      handler.isCurrent.store(true, ordering: .relaxed)
      #expect(try client.exchange("GET", "/x", []).body == "nobody /x 3")
    }
  }

  @Test func aKeptAnswerIsConditionalAsTheFirstWas() async throws {
    try await withHandler { server, handler in
      let client = try server.client()
      for _ in 0..<3 {
        let reply = try client.exchange("GET", "/x", ["Authorization: k", "If-None-Match: \"k\""])
        #expect(reply.status == 304 && reply.body.isEmpty && reply["ETag"] == "\"k\"")
      }
      #expect(handler.calls.load(ordering: .relaxed) == 1)
    }
  }

  @Test func aRequestWithATraceOrAnIDOrAnOriginOfItsOwnIsNotKept() async throws {
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for header in [trace, "X-Request-Id: mine"] {
      try await withHandler { server, handler in
        let client = try server.client()
        for _ in 0..<2 {
          let reply = try client.exchange("GET", "/x", [header])
          #expect(reply["X-Request-Id"] == (header == trace ? nil : "mine"))
        }
        #expect(handler.calls.load(ordering: .relaxed) == 2)
      }
    }
    let policy = try CrossOriginPolicy(origins: ["https://portal.example"])
    try await withHandler(crossOrigin: policy) { server, handler in
      let client = try server.client()
      for _ in 0..<2 {
        let reply = try client.exchange("GET", "/x", ["Origin: https://portal.example"])
        #expect(reply["Access-Control-Allow-Origin"] == "https://portal.example")
      }
      #expect(handler.calls.load(ordering: .relaxed) == 2)
    }
  }

  /// Malformed variants of a request whose answer is kept, each with a second request behind it, which must not be
  /// answered on its own.
  @Test func aMalformedRequestIsRefusedThoughItsTargetIsKnown() async throws {
    try await withHandler { server, handler in
      let good = "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: k\r\n\r\n"
      let client = try server.client()
      try client.send(good)
      #expect(try client.read().status == 200)
      for bad in [
        "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: k\n\r\n", "GET /x HTTP/1.1\nHost: a\r\nAuthorization: k\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization : k\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization:\r\n k\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: k\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: k\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
      ] {
        let client = try server.client()
        try client.send(bad + good)
        #expect(try client.read().status == 400, "\(bad)")
        #expect(throws: ClientFault.self, "\(bad)") { try client.read() }
      }
      #expect(handler.calls.load(ordering: .relaxed) == 1)
    }
  }
}
