import Crypto
import Foundation
import TestHarness
import Testing

@testable import Service

/// Copies of all scores, kept by `GET /v1/changes`.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ChangeTests {
  /// What a gateway holds.
  private struct Copy {
    var version = 0
    var items: [String: TestHarness.JSON] = [:]
    var itemsReceived = 0

    /// Takes over what changed since, from any instance, and checks it.
    mutating func update(_ client: APIClient) async throws {
      let answer = try await client.get("/v1/changes?since=\(version)")
      #expect(answer.status == 200, "\(answer.text)")
      #expect(answer.json.keys == ["version", "full", "items", "removed", "checksum"])
      if answer.json["full"].bool == true { items = [:] }
      for item in answer.json["items"].array { items[item["provider"]["id"].string!] = item }
      for id in answer.json["removed"].array { items[id.string!] = nil }
      itemsReceived += answer.json["items"].array.count
      version = try #require(answer.json["version"].integer)
      #expect(answer.json["checksum"].string == checksum)
    }

    /// As `openapi.yaml` says it.
    var checksum: String {
      let lines = items.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value["etag"].string!)" }
      return SHA256.hash(data: Data(lines.joined(separator: "\n").utf8)).map { String(format: "%02x", $0) }.joined()
    }

    func slugs() -> Set<String> { Set(items.values.compactMap { $0["provider"]["slug"].string }) }
  }

  private func register(_ instance: TestInstance, _ slugs: String...) async throws {
    for slug in slugs {
      let made = try await instance.client.post(
        "/v1/providers", #"{"slug":"\#(slug)","name":"\#(slug)","hosts":["\#(slug).example"]}"#)
      #expect(made.status == 201)
    }
  }

  @Test func anItemIsAnEntryOfTheListWithItsHostsAndTag() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withInstance(clock: clock.clock) { instance in
      try await register(instance, "one", "two")
      _ = try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      _ = try await instance.client.post(
        "/v1/probe-results",
        object: Posting.result(["provider": "one", "source": "lab", "observed_at": clock.now.rfc3339]))
      var copy = Copy()
      try await eventually {
        try await copy.update(instance.client)
        return copy.items.values.contains { $0["evaluated_at"].string == clock.now.rfc3339 } && copy.items.count == 2
      }
      let listed = try await instance.client.get("/v1/scores").json["items"].array
      #expect(listed.count == 2)
      for entry in listed {
        // As it is without a coding.
        let plain = ["Accept-Encoding": "identity"]
        let id = try #require(entry["provider"]["id"].string)
        let item = try #require(copy.items[id])
        #expect(Set(item.keys) == Set(entry.keys + ["hosts", "etag"]))
        let slug = try #require(entry["provider"]["slug"].string)
        #expect(item["hosts"].array.map(\.string) == ["\(slug).example"])
        let score = try await instance.client.get("/v1/providers/\(slug)/score", headers: plain)
        #expect(item["etag"].string == score.headers["etag"])
        for name in ["provisional_score", "coverage"] { #expect(item[name].double == entry[name].double) }
        for name in ["verdict", "grade", "evidence", "evaluated_at"] {
          #expect(item[name].string == entry[name].string)
        }
      }
      #expect(try await instance.client.get("/v1/changes").json["full"].bool == true)
      #expect(try await instance.client.get("/v1/changes?since=0").json["full"].bool == true)
      #expect(try await instance.client.get("/v1/changes?since=999999").json["full"].bool == true)
    }
  }

  @Test func aCopyIsRightWhicheverInstanceIsAskedAndGetsOnlyWhatChanged() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name, clock: clock.clock)
    let second = try await TestInstance.start(on: name, clock: clock.clock, adminKey: first.adminKey)
    try await register(first, "one", "two", "three", "four")
    _ = try await first.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
    var copy = Copy()
    try await eventually {
      try await copy.update(second.client)
      return copy.items.count == 4
    }
    // A minute later nothing has moved, and nothing is sent.
    copy.itemsReceived = 0
    clock.advance(milliseconds: 60_000)
    try await copy.update(first.client)
    try await copy.update(second.client)
    #expect(copy.itemsReceived == 0)

    _ = try await first.client.post("/v1/providers/two/incidents", #"{"concern":"backdoor","summary":"S"}"#)
    let patched = try await second.client.send(
      "PATCH", "/v1/providers/three", headers: ["Content-Type": "application/merge-patch+json"],
      body: Data(#"{"name":"Drei","hosts":["drei.example"]}"#.utf8))
    #expect(patched.status == 200, "\(patched.text)")
    #expect(try await first.client.send("DELETE", "/v1/providers/four").status == 204)
    for client in [first.client, second.client, first.client] {
      try await eventually {
        try await copy.update(client)
        let items = copy.items.values
        return copy.slugs() == ["one", "two", "three"] && items.contains { $0["verdict"].string == "block" }
          && items.contains { $0["hosts"][0].string == "drei.example" }
      }
    }
    let retired = try await first.client.get("/v1/changes?since=1").json
    #expect(retired["full"].bool == false && retired["removed"].array.count == 1)
    // Only those that changed were sent.
    #expect(copy.itemsReceived == 2)
    var fresh = Copy()
    try await fresh.update(second.client)
    #expect(fresh.checksum == copy.checksum && fresh.version == copy.version)

    let back = try await first.client.send(
      "PATCH", "/v1/providers/four", headers: ["Content-Type": "application/merge-patch+json"],
      body: Data(#"{"status":"active"}"#.utf8))
    #expect(back.status == 200, "\(back.text)")
    try await eventually {
      try await copy.update(second.client)
      return copy.slugs().contains("four")
    }
    await first.stop()
    await second.stop()
  }

  @Test func aScoreIsPublishedAgainWhenItMovedEnough() {
    func figures(_ score: Double, verdict: String = "unknown", coverage: Double = 0.5) -> ScoreFigures {
      let text = """
        {"score":null,"provisional_score":\(score),"grade":null,"verdict":"\(verdict)","evidence":"insufficient",\
        "coverage":\(coverage),"concerns":[{"concern":"c","score":\(score),"critical":"none"}]}
        """
      return PublishedScore(
        provider: .least, version: 1,
        basis: PublishedScore.Basis(providerVersion: 1, methodologyHash: "", newest: Instant(milliseconds: 0)),
        body: text
      ).figures!
    }
    #expect(!figures(40).differ(from: figures(40.05), byMoreThan: 0.1))
    #expect(figures(40).differ(from: figures(40.2), byMoreThan: 0.1))
    #expect(figures(40).differ(from: figures(40, coverage: 0.502), byMoreThan: 0.1))
    #expect(figures(40).differ(from: figures(40, verdict: "warn"), byMoreThan: 0.1))
  }
}
