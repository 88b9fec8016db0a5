import Synchronization
import Testing

@testable import HTTPServer

/// Headers that an admission asks for are on every answer, whatever it is and wherever it is made.
@Suite struct AdmissionNoteTests {
  /// Counts how often the headers were asked for.
  private final class Notes: Sendable {
    private let count = Mutex(0)

    func headers() -> [(name: String, value: String)] {
      let number = count.withLock { count in
        count += 1
        return count
      }
      return [("X-Note", "\(number)")]
    }
  }

  /// Two of them.
  private final class Pieces: Sendable {
    private let left = Mutex(2)

    func take() -> [UInt8]? {
      left.withLock { left in
        left -= 1
        return left >= 0 ? [UInt8(ascii: "A")] : nil
      }
    }
  }

  private static func route(_ path: String, _ notes: Notes, _ admission: Admission) -> Route {
    Route(.get, path, bodyBytesMax: 4, contentTypes: ["text/plain"], produces: ["text/plain"]) { _ in
      .noting(notes.headers, admission)
    }
  }

  private static func routes(_ notes: Notes) throws -> [Route] {
    struct Broken: Error {}
    let headers = [("Content-Type", "text/plain"), ("ETag", "\"1\"")]
    let prepared = try PreparedResponse(headers: headers, body: Array("known".utf8))
    return [
      route("/direct", notes, .direct { _ in .text("direct") }),
      route("/async", notes, .async { _ in .text("async") }),
      route("/broken", notes, .direct { _ in throw Broken() }),
      route("/refused", notes, .refuse(Problem(.notFound, "refused"))),
      route("/later", notes, .later { .direct { _ in .text("later") } }),
      route("/late", notes, .later { .refuse(Problem(.notFound, "late")) }),
      route(
        "/prepared", notes,
        .direct { _ in
          var response = Response.prepared(prepared)
          response.reuse = Reuse { true }
          return response
        }),
      route(
        "/stream", notes,
        .direct { _ in
          let pieces = Pieces()
          return Response(status: 200, body: .stream(BodyStream { pieces.take() }))
        }),
    ]
  }

  @Test func everyAnswerHasThemOnceAndAnew() async throws {
    let notes = Notes()
    try await TestServer.run(try Self.routes(notes)) { server in
      let client = try server.client()
      var number = 0
      for (path, headers, status) in [
        ("/direct", [], 200), ("/async", [], 200), ("/broken", [], 500), ("/refused", [], 404), ("/later", [], 200),
        ("/late", [], 404), ("/prepared", [], 200), ("/prepared", [], 200),
        ("/prepared", ["If-None-Match: \"1\""], 304),
        ("/direct", ["Accept: text/html"], 406),
      ] as [(String, [String], Int)] {
        let reply = try client.exchange("GET", path, headers)
        number += 1
        #expect(reply.status == status, "\(path)")
        #expect(reply.headers.filter { $0.name == "X-Note" }.map(\.value) == ["\(number)"], "\(path)")
      }
      try client.request("GET", "/stream")
      #expect(try client.read()["X-Note"] == "\(number + 1)")
      #expect(try client.readChunks() == "AA")
      let long = try server.client()
      try long.request("GET", "/direct", ["Content-Type: text/plain", "Content-Length: 9"])
      try long.send("too long!")
      let refused = try long.read()
      #expect(refused.status == 413 && refused["X-Note"] == "\(number + 2)")
    }
  }

  /// An upload that goes on after it was refused is answered past the library.
  @Test func anUploadThatIsCutOffHasThemToo() async throws {
    let notes = Notes()
    let limits = ServerLimits(refusedBodyBytesMax: 1_000)
    try await TestServer.run(try Self.routes(notes), limits: limits) { server in
      let client = try server.client()
      try client.request("GET", "/direct", ["Content-Type: text/plain", "Transfer-Encoding: chunked"])
      try client.send(String(repeating: "190\r\n" + String(repeating: "x", count: 400) + "\r\n", count: 4))
      let reply = try client.read()
      #expect(reply.status == 413 && reply["X-Note"] == "1")
    }
  }
}
