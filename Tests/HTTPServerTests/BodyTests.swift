import HTTPServer
import Synchronization
import Testing

@Suite struct BodyTests {
  private static let jsonType = "application/json"
  private static let refusing = Route(.post, "/refused", bodyBytesMax: 8 << 20, contentTypes: [jsonType]) { _ in
    .refuse(Problem(.notFound, "refused", headers: [("WWW-Authenticate", "Bearer")]))
  }

  private static func chunked(_ path: String, _ extra: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\(extra)\r\n"
  }

  @Test func bodiesUpToTheLimitArriveWhole() async throws {
    try await TestServer.run([.echo("/echo", bodyBytesMax: 3 << 20)]) { server in
      let client = try server.client()
      for bytes in [0, 1, 1023, 1024, 100_000, 3 << 20] {
        let body = String(repeating: "x", count: bytes)
        #expect(try client.exchange("POST", "/echo", body: body).body == body)
      }
    }
  }

  @Test func chunkedBodiesArriveWholeAndAreCounted() async throws {
    try await TestServer.run([.echo()]) { server in
      let client = try server.client()
      try client.send(Self.chunked("/echo") + "3\r\nabc\r\n5;ext=1\r\ndefgh\r\n0\r\nTrailer: x\r\n\r\n")
      #expect(try client.read().body == "abcdefgh")
      try client.send(Self.chunked("/echo") + "0\r\n\r\n")
      #expect(try client.read().body == "")
      let chunk = "100\r\n" + String(repeating: "y", count: 256) + "\r\n"
      try client.send(Self.chunked("/echo") + String(repeating: chunk, count: 4) + "0\r\n\r\n")
      #expect(try client.read().body.utf8.count == 1024)
      // One byte more: dropped to its end, refused, and the connection goes on.
      try client.send(Self.chunked("/echo") + String(repeating: chunk, count: 4) + "1\r\nz\r\n0\r\n\r\n")
      let refused = try client.read()
      #expect(refused.status == 413 && refused.body.contains("1024 bytes"))
      #expect(try client.exchange("POST", "/echo", body: "{}").body == "{}")
      try client.send(Self.chunked("/echo") + "zz\r\n")
      #expect(try client.readToEnd().hasPrefix("HTTP/1.1 400 "))
    }
  }

  @Test func aChunkedBodyWithoutEndIsCutOffWithAnAnswer() async throws {
    let limits = ServerLimits(refusedBodyBytesMax: 100_000, drainGraceSeconds: 5)
    try await TestServer.run([.echo()], limits: limits) { server in
      let client = try server.client()
      let chunk = "8000\r\n" + String(repeating: "y", count: 0x8000) + "\r\n"
      try client.send(Self.chunked("/echo"))
      var isCut = false
      for _ in 0..<1000 where !isCut {
        do { try client.send(chunk) } catch { isCut = true }
      }
      #expect(isCut)
      let reply = try client.read()
      #expect(reply.status == 413 && reply.body.contains("/problems/body-too-large"))
      #expect(reply["Connection"] == "close")
      #expect(eventually { server.summaries.values.first?.status == 413 })
      #expect(try #require(server.summaries.values.first).requestBodyBytes < 300_000)
    }
  }

  @Test func aShortRefusedBodyIsDroppedAndTheConnectionGoesOn() async throws {
    try await TestServer.run([.hello, .echo(), Self.refusing]) { server in
      let client = try server.client()
      for bytes in [1, 2000, 1 << 20] {
        let body = String(repeating: "x", count: bytes)
        let reply = try client.exchange("POST", "/refused", body: body)
        #expect(reply.status == 404 && reply["WWW-Authenticate"] == "Bearer" && reply["Connection"] == nil)
        #expect(try client.exchange("POST", "/none", body: body).status == 404)
        #expect(try client.exchange("PUT", "/echo", body: body).status == 405)
        #expect(try client.exchange("GET", "/hello", body: body).status == 413)
        if bytes > 1024 { #expect(try client.exchange("POST", "/echo", body: body).status == 413) }
      }
      #expect(try client.exchange("POST", "/echo", body: "{}").body == "{}")
    }
  }

  @Test func aLongRefusedBodyIsAnsweredAndTheConnectionEnds() async throws {
    try await TestServer.run([.hello, .echo(), Self.refusing]) { server in
      for (path, status) in [("/echo", 413), ("/refused", 404), ("/none", 404)] {
        let client = try server.client()
        try client.send("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Type: \(Self.jsonType)\r\n")
        try client.send("Content-Length: 8388608\r\n\r\n")
        // This client writes everything before it looks at the answer; that it cannot write all is its news.
        try? client.send([UInt8](repeating: 0x78, count: 8 << 20))
        let reply = try client.read()
        #expect(reply.status == status && reply["Connection"] == "close")
      }
    }
  }

  @Test func a100ContinueComesOnlyForABodyThatIsTaken() async throws {
    try await TestServer.run([.echo(), Self.refusing]) { server in
      let client = try server.client()
      let head = "Host: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
      try client.send("POST /echo HTTP/1.1\r\n" + head)
      #expect(try client.read().status == 100)
      try client.send("{}")
      #expect(try client.read().body == "{}")
      for (path, status) in [("/refused", 404), ("/none", 404)] {
        let client = try server.client()
        try client.send("POST \(path) HTTP/1.1\r\n" + head)
        #expect(try client.read().status == status)
        #expect(try client.readToEnd() == "")
      }
      let large = try server.client()
      try large.send("POST /echo HTTP/1.1\r\n" + head.replacing("Length: 2", with: "Length: 2000"))
      #expect(try large.read().status == 413)
      let chunks = try server.client()
      try chunks.send(Self.chunked("/refused", "Expect: 100-continue\r\n"))
      #expect(try chunks.read().status == 404)
    }
  }

  @Test func mediaTypesAndCodingsAreChecked() async throws {
    try await TestServer.run([.echo()]) { server in
      let client = try server.client()
      func status(_ headers: [String]) throws -> Int {
        try client.request("POST", "/echo", headers + ["Content-Length: 2"])
        try client.send("{}")
        return try client.read().status
      }
      #expect(try status(["Content-Type: application/json"]) == 200)
      #expect(try status(["Content-Type: Application/JSON; charset=utf-8"]) == 200)
      #expect(try status(["Content-Type: application/json", "Content-Encoding: identity"]) == 200)
      #expect(try status(["Content-Type: application/json", "Content-Encoding: br"]) == 415)
      #expect(try status(["Content-Type: text/plain"]) == 415)
      #expect(try status(["Content-Type: application/jsonx"]) == 415)
      #expect(try status([]) == 415)
      #expect(try client.exchange("POST", "/echo", ["Content-Length: 0"]).status == 200)
      #expect(try client.exchange("POST", "/echo").status == 200)
    }
  }

  @Test func anAdmissionComesBeforeTheBodyIsRead() async throws {
    let order = Collected<String>()
    let route = Route(.post, "/x", contentTypes: ["application/json"]) { head in
      order.append("admit \(head.headers["Authorization"] ?? "-")")
      return .direct { request in
        order.append("handle \(request.body.count)")
        return .noContent()
      }
    }
    try await TestServer.run([route]) { server in
      let client = try server.client()
      try client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: \(Self.jsonType)\r\n")
      try client.send("Authorization: k\r\nContent-Length: 5\r\n\r\nab")
      #expect(eventually { !order.values.isEmpty })
      try client.send("cde")
      #expect(try client.read().status == 204)
      #expect(order.values == ["admit k", "handle 5"])
    }
  }
}
