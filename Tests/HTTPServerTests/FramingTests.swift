import Testing

@testable import HTTPServer

@Suite struct FramingTests {
  private static let host = ("Host", "example.com")

  @Test func whatIsWellFormedIsRead() throws {
    func framing(_ fields: [(String, String)], isHTTP10: Bool = false) throws -> Framing {
      try Framing(headers: Headers(fields.map { (name: $0.0, value: $0.1) }), isHTTP10: isHTTP10)
    }
    #expect(try framing([Self.host]).body == .none)
    #expect(try framing([], isHTTP10: true).body == .none)
    #expect(try framing([Self.host, ("content-length", "0")]).body == .none)
    #expect(try framing([Self.host, ("CONTENT-LENGTH", "17")]).body == .length(17))
    #expect(try framing([Self.host, ("Transfer-Encoding", "Chunked")]).body == .chunked)
    #expect(try framing([("Host", "[::1]:80"), ("X", "tab\tand \u{E9}")]).expectsContinue == false)
    let expecting = [Self.host, ("Content-Length", "1"), ("Expect", "100-Continue")]
    #expect(try framing(expecting).expectsContinue)
    #expect(try !framing(expecting, isHTTP10: true).expectsContinue)
    #expect(try !framing([Self.host, ("Expect", "100-continue")]).expectsContinue)
  }

  @Test(arguments: [
    [("Content-Length", "4"), ("Content-Length", "4")],
    [("Content-Length", "4"), ("content-length", "5")],
    [("Content-Length", "4"), ("Transfer-Encoding", "chunked")],
    [("Content-Length", "+4")], [("Content-Length", "4, 4")], [("Content-Length", "")], [("Content-Length", "0x4")],
    [("Content-Length", "99999999999999999999")], [("Content-Length", "-1")],
    [("Transfer-Encoding", "gzip")], [("Transfer-Encoding", "gzip, chunked")],
    [("Transfer-Encoding", "chunked, chunked")],
    [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], [("Transfer-Encoding", "")],
    [("Transfer-Encoding", "identity")], [("Transfer-Encoding", "\u{B}chunked")],
    [("Content-Length ", "4")], [("X Y", "1")], [("", "1")], [("X\u{E9}", "1")], [("X:", "1")],
    [("X", "a\rb")], [("X", "a\nb")], [("X", "a\0b")], [("X", "\u{7F}")],
    [("Host", "b")],
  ])
  func whatLeavesTheEndInDoubtIsRefused(fields: [(String, String)]) {
    let headers = Headers(([Self.host] + fields).map { (name: $0.0, value: $0.1) })
    #expect(throws: Framing.Fault.self) { try Framing(headers: headers, isHTTP10: false) }
  }

