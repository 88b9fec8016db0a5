import Testing

@testable import HTTPServer

@Suite struct ResponseCodingTests {
  private static let text = "{" + String(repeating: #""name":"value","#, count: 200) + "}"
  private static let tag = "\"0123\""
  private static let gzipTag = "\"0123-gzip\""

  /// `GET /x` with a tag, and the same made beforehand as `GET /p`.
  private static func routes(_ text: String = text, type: String = "application/json") throws -> [Route] {
    let headers = [("Content-Type", type), ("ETag", tag)]
    let prepared = try PreparedResponse(headers: headers, body: Array(text.utf8))
    return [
      .get("/x") { _ in Response(status: 200, headers: headers, body: .bytes(Array(text.utf8))) },
      .get("/p") { _ in .prepared(prepared) },
      .getAsync("/a") { _ in Response(status: 200, headers: headers, body: .bytes(Array(text.utf8))) },
    ]
  }

  @Test func weightsDecideWhetherAnAnswerIsPacked() async throws {
    try await TestServer.run(Self.routes()) { server in
      let client = try server.client()
      for (accept, isPacked) in [
        (nil, false), ("gzip", true), ("GZIP", true), ("x-gzip", true), ("*", true), ("br, gzip;q=0.5", true),
        ("gzip;q=0", false), ("gzip;q=0.0", false), ("*;q=0", false), ("*;q=0, gzip", true), ("br", false),
        ("identity", false), ("identity, gzip;q=0.5", false), ("identity;q=0.5, gzip;q=0.5", true),
        ("gzip;q=0.5, *;q=1", false), ("gzip;q=2", false), ("", false), ("deflate;q=1, gzip; q=0.001", true),
      ] {
        for path in ["/x", "/p", "/a"] {
          let reply = try client.exchange("GET", path, accept.map { ["Accept-Encoding: \($0)"] } ?? [])
          #expect(reply.status == 200 && reply["Vary"] == "Accept-Encoding", "\(path) \(accept ?? "-")")
          #expect(reply["Content-Encoding"] == (isPacked ? "gzip" : nil), "\(path) \(accept ?? "-")")
          #expect(reply["ETag"] == (isPacked ? Self.gzipTag : Self.tag), "\(path) \(accept ?? "-")")
          let body = isPacked ? try Gzip.decompressed(reply.bytes, bytesMax: 1 << 20) : reply.bytes
          #expect(String(decoding: body, as: UTF8.self) == Self.text)
          #expect(!isPacked || reply.bytes.count < Self.text.utf8.count / 4)
        }
      }
    }
  }

  @Test func whatWouldNotShrinkIsSentAsItIs() async throws {
    for (text, type) in [("{}", "application/json"), (Self.text, "image/png"), (Self.text, "application/zip")] {
      try await TestServer.run(Self.routes(text, type: type)) { server in
        let client = try server.client()
        for path in ["/x", "/p", "/a"] {
          let reply = try client.exchange("GET", path, ["Accept-Encoding: gzip"])
          #expect(reply.body == text && reply["ETag"] == Self.tag)
          #expect(reply["Content-Encoding"] == nil && reply["Vary"] == nil)
        }
      }
    }
  }

  /// Larger than what is packed on the loop, so that a task does it, whatever kind of handler answers.
  @Test func aLargeAnswerIsPackedElsewhere() async throws {
    let text = String(repeating: "line of a large document\n", count: 20_000)
    try await TestServer.run(Self.routes(text, type: "text/plain; charset=utf-8")) { server in
      let client = try server.client()
      for path in ["/x", "/p", "/a", "/p"] {
        let reply = try client.exchange("GET", path, ["Accept-Encoding: gzip"])
        #expect(reply["Content-Encoding"] == "gzip" && reply["ETag"] == Self.gzipTag)
        #expect(try Gzip.decompressed(reply.bytes, bytesMax: 1 << 20) == Array(text.utf8))
        let head = try client.exchange("HEAD", path, ["Accept-Encoding: gzip"])
        #expect(head["Content-Length"] == "\(reply.bytes.count)" && head["ETag"] == Self.gzipTag)
        #expect(try client.exchange("GET", path).body == text)
      }
    }
  }

  @Test func whatAClientHasIsConfirmedInTheCodingItHasItIn() async throws {
    try await TestServer.run(Self.routes()) { server in
      let client = try server.client()
      for (accept, held, tag) in [
        (nil, Self.tag, Self.tag), (nil, Self.gzipTag, Self.gzipTag), ("gzip", Self.gzipTag, Self.gzipTag),
        ("gzip", Self.tag, Self.tag), ("gzip", "W/\(Self.gzipTag), \"x\"", Self.gzipTag), ("gzip", "*", Self.gzipTag),
        ("gzip", "\(Self.tag), \(Self.gzipTag)", Self.gzipTag), ("identity", "*", Self.tag),
        ("identity", Self.gzipTag, nil), ("gzip;q=0", Self.gzipTag, nil), ("gzip, identity;q=0", Self.tag, nil),
        ("gzip", "\"other\"", nil),
      ] as [(String?, String, String?)] {
        for path in ["/x", "/p", "/a"] {
          let headers = ["If-None-Match: \(held)"] + (accept.map { ["Accept-Encoding: \($0)"] } ?? [])
          let reply = try client.exchange("GET", path, headers)
          #expect(reply.status == (tag == nil ? 200 : 304), "\(path) \(headers)")
          #expect(reply["Vary"] == "Accept-Encoding")
          if let tag {
            #expect(reply["ETag"] == tag && reply["Content-Encoding"] == nil, "\(path) \(headers)")
          }
        }
      }
    }
  }

  @Test func ifMatchNamesAThingInAnyCoding() {
    for (sent, isMatch) in [
      (Self.tag, true), (Self.gzipTag, true), ("\"x\", \(Self.gzipTag)", true), ("W/\(Self.gzipTag)", false),
      ("\"0123-br\"", false), ("*", true),
    ] { #expect(ConditionalRequest.matchesStrongly([sent], entityTag: Self.tag) == isMatch, "\(sent)") }
  }

  @Test func errorsArePackedAndVaryStaysOneLine() async throws {
    let faults = Route.get("/x") { _ in
      throw Problem(.malformedRequest, String(repeating: "long ", count: 400), headers: [("Vary", "Accept-Language")])
    }
    try await TestServer.run([faults]) { server in
      let reply = try server.client().exchange("GET", "/x", ["Accept-Encoding: gzip"])
      #expect(reply.status == 400 && reply["Content-Encoding"] == "gzip")
      #expect(reply["Vary"] == "Accept-Language, Accept-Encoding")
      let text = String(decoding: try Gzip.decompressed(reply.bytes, bytesMax: 1 << 20), as: UTF8.self)
      #expect(text.contains("/problems/malformed-request"))
    }
  }
}
