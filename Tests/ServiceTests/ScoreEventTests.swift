import Foundation
import TestHarness
import Testing

@testable import Postgres
@testable import Service

/// Events of scores, stored once for all instances.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ScoreEventTests {
  private func events(_ instance: TestInstance, _ query: String = "") async throws -> [TestHarness.JSON] {
    let answer = try await instance.client.get("/v1/providers/acme/score/events\(query)")
    #expect(answer.status == 200, "\(answer.text)")
    return answer.json["items"].array
  }

  /// Two instances on one database, with the provider `acme` and the source `lab`.
  private func withTwo(
    _ clock: TestClock, stopsFirst: Bool = true, _ body: @Sendable (TestInstance, TestInstance) async throws -> Void
  ) async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name, clock: clock.clock)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"Acme","hosts":["acme.example"]}"#)
    _ = try await first.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
    let second = try await TestInstance.start(on: name, clock: clock.clock, adminKey: first.adminKey)
    let result: Result<Void, any Error>
    do { result = .success(try await body(first, second)) } catch { result = .failure(error) }
    if stopsFirst { await first.stop() }
    await second.stop()
    try result.get()
  }

  private func post(_ instance: TestInstance, _ clock: TestClock, outcome: String, id: String) async throws {
    let posted = try await instance.client.post(
      "/v1/probe-results",
      object: Posting.result(
        check: "backdoor.response-active-content", outcome: outcome,
        ["source": "lab", "observed_at": clock.now.rfc3339, "external_id": id]))
    #expect(posted.status == 201, "\(posted.text)")
  }

  @Test func eachChangeIsStoredOnceWithItsCause() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withTwo(clock) { first, second in
      // Nothing was seen yet: no event, however often it is looked at.
      _ = try await first.client.get("/v1/changes")
      #expect(try await events(second).isEmpty)
      let opened = try await second.client.post(
        "/v1/providers/acme/incidents", #"{"concern":"backdoor","summary":"injected script"}"#)
      try await eventually { try await events(first).count == 1 }
      clock.advance(milliseconds: 5_000)
      let id = try #require(opened.json["id"].string)
      _ = try await second.client.post("/v1/providers/acme/incidents/\(id)/close", "")
      try await eventually { try await events(first).count == 2 }
      clock.advance(milliseconds: 5_000)
      try await post(first, clock, outcome: "fail", id: "1")
      try await eventually { try await events(first).count == 3 }
      clock.advance(milliseconds: 300 * 86_400_000)
      try await eventually { try await events(first).count >= 4 }

      let stored = try await events(first)
      #expect(try await events(second).map(\.["version"].integer) == stored.map(\.["version"].integer))
      #expect(stored.prefix(4).map(\.["cause"].string) == ["decision", "decision", "evidence", "time"])
      #expect(stored[0]["before"].isNull)
      #expect(stored[0]["after"]["verdict"].string == "block")
      #expect(stored[1]["after"]["verdict"].string == "unknown" && stored[1]["after"]["score"].isNull)
      for (before, after) in zip(stored, stored.dropFirst()) {
        #expect(before["version"].integer! < after["version"].integer!)
        for name in ["verdict", "grade"] { #expect(after["before"][name].string == before["after"][name].string) }
        for name in ["score", "provisional_score"] {
          #expect(after["before"][name].double == before["after"][name].double)
        }
        let (old, new) = (after["before"], after["after"])
        let moved = abs(old["provisional_score"].double! - new["provisional_score"].double!)
        #expect(moved >= 1 || old["verdict"].string != new["verdict"].string, "\(moved)")
      }
      let score = try await first.client.get("/v1/providers/acme/score").json
      let last = try #require(stored.last)
      #expect(last["methodology"].string == score["methodology"].string)
      #expect(last["methodology_hash"].string == score["methodology_hash"].string)
      #expect(last["provider"]["id"].string == score["provider"]["id"].string)
      #expect(abs(last["after"]["provisional_score"].double! - score["provisional_score"].double!) < 1)
    }
  }

  @Test func theListGoesOnBehindAVersionATimeOrACursor() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withTwo(clock) { instance, _ in
      for number in 1...3 {
        let opened = try await instance.client.post(
          "/v1/providers/acme/incidents", #"{"concern":"backdoor","summary":"S"}"#)
        try await eventually { try await events(instance).count == 2 * number - 1 }
        clock.advance(milliseconds: 1_000)
        let id = try #require(opened.json["id"].string)
        _ = try await instance.client.post("/v1/providers/acme/incidents/\(id)/close", "")
        try await eventually { try await events(instance).count == 2 * number }
        clock.advance(milliseconds: 1_000)
      }
      let all = try await events(instance)
      let versions = all.compactMap { $0["version"].integer }
      let time = try #require(all[4]["at"].string)
      for bound in ["\(versions[3])", time] {
        let later = try await events(instance, "?since=\(bound)").compactMap { $0["version"].integer }
        #expect(later == versions[4...].map { $0 }, "\(bound)")
      }
      #expect(try await events(instance, "?since=\(versions[5])").isEmpty)
      var (seen, target) = ([Int](), "/v1/providers/acme/score/events?limit=2" as String?)
      while let next = target {
        let page = try await instance.client.get(next)
        seen += page.json["items"].array.compactMap { $0["version"].integer }
        target = page.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
      }
      #expect(seen == versions)
    }
  }

  /// Whichever instance publishes: it stops, or its session is ended under it.
  @Test func anotherInstanceGoesOnWhenThePublishingOneIsGone() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withTwo(clock, stopsFirst: false) { first, second in
      let holders = """
        select pid from pg_locks where locktype = 'advisory' and granted and mode = 'ExclusiveLock'
          and database = (select oid from pg_database where datname = current_database())
        """
      try await eventually {
        try await second.database.query("\(unsafeRaw: holders)") { try $0.next(Int32.self) }.count == 1
      }
      try await post(second, clock, outcome: "fail", id: "1")
      try await eventually { try await events(second).count == 1 }
      // The session that holds the lock, whosever it is.
      _ = try await second.database.query("select pg_terminate_backend(pid) from (\(unsafeRaw: holders)) holder") {
        try $0.next(Bool.self)
      }
      clock.advance(milliseconds: 1_000)
      let opened = try await second.client.post(
        "/v1/providers/acme/incidents", #"{"concern":"encryption","summary":"S"}"#)
      try await eventually { try await events(second).count == 2 }
      await first.stop()
      clock.advance(milliseconds: 1_000)
      _ = try await second.client.post("/v1/providers/acme/incidents/\(opened.json["id"].string!)/close", "")
      try await eventually { try await events(second).count == 3 }
    }
  }

  @Test func whoHasNotSeenTheNewestVersionStoresNothing() async throws {
    try await withRegisteredRelay { instance in
      let parts = instance.service.parts
      try await eventually { try await parts.publications.head() > 0 }
      let id = try #require(parts.registry.provider("acme")).id
      let basis = PublishedScore.Basis(providerVersion: 9, methodologyHash: "", newest: Instant(milliseconds: 0))
      let draft = PublicationStore.Draft(provider: id, basis: basis, body: "{}", event: nil)
      let head = try await parts.publications.head()
      let isStored = try await parts.database.withConnection { connection in
        try await parts.publications.publish([draft], after: head - 1, at: parts.clock.now(), on: connection)
      }
      #expect(!isStored)
      #expect(try await parts.publications.head() == head)
      #expect(try await parts.publications.published(after: 0).allSatisfy { $0.basis.providerVersion != 9 })
    }
  }
}