  @Test(arguments: ["", "a b", "user@host", "a/b", "a,b", "a?b", "a\\b"])
  func aHostThatIsNoneIsRefused(host: String) {
    #expect(throws: Framing.Fault.self) {
      try Framing(headers: Headers([("Host", host)]), isHTTP10: false)
    }
  }

  @Test func onlyHTTP10MayLackAHostAndItHasNoChunks() {
    #expect(throws: Framing.Fault.self) { try Framing(headers: Headers([]), isHTTP10: false) }
    #expect(throws: Framing.Fault.self) {
      try Framing(headers: Headers([("Transfer-Encoding", "chunked")]), isHTTP10: true)
    }
  }

  // MARK: - Over a socket, a second request behind each

  /// What a front proxy might read differently, each with a request hidden behind it.
  @Test(arguments: [
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "Content-Length: 4\r\nContent-Length: 0\r\n\r\nabcd",
    "Content-Length : 4\r\n\r\nabcd",
    "Content-Length\t: 4\r\n\r\nabcd",
    "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chu\r\n nked\r\n\r\n0\r\n\r\n",
    "X: folded\r\n line\r\n\r\n",
    "X: bare line feed\nContent-Length: 4\r\n\r\nabcd",
    "X: bare carriage return\rContent-Length: 4\r\n\r\n",
    "X: a\0\0Content-Length: 4\r\n\r\n",
    "X: a\0b\r\n\r\n",
    "X: ends with a line feed\r\n\n",
    "Host: second\r\n\r\n",
    ": no name\r\n\r\n",
    "(X): no token\r\n\r\n",
  ])
  func framingInDoubtIsAnsweredOnceAndTheConnectionEnds(malformed: String) async throws {
    try await expectOneRefusal("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + malformed)
  }

  @Test(arguments: [
    "GET /hello HTTP/1.1\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost:\r\n\r\n",
    "GET /hello world HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://user@host/hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET ftp://host/hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET * HTTP/1.1\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "G(T /hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hell\u{F6} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hello#x HTTP/1.1\r\nHost: a\r\n\r\n",
  ])
  func aRequestLineInDoubtIsAnsweredOnceAndTheConnectionEnds(malformed: String) async throws {
    try await expectOneRefusal(malformed)
  }

  private func expectOneRefusal(_ malformed: String) async throws {
    let smuggled = Flag()
    try await TestServer.run([
      .hello, .echo(),
      .get("/smuggled") { _ in
        smuggled.raise()
        return .text("smuggled")
      },
    ]) { server in
      let client = try server.client()
      try client.send(malformed + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
      let reply = try client.read()
      #expect(reply.status == 400)
      #expect(reply["Connection"] == "close")
      #expect(reply["Content-Type"] == "application/problem+json", "\(malformed)")
      #expect(reply.body.contains("/problems/malformed-request"))
      #expect(try client.readToEnd() == "")
    }
    #expect(!smuggled.isRaised)
  }

  /// libmicrohttpd refuses these by itself: another page, but a refusal and an end too.
  @Test(arguments: ["4x", "4, 4", "", "99999999999999999999999"])
  func aLengthThatIsNoNumberEndsTheConnection(length: String) async throws {
    try await TestServer.run([.hello, .echo()]) { server in
      let client = try server.client()
      try client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\nabcd")
      try? client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
      let all = try client.readToEnd()
      #expect(all.hasPrefix("HTTP/1.1 4"))
      #expect(!all.contains("200 OK"))
      #expect(server.summaries.values.isEmpty)
    }
  }

  @Test(arguments: [414, 431])
  func whatDoesNotFitTheConnectionsMemoryIsRefused(status: Int) async throws {
    try await TestServer.run([.hello]) { server in
      let client = try server.client()
      let filler = String(repeating: "a", count: 40_000)
      let (path, header) = status == 414 ? (filler, "a") : ("hello", filler)
      try client.send("GET /\(path) HTTP/1.1\r\nHost: a\r\nX: \(header)\r\n\r\n")
      #expect(try client.readToEnd().hasPrefix("HTTP/1.1 \(status) "))
      #expect(try server.client().exchange("GET", "/hello").status == 200)
    }
  }

  /// The check of the section in memory must hold however the bytes come and however often the buffer grows.
  @Test(arguments: [1, 7, 1000, 30_000])
  func aLargeHeaderSectionIsReadInPiecesOfAnySize(pieceBytes: Int) async throws {
    try await TestServer.run([.get("/sum") { request in .text("\(request.headers["X-Last"] ?? "")") }]) { server in
      let client = try server.client()
      let fillerCount = pieceBytes == 1 ? 20 : 180
      for round in 0..<3 {
        var text = "GET /sum HTTP/1.1\r\nHost: a\r\n"
        for index in 0..<fillerCount { text += "X-\(index):  \(String(repeating: "v", count: 80)) \r\n" }
        let bytes = Array((text + "X-Last: \(round)\r\n\r\n").utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
          try client.send(Array(bytes[start..<min(bytes.count, start + pieceBytes)]))
        }
        #expect(try client.read().body == "\(round)")
      }
    }
  }
}
