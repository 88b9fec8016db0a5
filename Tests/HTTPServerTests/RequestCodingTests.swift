import Testing

@testable import HTTPServer

@Suite struct RequestCodingTests {
  private static let gzip = ["Content-Encoding: gzip"]
  /// By gzip(1): "hello gzip".
  private static let foreign: [UInt8] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0x48, 0xaf, 0xca,
    0x2c, 0x00, 0x00, 0x19, 0x6a, 0xd2, 0xdf, 0x0a, 0x00, 0x00, 0x00,
  ]

  private static func packed(_ text: String) throws -> [UInt8] {
    try #require(Gzip.compressed(Array(text.utf8)))
  }

  /// One route that unpacks on the loop and one that does it in a task, by either kind of handler.
  private static let routes: [Route] = [
    .echo("/small", bodyBytesMax: 10_000), .echo("/large", bodyBytesMax: 1 << 20),
    Route(.post, "/task", bodyBytesMax: 1 << 20, contentTypes: ["application/json"]) { _ in .async { .json($0.body) } },
  ]

  @Test func packedBodiesArriveUnpacked() async throws {
    try await TestServer.run(Self.routes) { server in
      let client = try server.client()
      for path in ["/small", "/large", "/task"] {
        #expect(try client.post(path, Self.gzip, bytes: Self.foreign).body == "hello gzip")
        #expect(try client.post(path, ["Content-Encoding: X-GZIP"], bytes: Self.foreign).body == "hello gzip")
        #expect(
          try client.post(path, ["Content-Encoding: identity, gzip"], bytes: Self.foreign).body == "hello gzip")
        let several = try Self.foreign + Self.packed("") + Self.packed(", twice") + Self.foreign
        #expect(try client.post(path, Self.gzip, bytes: several).body == "hello gzip, twicehello gzip")
        #expect(try client.exchange("POST", path, Self.gzip).body == "")
        let text = String(repeating: "0123456789", count: 1000)
        #expect(try client.post(path, Self.gzip, bytes: try Self.packed(text)).body == text)
      }
    }
  }

  @Test func theLimitIsThatOfWhatComesOut() async throws {
    try await TestServer.run(Self.routes) { server in
      for (path, limit) in [("/small", 10_000), ("/large", 1 << 20), ("/task", 1 << 20)] {
        // The last one unpacks to a hundred times the limit and takes the time and memory of the limit alone.
        for (bytes, status) in [(limit, 200), (limit + 1, 413), (limit * 100, 413)] {
          // Packed before there is a connection, which would be closed for its silence on a busy machine.
          let packed = try Self.packed(String(repeating: "x", count: bytes))
          let reply = try server.client().post(path, Self.gzip, bytes: packed)
          #expect(reply.status == status, "\(path) \(bytes)")
          if status == 413 { #expect(reply.body.contains("unpacks to more than the \(limit) bytes")) }
        }
        let many = Array(repeatElement(try Self.packed(String(repeating: "x", count: limit / 2)), count: 3).joined())
        #expect(try server.client().post(path, Self.gzip, bytes: many).status == 413)
      }
      // What comes is limited as well, before it is looked at.
      let noise = [UInt8](repeating: 0, count: 10_001)
      #expect(try server.client().post("/small", Self.gzip, bytes: noise).status == 413)
    }
  }

  @Test func whatIsNoGzipIsRefused() async throws {
    var damaged = try Self.packed("some text that is long enough to be damaged")
    damaged[damaged.count - 6] ^= 1
    let wrong: [[UInt8]] = [
      [0x7b, 0x7d], Array(Self.foreign.dropLast()), Array(Self.foreign.dropLast(9)), Array(Self.foreign.prefix(5)),
      Self.foreign + [0], Self.foreign + Array(Self.foreign.dropLast(3)), Self.foreign + Array("{}".utf8), damaged,
    ]
    try await TestServer.run(Self.routes) { server in
      let client = try server.client()
      for path in ["/small", "/large", "/task"] {
        for bytes in wrong {
          let reply = try client.post(path, Self.gzip, bytes: bytes)
          #expect(reply.status == 400 && reply.body.contains("/problems/malformed-request"), "\(path) \(bytes)")
        }
        #expect(try client.post(path, Self.gzip, bytes: Self.foreign).status == 200)
      }
      let other = try server.client()
      let head = "POST /small HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
      try other.send(head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
      #expect(try other.read().status == 400)
    }
  }

  @Test func otherCodingsAreRefusedWithThoseThereAre() async throws {
    try await TestServer.run(Self.routes) { server in
      let client = try server.client()
      for headers in [["br"], ["gzip, gzip"], ["deflate, gzip"], ["gzip", "gzip"], ["gzip", "br"]] {
        let reply = try client.post("/small", headers.map { "Content-Encoding: \($0)" }, bytes: Self.foreign)
        #expect(reply.status == 415 && reply["Accept-Encoding"] == "gzip, identity", "\(headers)")
      }
    }
  }
}
