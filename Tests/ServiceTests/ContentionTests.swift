import EventLoop
import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// Posts that get into each other's way, or into that of somebody else who works on the database.
@Suite(.serialized) struct ContentionTests {
  /// Results of several checks and targets, each of a cell that the others fold into as well.
  private static func batch(_ number: Int, count: Int) -> [[String: Any]] {
    (0..<count).map { index in
      Posting.result(
        check: VerificationTests.checks[index % VerificationTests.checks.count],
        [
          "source": "lab", "observed_at": "2026-01-01T00:00:00Z", "external_id": "\(number)-\(index)",
          "target": "h\(index % 7).acme.example",
        ])
    }
  }

  private static let path = "/v1/probe-results"

  @Test(.timeLimit(.minutes(60))) func theSameBatchPostedToTwoInstancesAtOnceIsStoredOnce() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    try await registerRelay(with: first.client)
    try await eventually { try await second.client.get("/v1/sources/lab").status == 200 }
    let (rounds, count) = (Soak.count(short: 20, long: 100), 40)
    for round in 0..<rounds {
      // Each in an order of its own, so that locks are asked for in different orders.
      async let one = Self.post(Self.batch(round, count: count).shuffled(), to: first)
      async let other = Self.post(Self.batch(round, count: count).shuffled(), to: second)
      let accepted = try await [one, other].flatMap(\.self)
      #expect(accepted.count == count && Set(accepted).count == count, "round \(round): \(accepted.count)")
    }
    let deadlocks = try await first.database.query(
      "select deadlocks from pg_stat_database where datname = current_database()"
    ) { try $0.next(Int.self) }
    #expect(deadlocks == [0])
    let (summary, found) = try await VerificationTests.verify(first)
    #expect(found.isEmpty && summary.results == rounds * count, "\(summary) \(found)")
    for instance in [first, second] { await instance.stop() }
  }

  /// - Returns: the ids of what was accepted.
  private static func post(_ results: [[String: Any]], to instance: TestInstance) async throws -> [String] {
    let answer = try await instance.client.unrecorded.post(path, object: ["results": results])
    #expect(answer.status == 200 && answer.json["rejected"].integer == 0, "\(answer.text.prefix(300))")
    let entries = answer.json["results"].array
    let accepted = entries.filter { $0["status"].string == "accepted" }
    let duplicates = entries.count { $0["status"].string == "duplicate" }
    #expect(accepted.count == answer.json["accepted"].integer && duplicates == answer.json["duplicates"].integer)
    #expect(accepted.count + duplicates == results.count)
    return accepted.compactMap { $0["id"].string }
  }

  /// Somebody holds the row of a cell that the batch has to fold into, longer than a statement may take.
  @Test(.timeLimit(.minutes(60))) func aBatchThatTimesOutStoresNothingAndCanBePostedAgain() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    var configuration = try await TestPostgres.shared.value.configuration(name)
    configuration.statementTimeoutMilliseconds = 1_000
    let instance = try await TestInstance.start(on: configuration)
    try await registerRelay(with: instance.client)
    #expect(try await Self.post(Self.batch(0, count: 40), to: instance).count == 40)
    // Of the stored results.
    let past = "/v1/providers/acme/score?detail=full&as_of=2026-02-01T00:00:00Z"
    let before = try await instance.client.get(past).body

    try await TestPostgres.shared.value.onDatabase(name) { database in
      try await database.withTransaction { connection in
        // The middle one of the order in which a batch takes them.
        let held = try await connection.execute(
          "select 1 from evidence_cell where target like '%h3.acme.example%' order by check_id limit 1 for update")
        #expect(held == 1)
        for number in 1...3 {
          let answer = try await instance.client.post(
            Self.path, object: ["results": Self.batch(number, count: 40)])
          #expect(answer.status == 503 && answer.headers["retry-after"] != nil, "\(answer.text)")
          #expect(answer.json["type"].string == "/problems/database-unavailable")
        }
        #expect(try await instance.client.get(past).body == before)
      }
    }

    for number in 1...3 {
      let batch = Self.batch(number, count: 40)
      #expect(try await Self.post(batch, to: instance).count == 40)
      #expect(try await Self.post(batch, to: instance).isEmpty)
    }
    await instance.stop()
    // With as much time for a statement as usual: a busy machine takes it.
    let later = try await TestInstance.start(on: name, adminKey: instance.adminKey)
    let (summary, found) = try await VerificationTests.verify(later)
    #expect(found.isEmpty && summary.results == 160, "\(summary) \(found)")
    await later.stop()
  }
}
