import EventLoop
import Foundation
import RiskModel
import TestHarness
import Testing

@testable import Postgres
@testable import Service

/// Maintenance beside everything else that goes on, and cut off in between.
@Suite(.serialized) struct MaintenanceTests {
  private typealias Twins = RetentionTwins

  /// A service with results of January to April, in May; without partitions before.
  private func withSpring(_ body: @Sendable (TestInstance, TestClock) async throws -> Void) async throws {
    let clock = TestClock("2026-01-20T00:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      for month in 0..<4 {
        try await VerificationTests.post(60, from: month * 1_000, at: clock.now, to: instance.client)
        clock.advance(milliseconds: 31 * Twins.day)
        if month == 0 { _ = try await maintain(instance) }
      }
      try await body(instance, clock)
    }
  }

  private func maintain(_ instance: TestInstance, months: Int? = 1) async throws -> [String] {
    var lines: [String] = []
    try await instance.service.maintain(Maintenance(retentionMonths: months)) { lines.append($0) }
    return lines
  }

  /// Of everything that dropping touches.
  private func state(of instance: TestInstance) async throws -> [String] {
    try await instance.database.query(
      """
      select 'partition ' || name from result_partition
      union all select 'results ' || count(*) from result
      union all select 'carried ' || count(*) from carried_cell
      union all select 'horizon ' || coalesce(horizon::text, 'none') from retention
      union all select 'change ' || version from change_head
      order by 1
      """
    ) { try $0.next(String.self) }
  }

  private func score(_ instance: TestInstance) async throws -> JSON {
    try await instance.client.get("/v1/providers/acme/score?detail=full").json
  }

  @Test func maintenanceThatIsCutOffLeavesNothingHalfDone() async throws {
    try await withSpring { instance, _ in
      // The month's results are folded and the tables are about to go, when the session is killed.
      let before = try await state(of: instance)
      let wanted = try await score(instance)
      try await instance.database.withTransaction { reader in
        try await reader.execute("lock table result in access share mode")
        let cutOff = Task { try await maintain(instance) }
        try await eventually {
          let killed = try await instance.database.query(
            """
            select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like 'lock table only result,%'
            """
          ) { try $0.next(Bool.self) }
          return killed == [true]
        }
        await #expect(throws: PostgresError.self) { try await cutOff.value }
        #expect(try await state(of: instance) == before)
      }
      expectNear(try await score(instance), wanted, "cut off")
      let lines = try await maintain(instance)
      let dropped = ["2026-01", "2026-02", "2026-03"].map {
        "results: 60 of \($0) dropped, and what they contributed carried on"
      }
      #expect(lines.filter { $0.contains("dropped") } == dropped)
      expectNear(try await score(instance), wanted, "done")
      let (_, found) = try await VerificationTests.verify(instance)
      #expect(found == [])
    }
  }

  /// A long transaction that reads results holds maintenance up, and nothing else.
  @Test func aReaderIsWaitedForWithoutHoldingUpAnybody() async throws {
    try await withSpring { instance, clock in
      let done = try await instance.database.withTransaction { reader in
        try await reader.execute("lock table result in access share mode")
        let maintaining = Task { try await maintain(instance) }
        try await eventually {
          try await instance.database.query(
            """
            select true from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like 'lock table only result,%'
            """
          ) { try $0.next(Bool.self) } == [true]
        }
        for round in 0..<4 {
          try await VerificationTests.post(20, from: 50_000 + round * 20, at: clock.now, to: instance.client)
        }
        return maintaining
      }
      #expect(try await done.value.contains { $0.contains("2026-03 dropped") })
    }
  }

  @Test func whatIsPostedVoidedAndVerifiedMeanwhileIsNotLost() async throws {
    try await withSpring { instance, clock in
      let voided = try await instance.client.get("/v1/providers/acme/probe-results?outcome=fail&limit=40")
      let ids = voided.json["items"].array.map { $0["id"].string! }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in 0..<3 {
          group.addTask {
            for round in 0..<10 {
              try await VerificationTests.post(
                25, from: 100_000 + lane * 10_000 + round * 25, at: clock.now, to: instance.client)
            }
          }
        }
        // Those of months that go are gone or void, as it happens; none is half of either.
        group.addTask {
          for id in ids {
            let answer = try await instance.client.post("/v1/probe-results/\(id)/void", #"{"reason":"x"}"#)
            #expect([200, 410].contains(answer.status), "\(answer.text)")
          }
        }
        for _ in 0..<2 { group.addTask { _ = try await maintain(instance) } }
        group.addTask {
          for _ in 0..<8 {
            let (_, found) = try await VerificationTests.verify(instance)
            #expect(found.isEmpty, "\(found)")
          }
        }
        try await group.waitForAll()
      }
      let (summary, found) = try await VerificationTests.verify(instance)
      #expect(found.isEmpty && summary.results > 500, "\(summary) \(found)")
      let live = try await score(instance)
      let at = live["evaluated_at"].string!
      let past = try await instance.client.get("/v1/providers/acme/score?detail=full&as_of=\(at)")
      expectNear(past.json, live, "the cells and the results")
    }
  }

  // MARK: - What else is removed

  @Test func anInstanceThatMissedRemovedChangesReadsEverythingAgain() async throws {
    let clock = TestClock("2026-03-05T00:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      // Loaded, and away since: it follows nothing.
      let away = try RiskService(
        database: instance.database, reader: EventLoop(name: "unused"), clock: clock.clock, logger: quietLogger)
      try await away.load()
      for number in 0..<6 {
        _ = try await instance.client.post(
          "/v1/providers", object: ["slug": "p\(number)", "name": "P", "hosts": ["p\(number).example"]])
      }
      try await VerificationTests.post(30, at: clock.now, to: instance.client)
      _ = try await instance.client.post("/v1/methodologies", MethodologyLifeTests.lenient)
      _ = try await MethodologyLifeTests.become("shadow", "rm-try", in: instance)
      clock.advance(milliseconds: 8 * Twins.day)
      let lines = try await maintain(instance, months: nil)
      let removed = try #require(lines.first { $0.hasPrefix("changes: ") })
      #expect(removed != "changes: 0 removed", "\(lines)")
      let versions = try await instance.database.query("select version from change") { try $0.next(Int.self) }
      #expect(versions.count == 1)
      #expect(try await maintain(instance, months: nil).contains("changes: 0 removed"))

      try await away.feed.catchUp()
      let acme = try #require(away.parts.registry.provider("acme"))
      #expect(away.parts.registry.provider("p5") != nil)
      for methodology in ["rm-1", "rm-try"] {
        let cells = away.parts.board.evidence(of: acme.id).evidence.cells[methodology]?.count
        #expect(cells == instance.service.parts.board.evidence(of: acme.id).evidence.cells[methodology]?.count)
        #expect(cells ?? 0 > 5)
      }
      #expect(away.parts.methodologies.current["rm-try"]?.isComplete == true)
    }
  }

  @Test func instancesFollowTheHorizonAndKeysExpire() async throws {
    let clock = TestClock("2026-03-05T00:00:00.000Z")
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name, clock: clock.clock)
    let second = try await TestInstance.start(on: name, clock: clock.clock, adminKey: first.adminKey)
    let answer = try await first.client.post(
      "/v1/sources", #"{"slug":"lab","name":"Lab"}"#, headers: ["Idempotency-Key": "a"])
    #expect(answer.status == 201)
    try await first.database.execute("update idempotency_key set claimed_at = claimed_at - interval '25 hours'")
    clock.advance(milliseconds: 90 * Twins.day)
    let lines = try await maintain(first)
    #expect(lines.contains("idempotency keys: 1 removed"), "\(lines)")
    #expect(first.service.parts.horizon.instant?.rfc3339 == "2026-05-01T00:00:00.000Z")
    try await eventually { second.service.parts.horizon.instant == first.service.parts.horizon.instant }
    let metrics = try await first.client.get("/metrics").text
    // 1 May; and from 3 June to where the tests' partitions end, 1 February.
    #expect(metrics.contains("\nrelayrisk_horizon_timestamp_seconds 1777593600.0\n"), "\(metrics)")
    #expect(metrics.contains("\nrelayrisk_partitions_ahead_seconds \(243 * 86_400).0\n"), "\(metrics)")
    for instance in [first, second] { await instance.stop() }
  }

  @Test func partitionsAreMadeAheadAndNotAgainBeforeTheHorizon() async throws {
    let clock = TestClock("2027-03-01T00:00:00.000Z")
    try await withInstance(clock: clock.clock) { instance in
      func partitions() async throws -> [String] {
        try await instance.database.query("select name from result_partition where parent = 'result' order by name") {
          try $0.next(String.self)
        }
      }
      var preview: [String] = []
      try await instance.service.maintain(Maintenance(retentionMonths: nil, isDryRun: true)) { preview.append($0) }
      // January is in the template.
      #expect(preview[0] == "partitions: 10 would be made" && preview[1].hasPrefix("results: all are kept"))
      #expect(try await maintain(instance)[0] == "partitions: 10 made")
      let made = ["result_2027_02", "result_2027_03", "result_2027_04", "result_2027_05", "result_2027_06"]
      #expect(try await partitions() == made)
      // The month before last month is over, and the span of those made ahead begins in it.
      #expect(try await maintain(instance)[0] == "partitions: 0 made")
      #expect(try await partitions() == made)
      #expect(instance.service.parts.horizon.partitionsUntil?.rfc3339 == "2027-07-01T00:00:00.000Z")
      let options = try await instance.database.query(
        "select reloptions::text from pg_class where relname = 'result_2027_06'"
      ) { try $0.next(String.self) }
      #expect(options == ["{autovacuum_vacuum_insert_scale_factor=0.05,autovacuum_freeze_min_age=0}"])
    }
  }
}
