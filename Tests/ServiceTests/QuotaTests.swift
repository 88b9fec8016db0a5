import Foundation
import TestHarness
import Testing

@testable import Service

/// Quotas of keys, over real sockets and with a clock that stands still between steps.
@Suite(.serialized, .timeLimit(.minutes(2))) struct QuotaTests {
  private struct Fixture {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    let instance: TestInstance

    /// A key as the API makes it.
    func key(_ scopes: [String], _ quota: [String: Int] = [:]) async throws -> (client: APIClient, id: String) {
      let body: [String: Any] = ["name": "limited", "scopes": scopes, "source": "lab"].merging(quota) { $1 }
      let made = try await instance.client.post("/v1/keys", object: body)
      #expect(made.status == 201, "\(made.text)")
      for (name, limit) in quota { #expect(made.json[name].integer == limit) }
      let text: String = try #require(made.json["key"].string)
      return (instance.client.with(key: text), try #require(made.json["id"].string))
    }

    /// The same bytes for the same range at the same time.
    func results(_ range: Range<Int>) throws -> String {
      let object = ["results": range.map { result("r-\($0)") }]
      return String(
        decoding: try JSONSerialization.data(withJSONObject: object, options: .sortedKeys), as: UTF8.self)
    }

    func result(_ id: String) -> [String: Any] {
      Posting.result(["observed_at": instance.service.parts.clock.now().rfc3339, "external_id": id])
    }

    func storedCount() async throws -> Int {
      try await instance.database.query("select count(*) from result") { try $0.next(Int.self) }[0]
    }
  }

  private func withFixture(_ body: @Sendable (Fixture, TestClock) async throws -> Void) async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { try await body(Fixture(instance: $0), clock) }
  }

  @Test func requestsAreCountedRefusedAndAllowedAgain() async throws {
    try await withFixture { fixture, clock in
      let client = try await fixture.key(["scores:read"], ["requests_per_minute": 6]).client
      for number in 1...6 {
        let answer = try await client.get("/v1/providers/acme/score")
        #expect(answer.status == 200)
        #expect(answer.headers["ratelimit-policy"] == #""requests";q=6;w=60"#)
        #expect(answer.headers["ratelimit"] == #""requests";r=\#(6 - number);t=\#(number * 10)"#)
      }
      for (milliseconds, seconds) in [(0, 10), (1, 10), (8_999, 1), (999, 1)] as [(Int64, Int)] {
        clock.advance(milliseconds: milliseconds)
        let refused = try await client.get("/v1/providers/acme/score")
        #expect(refused.status == 429 && refused.headers["retry-after"] == "\(seconds)", "\(refused.headers)")
        #expect(refused.json["type"].string == "/problems/quota-exceeded")
        #expect(refused.headers["ratelimit"]?.hasPrefix(#""requests";r=0;t="#) == true)
      }
      // Neither refusals nor what is left of a second cost anything.
      clock.advance(milliseconds: 1)
      #expect(try await client.get("/v1/providers/acme/score").status == 200)
      #expect(try await client.get("/v1/providers/acme/score").status == 429)
      clock.advance(milliseconds: 3_600_000)
      #expect(try await client.get("/v1/concerns").headers["ratelimit"] == #""requests";r=5;t=10"#)
      // A clock that was set back leaves at most an empty bucket.
      for _ in 0..<5 { #expect(try await client.get("/v1/concerns").status == 200) }
      clock.advance(milliseconds: -86_400_000)
      #expect(try await client.get("/v1/concerns").headers["retry-after"] == "10")
      let metrics = try await fixture.instance.client.get("/metrics").text
      #expect(metrics.contains("relayrisk_quota_refused_total{quota=\"requests\"} 6\n"))
    }
  }

  @Test func everyAnswerToTheKeySaysWhatIsLeft() async throws {
    try await withFixture { fixture, _ in
      let client = try await fixture.key(["results:write"], ["requests_per_minute": 100]).client
      let posted = try await client.post("/v1/probe-results", object: fixture.result("1"))
      let id = try #require(posted.json["id"].string)
      let tag = ["If-None-Match": try #require(posted.headers["etag"]), "Accept-Encoding": "identity"]
      let own = "/v1/probe-results/\(id)"
      let large = Data(repeating: 0x20, count: 17 * 1024 * 1024)
      let json = ["Content-Type": "application/json"]
      for (left, status, answer) in [
        (99, 201, posted), (98, 304, try await client.get(own, headers: tag)),
        (97, 403, try await client.get("/v1/scores")), (96, 404, try await client.get("/v1/probe-results/x")),
        (95, 406, try await client.get(own, headers: ["Accept": "text/html"])),
        (
          94, 415, try await client.send("POST", "/v1/probe-results", headers: ["Content-Type": "a/b"], body: Data([0]))
        ),
        (93, 400, try await client.post("/v1/probe-results", "{")), (92, 422, try await client.get("/v1/concerns?x=1")),
        (91, 413, try await client.send("POST", "/v1/probe-results", headers: json, body: large)),
      ] as [(Int, Int, Answer)] {
        #expect(answer.status == status, "\(answer.text)")
        let expected = #""requests";r=\#(left);t="#
        #expect(answer.headers["ratelimit"]?.hasPrefix(expected) == true, "\(status): \(answer.headers)")
      }
      for other in [client.with(key: nil), client.with(key: "rr_x_y"), fixture.instance.client] {
        #expect(try await other.get("/v1/concerns").headers["ratelimit"] == nil)
      }
    }
  }

  @Test func resultsAreCountedByNumberAndStoredWholeOrNotAtAll() async throws {
    try await withFixture { fixture, clock in
      let client = try await fixture.key(["results:write"], ["results_per_minute": 10]).client
      func post(_ range: Range<Int>, _ headers: [String: String] = [:]) async throws -> Answer {
        try await client.post("/v1/probe-results", try fixture.results(range), headers: headers)
      }
      let first = try await post(0..<4)
      #expect(first.status == 200 && first.json["accepted"].integer == 4)
      #expect(first.headers["ratelimit-policy"] == #""results";q=10;w=60;qu="results""#)
      #expect(first.headers["ratelimit"] == #""results";r=6;t=24"#)
      let refused = try await post(4..<11, ["Idempotency-Key": "seven"])
      #expect(refused.status == 429 && refused.headers["retry-after"] == "6", "\(refused.text)")
      #expect(refused.headers["ratelimit"] == #""results";r=6;t=24"#)
      let never = try await post(4..<15)
      #expect(never.status == 413 && never.json["type"].string == "/problems/batch-over-quota", "\(never.text)")
      #expect(try await fixture.storedCount() == 4)
      // What is wrong by itself is told and costs nothing.
      #expect(try await client.post("/v1/probe-results", #"{"outcome":"x"}"#).status == 422)
      #expect(try await client.get("/v1/concerns").headers["ratelimit"] == #""results";r=6;t=24"#)
      clock.advance(milliseconds: 6_000)
      #expect(try await post(4..<11, ["Idempotency-Key": "seven"]).json["accepted"].integer == 7)
      // A repetition does nothing and is not counted.
      let again = try await post(4..<11, ["Idempotency-Key": "seven"])
      #expect(again.status == 200 && again.headers["ratelimit"] == #""results";r=0;t=60"#, "\(again.headers)")
      #expect(try await client.post("/v1/probe-results", object: fixture.result("one")).status == 429)
      clock.advance(milliseconds: 6_000)
      #expect(try await client.post("/v1/probe-results", object: fixture.result("one")).status == 201)
      let target = "/v1/probe-results/import?format=testssl&provider=acme"
      let report = String(decoding: try testSSLFixture("3.0.8-weak-flat"), as: UTF8.self)
      #expect(try await client.post(target, report).json["type"].string == "/problems/quota-exceeded")
      #expect(try await fixture.storedCount() == 12)
      let metrics = try await fixture.instance.client.get("/metrics").text
      #expect(metrics.contains("relayrisk_quota_refused_total{quota=\"results\"} 4\n"))
    }
  }

  @Test(arguments: [1_500, 700]) func aStreamIsTakenAsFarAsTheQuotaGoes(_ quota: Int) async throws {
    try await withFixture { fixture, clock in
      let client = try await fixture.key(["results:write"], ["results_per_minute": quota]).client
      let lines = try (0..<2_500).map { number in
        String(decoding: try JSONSerialization.data(withJSONObject: fixture.result("l-\(number)")), as: UTF8.self)
      }
      func post(_ lines: some Sequence<String>) async throws -> Answer {
        try await client.send(
          "POST", "/v1/probe-results", headers: ["Content-Type": "application/x-ndjson"],
          body: Data(lines.joined(separator: "\n").utf8))
      }
      var (rest, storedCount) = (lines[...], 0)
      for round in 0..<12 {
        let answer = try await post(rest)
        if answer.status == 200 { break }
        #expect(answer.status == 429 && answer.headers["retry-after"] != nil, "\(round): \(answer.text)")
        // Those before are stored, and it says how many they are, so that none need be sent, and counted, again.
        let detail = try #require(answer.json["detail"].string)
        let count = try #require(detail.firstMatch(of: /The first ([0-9]+) lines/)).1
        let stored: Int = try #require(Int(count))
        storedCount += stored
        #expect(try await fixture.storedCount() == storedCount && 1...quota ~= stored)
        rest = rest.dropFirst(stored)
        clock.advance(milliseconds: 60_000)
      }
      #expect(rest.count < lines.count)
      #expect(try await fixture.storedCount() == lines.count)
    }
  }

  @Test func aKeyHasItsOwnQuotaAndOneWithoutHasNone() async throws {
    try await withFixture { fixture, _ in
      let both = ["requests_per_minute": 2, "results_per_minute": 5]
      let keys = [try await fixture.key(["results:write"], both), try await fixture.key(["results:write"], both)]
      let free = try await fixture.key(["results:write"])
      for key in keys {
        let answer = try await key.client.get("/v1/concerns")
        #expect(answer.headers["ratelimit-policy"] == #""requests";q=2;w=60, "results";q=5;w=60;qu="results""#)
        #expect(answer.headers["ratelimit"] == #""requests";r=1;t=30, "results";r=5;t=0"#)
      }
      #expect(try await keys[0].client.get("/v1/concerns").status == 200)
      #expect(try await keys[0].client.get("/v1/concerns").status == 429)
      #expect(try await keys[1].client.get("/v1/concerns").status == 200)
      for _ in 0..<5 {
        let answer = try await free.client.get("/v1/concerns")
        #expect(answer.status == 200 && answer.headers["ratelimit"] == nil && answer.headers["ratelimit-policy"] == nil)
      }
      let listed = try await fixture.instance.client.get("/v1/keys").json["items"].array
      let limits = listed.map { ($0["id"].string, $0["requests_per_minute"].integer, $0["results_per_minute"].integer) }
      #expect(limits.contains { $0 == (keys[0].id, 2, 5) } && limits.contains { $0 == (free.id, nil, nil) })
    }
  }

  @Test func aChangedQuotaHoldsOnEveryInstance() async throws {
    try await withFixture { fixture, clock in
      let second = try await TestInstance.start(
        on: fixture.instance.configuration, clock: clock.clock, adminKey: fixture.instance.adminKey)
      let key = try await fixture.key(["scores:read"])
      let elsewhere = second.client.with(key: key.client.key)
      func read() async throws -> Answer { try await elsewhere.get("/v1/providers/acme/score") }
      func patch(_ json: String) async throws -> Answer {
        try await fixture.instance.client.send(
          "PATCH", "/v1/keys/\(key.id)", headers: ["Content-Type": "application/merge-patch+json"],
          body: Data(json.utf8))
      }
      // Remembered as the answer to just this request.
      for _ in 0..<3 { #expect(try await read().headers["ratelimit"] == nil) }
      let limited = try await patch(#"{"requests_per_minute":10}"#)
      #expect(limited.status == 200 && limited.json["requests_per_minute"].integer == 10)
      #expect(limited.json["key"].isNull && limited.json["results_per_minute"].isNull)
      try await eventually { try await read().headers["ratelimit"] != nil }
      for _ in 0..<9 { #expect(try await read().status == 200) }
      #expect(try await read().status == 429)
      // Of this instance; the other has a bucket of its own.
      #expect(try await key.client.get("/v1/concerns").status == 200)
      // Another quota leaves this one as far down as it is.
      #expect(try await patch(#"{"results_per_minute":5}"#).json["requests_per_minute"].integer == 10)
      try await eventually { try await read().headers["ratelimit"]?.contains("results") == true }
      #expect(try await read().status == 429)
      #expect(try await patch(#"{"requests_per_minute":null,"results_per_minute":null}"#).status == 200)
      try await eventually { try await read().status == 200 }
      #expect(try await read().headers["ratelimit"] == nil)
      for (path, status) in [("no-such", 404), ("0190a000-0000-7000-8000-000000000000", 404)] {
        let answer = try await fixture.instance.client.send(
          "PATCH", "/v1/keys/\(path)", headers: ["Content-Type": "application/merge-patch+json"], body: Data("{}".utf8))
        #expect(answer.status == status)
      }
      await second.stop()
    }
  }

  @Test func postsAtTheSameTimeNeverPassMoreThanTheQuota() async throws {
    try await withFixture { fixture, _ in
      let client = try await fixture.key(["results:write"], ["results_per_minute": 50]).client
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<30 {
          group.addTask {
            let range = number * 5..<number * 5 + 5
            return try await client.post("/v1/probe-results", try fixture.results(range)).status
          }
        }
        return try await group.reduce(into: [Int]()) { $0.append($1) }
      }
      #expect(statuses.filter { $0 == 200 }.count == 10)
      #expect(statuses.filter { $0 == 429 }.count == 20)
      #expect(try await fixture.storedCount() == 50)
    }
  }

  @Test(arguments: [1, 7, 60, 999, 10_000_000])
  func aBucketGivesItsQuotaAMinuteExactly(quota: Int) {
    var now = Instant(rfc3339: "2026-11-23T08:00:00.000Z")!
    let bucket = TokenBucket(quota: quota, at: now)
    #expect(bucket.take(quota, at: now) == nil && bucket.level(at: now) == (0, 60))
    #expect(bucket.take(1, at: now) != nil)
    var taken = 0
    // A minute in uneven steps, and a step far longer than what it holds.
    for milliseconds in [1, 999, 10_000, 13, 7, 41_980, 7_000] as [Int64] {
      now = now + milliseconds
      let remaining = bucket.level(at: now).remaining
      if remaining > 0 { #expect(bucket.take(remaining, at: now) == nil) }
      #expect(bucket.take(1, at: now) != nil)
      taken += remaining
    }
    #expect(taken == quota)
    #expect(bucket.level(at: now + 86_400_000 * 365 * 15) == (quota, 0))
  }

  @Test func aBucketIsExactForManyThreads() async {
    let now = Instant(rfc3339: "2026-11-23T08:00:00.000Z")!
    let bucket = TokenBucket(quota: 10_000, at: now)
    let taken = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<8 {
        group.addTask { (0..<2_000).filter { _ in bucket.take(3, at: now) == nil }.count * 3 }
      }
      return await group.reduce(0, +)
    }
    #expect(taken == 9_999)
  }
}
