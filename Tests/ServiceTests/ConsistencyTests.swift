import Foundation
import Postgres
import Synchronization
import TestHarness
import Testing

@testable import Service

/// Two instances on one database, one of them posted to, both of them read: what a score counts are whole commits, in
/// their order, on either.
@Suite(.serialized) final class ConsistencyTests: Sendable {
  private let postings = SteppedPosting.all
  /// By posting, the last step that was acknowledged.
  private let acknowledged = Mutex<[Int]>([-1, -1, -1])
  /// What was sent, by the steps and the minute that it counts: the same from every instance.
  private let documents = Documents()

  private final class Documents: Sendable {
    private let tags = Mutex<[String: String]>([:])
    var count: Int { tags.withLock { $0.count } }
    func isSame(_ tag: String, for key: String) -> Bool {
      tags.withLock { tags in
        defer { tags[key] = tag }
        return tags[key] == nil || tags[key] == tag
      }
    }
  }

  @Test(.timeLimit(.minutes(60))) func whatIsReadIsTheStateBetweenTwoCommits() async throws {
    try await underLoad { _ in }
  }

  @Test(.timeLimit(.minutes(60))) func lostNotificationsLoseNothing() async throws {
    let ended = Mutex(0)
    try await underLoad { database in
      let count = try await database.query(
        """
        select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and query like 'LISTEN%'
        """
      ) { try $0.next(Int.self) }[0]
      ended.withLock { $0 += count }
    }
    #expect(ended.withLock { $0 } > 0)
  }

  @Test func aStartReadsCellsWhateverTheirChecksAndModelsAreCalled() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    let first = try await TestInstance.start(on: name, clock: clock.clock)
    try await registerRelay(with: first.client)
    let checks = ["encryption.legacy-tls-protocol", "backdoor.tool-call-rewrite"]
    let models = [nil, "a\nb", "\n", "\u{1}", "\\", "\"'", "模型 7", String(repeating: "m", count: 128)]
    let targets = ["acme.example", "http://api.acme.example/v1/%0A"]
    var results: [[String: Any]] = []
    for check in checks {
      for model in models {
        for target in targets {
          let number = results.count
          results.append(
            [
              "provider": "acme", "source": "lab", "check": check, "target": target, "external_id": "\(number)",
              "outcome": number % 3 == 0 ? "fail" : "pass", "observed_at": "2026-01-01T00:00:00Z",
            ]
            .merging(model.map { ["model": $0] } ?? [:]) { $1 })
        }
      }
    }
    let answer = try await first.client.post("/v1/probe-results", object: ["results": results])
    #expect(answer.json["accepted"].integer == results.count, "\(answer.text.prefix(300))")
    let second = try await TestInstance.start(on: name, clock: clock.clock, adminKey: first.adminKey)
    let cells = Self.cells(of: second)
    #expect(cells.count == results.count && cells == Self.cells(of: first))
    let path = "/v1/providers/acme/score?detail=full"
    let score = try await second.client.get(path).text
    #expect(try await first.client.get(path).text == score)
    // Of the name of a check a methodology says only how long it may be.
    try await first.database.execute(
      "update evidence_cell set check_id = e'a\\nb' where check_id = 'backdoor.tool-call-rewrite'")
    let third = try await TestInstance.start(on: name, clock: clock.clock, adminKey: first.adminKey)
    let renamed = cells.map { $0.replacingOccurrences(of: "backdoor.tool-call-rewrite", with: "a\nb") }
    #expect(Self.cells(of: third) == Set(renamed))
    await first.stop()
    await second.stop()
    await third.stop()
  }

  /// What an instance has in memory of the only relay, a line for each cell.
  private static func cells(of instance: TestInstance) -> Set<String> {
    let parts = instance.service.parts
    let (evidence, names) = parts.board.evidence(of: parts.registry.provider("acme")!.id)
    let lines = evidence.cells.flatMap { methodology, table in
      table.rows.map { row in
        "\(methodology) \(names.checks.values[Int(row.check)]) \(table.targets[Int(row.target)]) "
          + "\(names.sources.values[Int(row.source)]) \(row.cell) \(row.revision)"
      }
    }
    return Set(lines)
  }

  /// - Parameter disturb: called ten times a second meanwhile.
  private func underLoad(_ disturb: @escaping @Sendable (Database) async throws -> Void) async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    try await registerRelay(with: first.client)
    try await eventually { try await second.client.get("/v1/providers/acme").status == 200 }
    let stopped = Flag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for posting in postings { group.addTask { try await self.post(posting, to: first, until: stopped) } }
      for _ in 0..<2 {
        group.addTask { try await self.read(first, countsWhatWasAcknowledged: true, until: stopped) }
        group.addTask { try await self.read(second, countsWhatWasAcknowledged: false, until: stopped) }
      }
      group.addTask {
        while !stopped.isSet {
          try await disturb(first.database)
          try await Task.sleep(for: .milliseconds(100))
        }
      }
      group.addTask {
        defer { stopped.set() }
        try await Task.sleep(for: Soak.seconds(short: 4))
        // On a busy machine that may be time for a post or two; then it goes on until there is something to compare.
        try await eventually { self.hasSeenEnough }
      }
      try await group.waitForAll()
    }
    let last = acknowledged.withLock { $0 }
    #expect(hasSeenEnough, "\(last)")
    for instance in [first, second] {
      try await eventually { try await read(instance) == last }
      await instance.stop()
    }
  }

  private var hasSeenEnough: Bool { acknowledged.withLock { $0.allSatisfy { $0 > 1 } } && documents.count > 3 }

  private func post(_ posting: SteppedPosting, to instance: TestInstance, until stopped: Flag) async throws {
    var step = 0
    while !stopped.isSet {
      let isStored = try await posting.post(step, to: instance.client.unrecorded)
      #expect(isStored, "step \(step) of \(posting.number)")
      acknowledged.withLock { $0[posting.number] = step }
      step += 1
    }
  }

  private func read(
    _ instance: TestInstance, countsWhatWasAcknowledged: Bool, until stopped: Flag
  ) async throws {
    var before = postings.map { _ in -1 }
    while !stopped.isSet {
      if countsWhatWasAcknowledged { before = zip(before, acknowledged.withLock { $0 }).map(max) }
      let steps = try await read(instance)
      #expect(zip(steps, before).allSatisfy(>=), "\(steps) after \(before)")
      before = steps
    }
  }

  /// The last step of each posting that the score counts.
  private func read(_ instance: TestInstance) async throws -> [Int] {
    let answer = try await instance.client.unrecorded.get("/v1/providers/acme/score?detail=full")
    #expect(answer.status == 200)
    let document = answer.json
    let steps = postings.map { $0.lastStep(in: document) }
    #expect(steps.allSatisfy { $0 != nil }, "a part of a commit: \(answer.text)")
    let key = "\(steps) at \(document["evaluated_at"].string ?? "")"
    #expect(documents.isSame(answer.headers["etag"] ?? "", for: key), "two documents of \(key)")
    return steps.map { $0 ?? -1 }
  }
}
