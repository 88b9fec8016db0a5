import Glibc
import Testing

@testable import HTTPServer

/// Bodies that a handler reads as they come.
@Suite struct UploadStreamTests {
  private static let type = "application/json"

  /// Counts what it reads, with the largest piece.
  private static func counting(
    bytesMax: Int = 64 << 20, pause: Duration = .zero, _ seen: Collected<String> = Collected()
  ) -> Route {
    Route(.post, "/count", contentTypes: [type]) { _ in
      .stream(bytesMax: bytesMax) { _, body in
        var (bytes, largest) = (0, 0)
        do {
          while let piece = try await body.next() {
            bytes += piece.count
            largest = max(largest, piece.count)
            if pause > .zero { try await Task.sleep(for: pause) }
          }
        } catch {
          seen.append("\(Swift.type(of: error))")
          throw error
        }
        return Response(status: 200, body: .bytes(Array("\(bytes) \(largest)".utf8)))
      }
    }
  }

  private static let chunkedHead =
    "POST /count HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

  @Test func everyByteArrivesAndTheConnectionGoesOn() async throws {
    try await TestServer.run([Self.counting()]) { server in
      let client = try server.client()
      for bytes in [0, 1, 1024, 3 << 20] {
        let reply = try client.exchange("POST", "/count", body: String(repeating: "x", count: bytes))
        #expect(reply.status == 200 && reply.body.hasPrefix("\(bytes) "))
      }
      try client.send(Self.chunkedHead + "3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n")
      #expect(try client.read().body.hasPrefix("8 "))
      try client.send(Self.chunkedHead + "0\r\n\r\n")
      #expect(try client.read().body == "0 0")
    }
  }

  @Test func whatASlowHandlerLeavesIsNotTakenFromTheClient() async throws {
    try await TestServer.run([Self.counting(pause: .milliseconds(2))]) { server in
      let body = String(repeating: "x", count: 16 << 20)
      let words = try server.client().exchange("POST", "/count", body: body).body.split(separator: " ")
      #expect(words.first == "\(16 << 20)")
      // A quarter of a megabyte and the piece that reached it, which is a connection's read buffer at most.
      #expect(try #require(words.last.flatMap { Int($0) }) < (256 + 64) * 1024)
    }
  }

  @Test func anAnswerBeforeTheEndArrivesAfterIt() async throws {
    let early = Route(.post, "/early", contentTypes: [Self.type]) { _ in
      .stream(bytesMax: 64 << 20) { _, body in
        _ = try await body.next()
        return Response(status: 202, body: .none)
      }
    }
    let limits = ServerLimits(refusedBodyBytesMax: 4 << 20, drainGraceSeconds: 5)
    try await TestServer.run([early], limits: limits) { server in
      let client = try server.client()
      #expect(try client.exchange("POST", "/early", body: String(repeating: "x", count: 2 << 20)).status == 202)
      #expect(try client.exchange("POST", "/early", body: "{}").status == 202)
      // What would go on and on is cut.
      let chunk = "8000\r\n" + String(repeating: "y", count: 0x8000) + "\r\n"
      try client.send(Self.chunkedHead.replacing("/count", with: "/early"))
      var isCut = false
      for _ in 0..<1000 where !isCut {
        do { try client.send(chunk) } catch { isCut = true }
      }
      #expect(isCut)
      #expect(eventually { server.summaries.values.count == 3 })
    }
  }

  @Test func aBodyThatIsTooLongIsRefused() async throws {
    try await TestServer.run([Self.counting(bytesMax: 100_000)]) { server in
      let client = try server.client()
      #expect(try client.exchange("POST", "/count", body: String(repeating: "x", count: 100_000)).status == 200)
      let declared = try client.exchange("POST", "/count", body: String(repeating: "x", count: 100_001))
      #expect(declared.status == 413 && declared.body.contains("100000 bytes"))
      let chunk = "8000\r\n" + String(repeating: "y", count: 0x8000) + "\r\n"
      try client.send(Self.chunkedHead + String(repeating: chunk, count: 4) + "0\r\n\r\n")
      let chunked = try client.read()
      #expect(chunked.status == 413 && chunked.body.contains("100000 bytes"))
      #expect(try client.exchange("POST", "/count", body: "{}").body == "2 2")
    }
  }

  @Test func packedBodiesAreUnpackedPieceByPiece() async throws {
    try await TestServer.run([Self.counting(bytesMax: 40 << 20)]) { server in
      let client = try server.client()
      let coding = ["Content-Encoding: gzip"]
      let member = try #require(Gzip.compressed(Array(String(repeating: "a line\n", count: 1_000_000).utf8)))
      let one = try client.post("/count", coding, bytes: member)
      #expect(one.body == "7000000 \(256 * 1024)")
      let three = try client.post("/count", coding, bytes: member + member + member)
      #expect(three.status == 200 && three.body.hasPrefix("21000000 "))
      #expect(try client.post("/count", coding, bytes: member.dropLast(20) + []).status == 400)
      #expect(try client.post("/count", coding, bytes: member + [1, 2, 3]).status == 400)
      let bomb = try client.post("/count", coding, bytes: member + member + member + member + member + member)
      #expect(bomb.status == 413 && bomb.body.contains("unpacks"))
    }
  }

  @Test func aHandlerLearnsThatItsClientLeft() async throws {
    let seen = Collected<String>()
    try await TestServer.run([Self.counting(seen)]) { server in
      var client: TestClient? = try server.client()
      try client?.send(Self.chunkedHead + "3\r\nabc\r\n")
      #expect(eventually { server.server.requestsInFlight == 1 })
      client = nil
      #expect(eventually { seen.values == ["CancellationError"] })
    }
  }

  @Test func theDeadlineIsOfThePaceOfTheBody() async throws {
    let limits = ServerLimits(requestDeadlineSeconds: 1, bodyBytesPerSecondMin: 100, drainGraceSeconds: 5)
    try await TestServer.run([Self.counting()], limits: limits) { server in
      // Twice the pace that is asked for, for longer than the deadline.
      let steady = try server.client()
      try steady.send(Self.chunkedHead)
      for _ in 0..<25 {
        try steady.send("14\r\n12345678901234567890\r\n")
        usleep(100_000)
      }
      try steady.send("0\r\n\r\n")
      #expect(try steady.read().body.hasPrefix("500 "))
      // A tenth of it is cut.
      let slow = try server.client()
      try slow.send(Self.chunkedHead)
      var isCut = false
      for _ in 0..<100 where !isCut {
        do { try slow.send("1\r\nx\r\n") } catch { isCut = true }
        usleep(100_000)
      }
      #expect(isCut)
    }
  }

  @Test func aServerThatStopsWaitsForNoBody() async throws {
    let seen = Collected<String>()
    let server = try TestServer.start([Self.counting(seen)], limits: ServerLimits(drainGraceSeconds: 0))
    let client = try server.client()
    try client.send(Self.chunkedHead + "3\r\nabc\r\n")
    #expect(await offThePool { eventually { server.server.requestsInFlight == 1 } })
    await server.server.stop()
    #expect(seen.values.count == 1)
  }
}
