import Crypto
import Foundation
import Glibc
import TestHarness
import Testing

@testable import Service

/// The whole list of scores in one answer.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ScoreStreamTests {
  private static let lines = ["Accept": "application/x-ndjson"]
  private static let table = ["Accept": "text/csv"]

  /// Providers of which some are known to be bad, and all are scored at the same instant.
  private func withRelays(
    _ count: Int, _ body: @Sendable (TestInstance) async throws -> Void
  ) async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withInstance(clock: clock.clock) { instance in
      let relays = (0..<count).map { number in
        #"{"slug":"p-\#(number)","name":"P \#(number % 50)","hosts":["p-\#(number).example"]}"#
      }
      let imported = try await instance.client.unrecorded.post(
        "/v1/providers/import", relays.joined(separator: "\n"), headers: ["Content-Type": "application/x-ndjson"])
      #expect(imported.json["accepted"].integer == count)
      for number in stride(from: 0, to: min(count, 21), by: 7) {
        try await Declaring.incident(in: instance, provider: "p-\(number)")
      }
      await instance.service.parts.scoreIndex.sweep()
      try await body(instance)
    }
  }

  /// All pages, one behind the other, as texts that are equal when the values are.
  private func paged(_ client: APIClient, _ query: String) async throws -> [Data] {
    var items: [Data] = []
    var next: String? = "/v1/scores?limit=500&\(query)"
    while let target = next {
      let page = try await client.get(target)
      items += try page.json["items"].array.map { try canonical($0.value) }
      next = page.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
    }
    return items
  }

  private func canonical(_ value: Any?) throws -> Data {
    try JSONSerialization.data(withJSONObject: try #require(value), options: .sortedKeys)
  }

  private func values(_ text: String) throws -> [Data] {
    try text.split(separator: "\n").map { try canonical(try JSONSerialization.jsonObject(with: Data($0.utf8))) }
  }

  @Test func tenThousandProvidersAreOneAnswerEqualToThePages() async throws {
    try await withRelays(10_000) { instance in
      let client = instance.client.unrecorded
      for (query, count) in [("sort=-score", 10_000), ("verdict=block&sort=name", 3), ("grade=A", 0)] {
        let pages = try await paged(client, query)
        #expect(pages.count == count, "\(query)")
        let lines = try await client.get("/v1/scores?\(query)", headers: Self.lines)
        #expect(lines.status == 200 && lines.headers["content-type"] == "application/x-ndjson")
        #expect(try values(lines.text) == pages, "\(query)")
        let table = try await client.get("/v1/scores?\(query)&fields=provider,score", headers: Self.table)
        let rows = table.text.components(separatedBy: "\r\n")
        #expect(rows.first == "provider.id,provider.slug,provider.name,provider.status,score")
        #expect(rows.last == "" && rows.count == count + 2)
        let slugs = try pages.map { page in
          TestHarness.JSON(try JSONSerialization.jsonObject(with: page))["provider"]["slug"].string
        }
        #expect(rows.dropFirst().dropLast().map { $0.components(separatedBy: ",")[1] } == slugs)
      }
    }
  }

  @Test func aCopyOfAllScoresIsAStreamOfOneState() async throws {
    try await withRelays(1_000) { instance in
      try await eventually {
        let copy = try await instance.client.unrecorded.get("/v1/changes").json
        guard copy["items"].array.count == 1_000 else { return false }
        let marks = copy["items"].array.map { "\($0["provider"]["id"].string!):\($0["etag"].string!)" }
        let sum = SHA256.hash(data: Data(marks.sorted().joined(separator: "\n").utf8))
        #expect(copy["checksum"].string == hexadecimal(sum) && copy["full"].bool == true)
        return true
      }
    }
  }

  @Test func aListThatIsReadSlowlyIsOfOneInstant() async throws {
    try await withRelays(3_000) { instance in
      let before = try await instance.client.get("/v1/scores?sort=-score", headers: Self.lines).text
      let reader = try SlowReader(instance)
      #expect(try reader.read(1).count == 1)
      // From the end of the list to its beginning, and another name.
      try await Declaring.incident(in: instance, provider: "p-2999")
      let renamed = try await instance.client.send(
        "PATCH", "/v1/providers/p-2000", headers: ["Content-Type": "application/merge-patch+json"],
        body: Data(#"{"name":"Renamed"}"#.utf8))
      #expect(renamed.status == 200)
      #expect(try reader.readBody() == before)
      let after = try await instance.client.get("/v1/scores?sort=-score", headers: Self.lines).text
      #expect(after != before && after.contains("Renamed"))
      #expect(try values(after).count == 3_000)
    }
  }

  @Test func onlySoManyAreReadAtOnce() async throws {
    try await withRelays(200) { instance in
      var permits: [StreamPermits.Permit] = []
      while let permit = try? instance.service.parts.streamPermits.enter() { permits.append(permit) }
      #expect(permits.count > 10)
      let refused = try await instance.client.get("/v1/scores", headers: Self.lines)
      #expect(refused.status == 503 && refused.headers["retry-after"] != nil, "\(refused.text)")
      #expect(refused.json["type"].string == "/problems/too-many-streams")
      // What fits into a piece needs no permit.
      #expect(try await instance.client.get("/v1/scores?limit=500").status == 200)
      #expect(try await instance.client.get("/v1/scores?verdict=block", headers: Self.lines).status == 200)
      permits.removeFirst()
      // Each gives its permit back.
      for _ in 0..<5 {
        try await eventually { try await instance.client.get("/v1/scores", headers: Self.lines).status == 200 }
      }
    }
  }

  @Test func theFormatIsNegotiatedAndHasItsParameters() async throws {
    try await withRelays(5) { instance in
      for (accept, type) in [
        ("*/*", "application/json"), ("application/json", "application/json"),
        ("application/json;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("text/*", "text/csv; charset=utf-8; header=present"),
      ] {
        let answer = try await instance.client.get("/v1/scores", headers: ["Accept": accept])
        #expect(answer.headers["content-type"] == type, "\(accept)")
        #expect(answer.headers["vary"]?.contains("Accept") == true)
        #expect(answer.headers["evidence-as-of"] != nil)
        #expect((answer.headers["cache-control"] == "no-store") == (type != "application/json"))
      }
      #expect(try await instance.client.get("/v1/scores", headers: ["Accept": "text/html"]).status == 406)
      for headers in [Self.lines, Self.table] {
        let answer = try await instance.client.get("/v1/scores?limit=5&cursor=00&sort=x&fields=y", headers: headers)
        #expect(answer.status == 422)
        #expect(Set(answer.json.pointers) == ["?limit", "?cursor", "?sort", "?fields"])
      }
    }
  }

  @Test func fieldsKeepTheOrderOfTheDocument() async throws {
    try await withRelays(1) { instance in
      let whole = try await instance.client.get("/v1/scores").json["items"][0]
      let line = try await instance.client.get("/v1/scores?fields=verdict,provider,score", headers: Self.lines).text
      let page = try await instance.client.get("/v1/scores?fields=verdict,provider,score")
      let score = try #require(whole["score"].double)
      let id = try #require(whole["provider"]["id"].string)
      let provider = #"{"id":"\#(id)","slug":"p-0","name":"P 0","status":"pending"}"#
      let entry = #"{"provider":\#(provider),"score":\#(score),"verdict":"block"}"#
      #expect(line == entry + "\n")
      #expect(page.text == #"{"items":[\#(entry)],"next_cursor":null}"#)
      for member in ScoreFields.Member.allCases {
        let item = try await instance.client.get("/v1/scores?fields=\(member.rawValue)").json["items"][0]
        #expect(item.keys == [member.rawValue])
        #expect(try canonical(item.value) == canonical([member.rawValue: whole[member.rawValue].value]))
      }
      let wrong = try await instance.client.get("/v1/scores?fields=score,hosts,etag,score")
      #expect(wrong.json.pointers == ["?fields", "?fields", "?fields"])
      for name in ["hosts", "etag", "more than once"] { #expect(wrong.text.contains(name)) }
    }
  }

  @Test func aTableIsSafeToOpen() async throws {
    try await withRelays(1) { instance in
      let name = #"=HYPERLINK("https://evil.example","a, b")"#
      _ = try await instance.client.post(
        "/v1/providers", object: ["slug": "evil", "name": name, "hosts": ["evil.example"]])
      let page = try await instance.client.get("/v1/scores?sort=name")
      let whole = page.json["items"][0]
      #expect(whole["provider"]["name"].string == name)
      let rows = try await instance.client.get("/v1/scores?sort=name", headers: Self.table).text
        .components(separatedBy: "\r\n")
      let concerns = whole["concerns"].array.map { $0["concern"].string! }
      let header =
        ["id", "slug", "name", "status"].map { "provider.\($0)" } + [
          "score", "provisional_score", "grade", "verdict", "evidence", "coverage", "evaluated_at",
        ] + concerns.flatMap { ["concerns.\($0).score", "concerns.\($0).critical"] }
      #expect(rows[0] == header.joined(separator: ","))
      let id = try #require(whole["provider"]["id"].string)
      let quoted = #""'=HYPERLINK(""https://evil.example"",""a, b"")""#
      // As they stand there: Foundation would round them.
      let numbers = [/"provisional_score":([0-9.]+)/, /"coverage":([0-9.]+)/].map { page.text.firstMatch(of: $0)!.1 }
      let start = "\(id),evil,\(quoted),pending,,\(numbers[0]),,unknown,insufficient,\(numbers[1]),"
      #expect(rows[1].hasPrefix(start), "\(rows[1])")
    }
  }

  @Test func textIsQuotedAndNoFormula() {
    for (text, cell) in [
      ("", ""), ("plain", "plain"), ("a b", "a b"), ("a,b", #""a,b""#), (#"a"b"#, #""a""b""#), ("a\nb", "\"a\nb\""),
      ("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\t=1", "'\t=1"), ("\r\n=1", "\"'\r\n=1\""),
      ("＝1", "'＝1"), ("＋1", "'＋1"), ("－1", "'－1"), ("＠1", "'＠1"), ("=\u{301}1", "'=\u{301}1"), ("a=1", "a=1"),
      ("中转", "中转"),
    ] {
      var line = CSVLine()
      line.add(text)
      line.add(0.1)
      line.add(nil)
      #expect(String(decoding: line.terminated, as: UTF8.self) == "\(cell),0.1,\r\n", "\(text)")
    }
  }
}

/// Asks for all scores as lines and reads when told to, from a socket that takes little.
private final class SlowReader {
  private let descriptor: Int32

  init(_ instance: TestInstance) throws {
    let port = try #require(UInt16(instance.client.base.split(separator: ":").last!))
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var taken: Int32 = 4_096
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &taken, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
    let request =
      "GET /v1/scores?sort=-score HTTP/1.1\r\nHost: test\r\nAccept: application/x-ndjson\r\nConnection: close\r\n"
      + "Authorization: Bearer \(instance.adminKey)\r\n\r\n"
    try #require(send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count)
  }

  deinit { close(descriptor) }

  /// Waits for at least one byte; none at the end.
  func read(_ countMax: Int) throws -> [UInt8] {
    var piece = [UInt8](repeating: 0, count: countMax)
    let count = recv(descriptor, &piece, countMax, 0)
    try #require(count >= 0)
    received += piece.prefix(count)
    return Array(piece.prefix(count))
  }
  private var received: [UInt8] = []

  /// The body, taken out of its chunks.
  func readBody() throws -> String {
    while try !read(65_536).isEmpty {}
    let start = try #require(received.firstRange(of: Array("\r\n\r\n".utf8)))
    var (body, rest): ([UInt8], ArraySlice<UInt8>) = ([], received[start.upperBound...])
    while let line = rest.firstRange(of: Array("\r\n".utf8)) {
      let size = try #require(Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16))
      if size == 0 { return String(decoding: body, as: UTF8.self) }
      body += rest[line.upperBound..<line.upperBound + size]
      rest = rest[(line.upperBound + size + 2)...]
    }
    throw TestFault.cut
  }

  private enum TestFault: Error { case cut }
}
