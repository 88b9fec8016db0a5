import Glibc
import Synchronization
import Testing

@testable import HTTPServer

/// Bodies that are made while they are sent, over real sockets.
@Suite(.serialized, .timeLimit(.minutes(2))) struct StreamTests {
  /// Counts the sources that exist: one that is gone was let go of by everybody.
  private final class Source: Sendable {
    private let alive: Census
    private let pieces: Atomic<Int>
    let text: String

    final class Census: Sendable { let count = Atomic<Int>(0) }

    init(_ alive: Census, pieces: Int, text: String = "piece\n") {
      self.alive = alive
      self.pieces = Atomic(pieces)
      self.text = text
      alive.count.add(1, ordering: .relaxed)
    }
    deinit { alive.count.subtract(1, ordering: .relaxed) }

    /// Nil after the last piece.
    func take() -> [UInt8]? {
      pieces.subtract(1, ordering: .relaxed).oldValue > 0 ? Array(text.utf8) : nil
    }
  }

  private static func alive(_ alive: Source.Census) -> Int { alive.count.load(ordering: .relaxed) }

  /// `GET /stream` with so many pieces, each after a wait when `waits`.
  private static func route(_ alive: Source.Census, pieces: Int, text: String = "piece\n", waits: Bool) -> Route {
    .get("/stream") { _ in
      let source = Source(alive, pieces: pieces, text: text)
      return Response(
        status: 200, headers: [("Content-Type", "text/plain")],
        body: .stream(
          BodyStream {
            if waits { try await Task.sleep(for: .milliseconds(1)) }
            return source.take()
          }))
    }
  }

  /// `GET /endless`, silent after its first piece until the flag is raised; then one more, and silence again.
  private static func endless(_ alive: Source.Census, _ news: Flag) -> Route {
    .getAsync("/endless") { _ in
      let source = Source(alive, pieces: 2)
      let stream = EndlessPieces(source: source, news: news)
      return Response(
        status: 200, headers: [("Content-Type", "text/event-stream")],
        body: .stream(BodyStream(isEndless: true) { try await stream.next() }))
    }
  }

  private final class EndlessPieces: Sendable {
    private let source: Source
    private let news: Flag
    private let isFirst = Mutex(true)

    init(source: Source, news: Flag) {
      self.source = source
      self.news = news
    }

    func next() async throws -> [UInt8]? {
      let isFirst = isFirst.withLock { isFirst in
        defer { isFirst = false }
        return isFirst
      }
      if isFirst { return source.take() }
      while !news.isRaised { try await Task.sleep(for: .milliseconds(5)) }
      if let piece = source.take() { return piece }
      while true { try await Task.sleep(for: .seconds(60)) }
    }
  }

  @Test(arguments: [false, true])
  func aBodyArrivesWholeInChunksAndTheConnectionGoesOn(waits: Bool) async throws {
    let alive = Source.Census()
    try await TestServer.run([Self.route(alive, pieces: 300, waits: waits), .hello]) { server in
      let client = try server.client()
      let reply = try client.exchange("GET", "/stream")
      #expect(reply.status == 200)
      #expect(reply["Transfer-Encoding"] == "chunked")
      #expect(reply["Content-Length"] == nil)
      #expect(try client.readChunks() == String(repeating: "piece\n", count: 300))
      #expect(try client.exchange("GET", "/hello").body == "hello")
      #expect(eventually { Self.alive(alive) == 0 })
      let summary = try #require(server.summaries.values.first)
      #expect(summary.isComplete)
      #expect(summary.responseBodyBytes == 1_800)
    }
  }

  /// As one member, whatever the pieces are; nothing of a stream without an end waits in a packer.
  @Test(arguments: [1, 700, 100_000])
  func aStreamIsPackedUnlessItIsEndless(pieceBytes: Int) async throws {
    let alive = Source.Census()
    let text = String(String(repeating: "abc defg hij ", count: 10_000).prefix(pieceBytes))
    let routes = [
      Self.route(alive, pieces: 20, text: text, waits: true), Self.endless(alive, Flag()), Route.hello,
    ]
    try await TestServer.run(routes) { server in
      let client = try server.client()
      for _ in 0..<2 {
        let reply = try client.exchange("GET", "/stream", ["Accept-Encoding: gzip"])
        #expect(reply["Content-Encoding"] == "gzip" && reply["Vary"] == "Accept-Encoding")
        let packed = try client.readChunkedBytes()
        let whole = String(repeating: text, count: 20)
        #expect(try Gzip.decompressed(packed, bytesMax: 1 << 22) == Array(whole.utf8))
        if pieceBytes > 1 { #expect(packed.count < whole.utf8.count / 4) }
      }
      #expect(try client.exchange("GET", "/stream")["Content-Encoding"] == nil)
      #expect(try client.readChunks() == String(repeating: text, count: 20))
      try client.request("GET", "/endless", ["Accept-Encoding: gzip"])
      #expect(try client.read()["Content-Encoding"] == nil)
      #expect(try client.readChunk() == "piece\n")
      let leaving = try server.client()
      #expect(try leaving.exchange("GET", "/stream", ["Accept-Encoding: gzip"]).status == 200)
    }
    await offThePool { #expect(eventually { Self.alive(alive) == 0 }) }
  }

  @Test func headAndHTTP10AreAnsweredWithoutChunks() async throws {
    let alive = Source.Census()
    try await TestServer.run([Self.route(alive, pieces: 3, waits: true), .hello]) { server in
      let client = try server.client()
      try client.request("HEAD", "/stream")
      let head = try client.readToEnd()
      #expect(head.hasPrefix("HTTP/1.1 200 ") && head.contains("Connection: close\r\n"), "\(head)")
      #expect(!head.contains("piece") && !head.contains("Content-Length"))
      let old = try server.client()
      try old.send("GET /stream HTTP/1.0\r\n\r\n")
      let all = try old.readToEnd()
      #expect(all.hasSuffix("\r\n\r\npiece\npiece\npiece\n"), "\(all)")
      #expect(eventually { Self.alive(alive) == 0 })
    }
  }

  @Test func anErrorInTheMiddleCutsTheConnection() async throws {
    struct Broken: Error {}
    let route = Route.get("/broken") { _ in
      let source = Source(Source.Census(), pieces: 1, text: "begun")
      return Response(
        status: 200,
        body: .stream(
          BodyStream {
            guard let piece = source.take() else { throw Broken() }
            return piece
          }))
    }
    try await TestServer.run([route]) { server in
      let client = try server.client()
      try client.request("GET", "/broken")
      let all = try client.readToEnd()
      #expect(all.contains("begun"))
      // Without the last chunk the client knows that something is missing.
      #expect(!all.hasSuffix("0\r\n\r\n"))
      #expect(eventually { server.summaries.values.count == 1 })
      #expect(server.summaries.values[0].isComplete == false)
      #expect(server.log.lines.values.contains { $0.contains("Broken") })
    }
  }

  @Test func neitherSilenceNorTheDeadlineEndsAStream() async throws {
    let alive = Source.Census()
    let news = Flag()
    let limits = ServerLimits(idleTimeoutSeconds: 1, requestDeadlineSeconds: 1, drainGraceSeconds: 5)
    try await TestServer.run([Self.endless(alive, news)], limits: limits) { server in
      let client = try server.client()
      try client.request("GET", "/endless")
      #expect(try client.read().status == 200)
      #expect(try client.readChunk() == "piece\n")
      // More than both limits.
      usleep(2_500_000)
      news.raise()
      #expect(try client.readChunk() == "piece\n")
    }
    #expect(Self.alive(alive) == 0)
  }

  @Test func manyStreamsAtOnceAndTheirEnds() async throws {
    let alive = Source.Census()
    let news = Flag()
    try await TestServer.run([Self.endless(alive, news), .hello]) { server in
      var clients = try (0..<300).map { _ in try server.client() }
      for client in clients { try client.request("GET", "/endless") }
      for client in clients { #expect(try client.read().status == 200) }
      for client in clients { #expect(try client.readChunk() == "piece\n") }
      #expect(Self.alive(alive) == 300)
      // Who leaves is noticed, although nothing is sent.
      clients.removeFirst(100)
      #expect(eventually { Self.alive(alive) == 200 && server.server.connectionsCurrent == 200 })
      news.raise()
      for client in clients { #expect(try client.readChunk() == "piece\n") }
      #expect(try server.client().exchange("GET", "/hello").body == "hello")
      clients.removeAll()
      #expect(eventually { Self.alive(alive) == 0 && server.server.connectionsCurrent == 0 })
      #expect(server.server.requestsInFlight == 0)
    }
  }

  @Test func whoNeverReadsCostsOnePieceAndIsDropped() async throws {
    let alive = Source.Census()
    let text = String(repeating: "x", count: 64 * 1024)
    let limits = ServerLimits(idleTimeoutSeconds: 1, drainGraceSeconds: 5)
    try await TestServer.run(
      [Self.route(alive, pieces: .max, text: text, waits: false), .hello], limits: limits
    ) { server in
      let client = try server.client()
      try client.request("GET", "/stream")
      #expect(eventually { Self.alive(alive) == 1 })
      // Others are served meanwhile.
      #expect(try server.client().exchange("GET", "/hello").body == "hello")
      #expect(eventually { Self.alive(alive) == 0 })
      let summary = try #require(server.summaries.values.first { $0.route == "/stream" })
      #expect(!summary.isComplete)
      // What the two sockets took, and no more.
      #expect(summary.responseBodyBytes < 64 * 1024 * 1024)
    }
  }

  @Test func stoppingEndsEndlessStreamsCleanlyAndWaitsForOthers() async throws {
    let alive = Source.Census()
    let server = try TestServer.start([
      Self.endless(alive, Flag()), Self.route(alive, pieces: 200, waits: true),
    ])
    let bodies = Collected<String>()
    for path in ["/endless", "/stream"] {
      for _ in 0..<20 {
        Thread.run {
          do {
            let client = try server.client()
            try client.request("GET", path)
            _ = try client.read()
            bodies.append(try client.readChunks())
          } catch {
            bodies.append("\(error)")
          }
        }
      }
    }
    await offThePool { #expect(eventually { Self.alive(alive) == 40 }) }
    await server.server.stop()
    #expect(server.server.requestsInFlight == 0)
    await offThePool { #expect(eventually { bodies.values.count == 40 }) }
    #expect(bodies.values.filter { $0 == "piece\n" }.count == 20)
    #expect(bodies.values.filter { $0 == String(repeating: "piece\n", count: 200) }.count == 20)
    #expect(Self.alive(alive) == 0)
  }

  @Test func aStreamThatOutlastsTheGraceIsCut() async throws {
    let alive = Source.Census()
    let server = try TestServer.start(
      [Self.route(alive, pieces: .max, waits: true)], limits: ServerLimits(drainGraceSeconds: 0))
    let ended = Collected<String>()
    Thread.run {
      do {
        let client = try server.client()
        try client.request("GET", "/stream")
        ended.append(try client.readToEnd())
      } catch {
        ended.append("")
      }
    }
    await offThePool { #expect(eventually { Self.alive(alive) == 1 }) }
    await server.server.stop()
    #expect(Self.alive(alive) == 0)
    await offThePool { #expect(eventually { ended.values.count == 1 }) }
    #expect(ended.values.first?.hasSuffix("0\r\n\r\n") == false)
  }
}

extension TestClient {
  /// One chunk of a body; nil at its end.
  func readChunk() throws -> String? { try readChunkBytes().map { String(decoding: $0, as: UTF8.self) } }

  private func readChunkBytes() throws -> [UInt8]? {
    let size = try readLine()
    guard let count = Int(size, radix: 16) else { throw ClientFault.malformed(size) }
    let bytes = try readBytes(count)
    _ = try readLine()
    return count == 0 ? nil : bytes
  }

  func readChunkedBytes() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let chunk = try readChunkBytes() { bytes += chunk }
    return bytes
  }

  func readChunks() throws -> String {
    var text = ""
    while let chunk = try readChunk() { text += chunk }
    return text
  }
}
