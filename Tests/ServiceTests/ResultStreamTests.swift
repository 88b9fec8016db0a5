import Foundation
import TestHarness
import Testing

@testable import Service

/// Results as NDJSON.
@Suite(.serialized) struct ResultStreamTests {
  private static let ndjson = ["Content-Type": "application/x-ndjson"]

  private static func line(_ id: String, _ fields: [String: Any?] = [:]) throws -> String {
    let body = Posting.result(["source": "lab", "external_id": id].merging(fields) { $1 })
    return String(decoding: try JSONSerialization.data(withJSONObject: body.compactMapValues { $0 }), as: UTF8.self)
  }

  private static func post(
    _ client: APIClient, _ text: String, query: String = "", headers: [String: String] = [:]
  ) async throws -> Answer {
    try await client.send(
      "POST", "/v1/probe-results" + query, headers: ndjson.merging(headers) { $1 }, body: Data(text.utf8))
  }

  private static func storedCount(_ instance: TestInstance) async throws -> Int {
    try await instance.database.query("select count(*) from result") { try $0.next(Int.self) }[0]
  }

  @Test func onlyLinesThatWereNotAcceptedAreListed() async throws {
    try await withRegisteredRelay { instance in
      let first = try Self.line("x-0")
      var lines = try (0..<2_500).map { try Self.line("x-\($0)") }
      lines[0] = first
      lines[700] = "{\"provider\":"
      lines[1_200] = first
      lines[1_300] = try Self.line("x-1300", ["outcome": "perhaps", "confidence": 2])
      lines[2_400] = "{\"note\":\"" + String(repeating: "n", count: ProbeResultRoutes.oneBytesMax) + "\"}"
      lines[2_499] = try Self.line("x-0", ["outcome": "pass"])
      // Blank lines are no lines, and the last one need not end.
      let answer = try await Self.post(instance.client, "\n" + lines.joined(separator: "\r\n \n"))
      #expect(answer.status == 200)
      #expect(answer.json["accepted"].integer == 2_495)
      #expect(answer.json["duplicates"].integer == 1)
      #expect(answer.json["rejected"].integer == 4)
      let listed = answer.json["results"].array
      #expect(listed.map { $0["index"].integer } == [700, 1_200, 1_300, 2_400, 2_499])
      #expect(listed.map { $0["status"].string } == ["rejected", "duplicate", "rejected", "rejected", "rejected"])
      #expect(
        listed.map { $0["problem"]["type"].string?.split(separator: "/").last.map(String.init) } == [
          "malformed-json", nil, "invalid-request", "body-too-large", "conflict",
        ])
      #expect(listed[2]["problem"]["errors"].array.map { $0["pointer"].string } == ["/outcome", "/confidence"])
      #expect(try await Self.storedCount(instance) == 2_495)
      let again = try await Self.post(instance.client, lines[0] + "\n" + lines[1])
      #expect(again.json["duplicates"].integer == 2)
    }
  }

  @Test func anEmptyStreamIsNothing() async throws {
    try await withRegisteredRelay { instance in
      for text in ["", "\n", " \r\n\t\n"] {
        let answer = try await Self.post(instance.client, text)
        #expect(answer.status == 200 && answer.json["accepted"].integer == 0)
        #expect(answer.json["results"].array.isEmpty)
      }
    }
  }

  @Test func anAtomicStreamIsStoredWholeOrNotAtAll() async throws {
    try await withRegisteredRelay { instance in
      let lines = try (0..<1_500).map { try Self.line("x-\($0)") }
      let wrong = try await Self.post(
        instance.client, (lines + ["{}"]).joined(separator: "\n"), query: "?atomic=true")
      #expect(wrong.json["rejected"].integer == 1_501 && wrong.json["accepted"].integer == 0)
      #expect(try await Self.storedCount(instance) == 0)
      let right = try await Self.post(instance.client, lines.joined(separator: "\n"), query: "?atomic=true")
      #expect(right.json["accepted"].integer == 1_500 && right.json["results"].array.isEmpty)
      let stream = try await Self.post(instance.client, lines.joined(separator: "\n"), query: "?atomic=false")
      #expect(stream.json["duplicates"].integer == 1_500)
      let neither = try await Self.post(instance.client, lines[0], query: "?atomic=perhaps")
      #expect(neither.status == 422)
      let unknown = try await Self.post(instance.client, lines[0], query: "?atomc=true")
      #expect(unknown.status == 422)
    }
  }

  @Test func aRepeatedStreamWithAKeyIsAnsweredAsBefore() async throws {
    try await withRegisteredRelay { instance in
      let text = try (0..<20).map { try Self.line("x-\($0)") }.joined(separator: "\n")
      let key = ["Idempotency-Key": "a-key"]
      let first = try await Self.post(instance.client, text, headers: key)
      let second = try await Self.post(instance.client, text, headers: key)
      #expect(first.json["accepted"].integer == 20)
      #expect(second.body == first.body)
      let other = try await Self.post(instance.client, text + "\n" + text, headers: key)
      #expect(other.status == 422)
    }
  }

  @Test func moreLinesThanAllowedAreRefusedAndTheAnswerStaysShort() async throws {
    try await withRegisteredRelay { instance in
      let limit = ResultStream.linesCountMax
      let most = try await Self.post(instance.client, String(repeating: "1\n", count: limit))
      #expect(most.status == 200 && most.json["rejected"].integer == limit)
      // Half a kilobyte each at most, though each line has several faults.
      #expect(most.body.count < limit * 512)
      let more = try await Self.post(instance.client, String(repeating: "1\n", count: limit + 1))
      #expect(more.status == 413)
      #expect(more.json["detail"].string?.contains("The first \(limit) lines were dealt with") == true)
    }
  }

  @Test func moreStreamsThanMayBeAreRefusedUntilOneEnds() async throws {
    try await withRegisteredRelay { instance in
      let permits = instance.service.parts.resultStreamPermits
      var taken = try (0..<permits.countMax).map { _ in try permits.enter() }
      let refused = try await Self.post(instance.client, try Self.line("x-0"))
      #expect(refused.status == 503 && refused.headers["retry-after"] == "5")
      #expect(refused.json["type"].string == "/problems/too-many-streams")
      taken.removeLast()
      for _ in 0..<2 { #expect(try await Self.post(instance.client, try Self.line("x-0")).status == 200) }
      #expect(taken.count == permits.countMax - 1)
    }
  }

  @Test func aSlowStreamIsStoredAsItComes() async throws {
    try await withRegisteredRelay { instance in
      let (lines, feed) = (try (0..<3).map { try Self.line("x-\($0)") + "\n" }, Pipe())
      let curl = Process()
      curl.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
      curl.arguments = [
        "-sS", "-T", "-", "-X", "POST", "-H", "Authorization: Bearer \(instance.adminKey)", "-H",
        "Content-Type: application/x-ndjson", instance.client.base + "/v1/probe-results",
      ]
      let answer = Pipe()
      curl.standardInput = feed
      curl.standardOutput = answer
      try curl.run()
      for (index, line) in lines.enumerated() {
        try feed.fileHandleForWriting.write(contentsOf: Data(line.utf8))
        try await eventually { try await Self.storedCount(instance) == index + 1 }
      }
      try feed.fileHandleForWriting.close()
      let text = String(decoding: try answer.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
      #expect(text.contains("\"accepted\":3"))
    }
  }
}
