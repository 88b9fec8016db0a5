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
