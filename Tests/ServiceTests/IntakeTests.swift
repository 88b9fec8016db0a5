import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// What posts do to each other.
@Suite(.serialized) struct IntakeTests {
  /// Holds the identities, so that nothing can be stored meanwhile.
  private static func withStoringHeldUp<Value: Sendable>(
    _ instance: TestInstance, _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    try await instance.database.withTransaction { connection in
      try await connection.execute("lock table result_identity in exclusive mode")
      return try await body()
    }
  }

  private static func results(_ count: Int, _ prefix: String) -> [String: Any] {
    ["results": (0..<count).map { Posting.result(["source": "lab", "external_id": "\(prefix)-\($0)"]) }]
  }

  @Test func moreThanCanWaitIsRefusedAtOnceAndNothingIsLost() async throws {
    let limits = Intake.Limits(waitingResultsMax: 100, waitingBytesMax: 1 << 20)
    try await withInstance(intakeLimits: limits) { instance in
      try await registerRelay(with: instance.client)
      let posts = try await Self.withStoringHeldUp(instance) {
        let posts = (0..<8).map { number in
          Task { try await instance.client.post("/v1/probe-results", object: Self.results(40, "a\(number)")).status }
        }
        let refused = try await instance.client.post("/v1/probe-results", object: Self.results(101, "b"))
        #expect(refused.status == 503)
        #expect(refused.headers["retry-after"] == "2")
        #expect(refused.json["detail"].string?.contains("nothing was stored") == true)
        return posts
      }
      var statuses: [Int] = []
      for post in posts { statuses.append(try await post.value) }
      #expect(statuses.allSatisfy { $0 == 200 || $0 == 503 })
      let stored = try await instance.database.query("select count(*) from result") { try $0.next(Int.self) }[0]
      #expect(stored == 40 * statuses.count { $0 == 200 })
    }
  }

  @Test func bytesThatWaitAreLimitedToo() async throws {
    let limits = Intake.Limits(waitingResultsMax: 100, waitingBytesMax: 100_000)
    try await withInstance(intakeLimits: limits) { instance in
      try await registerRelay(with: instance.client)
      let evidence = ["text": String(repeating: "e", count: 60_000)]
      let body = [
        "results": (0..<2).map { n in
          Posting.result(["source": "lab", "external_id": "\(n)", "evidence": evidence])
        }
      ]
      #expect(try await instance.client.post("/v1/probe-results", object: body).status == 503)
      let one = Posting.result(["source": "lab", "external_id": "x", "evidence": evidence])
      #expect(try await instance.client.post("/v1/probe-results", object: one).status == 201)
    }
  }

  @Test func oneResultDoesNotWaitForThousands() async throws {
    try await withRegisteredRelay { instance in
      let held = try await Self.identity(of: "held-0", on: instance)
      try await instance.database.withTransaction { connection in
        // Another instance is about to commit one of the results of the large batch.
        try await connection.execute(
          """
          insert into result_identity (provider_id, identity, result_id, digest)
          values (\(held.provider), \(held.identity), gen_random_uuid(), sha256('other'))
          """)
        async let large = instance.client.post("/v1/probe-results", object: Self.results(200, "held"))
        let one = try await instance.client.post(
          "/v1/probe-results", object: Posting.result(["source": "lab", "external_id": "single"]))
        #expect(one.status == 201)
        try await connection.execute("rollback")
        #expect(try await large.json["accepted"].integer == 200)
      }
    }
  }

  /// What a result is stored under, found by storing it once and removing it again.
  private static func identity(
    of externalID: String, on instance: TestInstance
  ) async throws -> (provider: Identifier, identity: [UInt8]) {
    _ = try await instance.client.post(
      "/v1/probe-results", object: Posting.result(["source": "lab", "external_id": externalID]))
    return try await instance.database.query("delete from result_identity returning provider_id, identity") {
      (try $0.next(Identifier.self), try $0.next([UInt8].self))
    }[0]
  }

  @Test func aBatchShowsNothingOfAnotherInstanceByHalves() async throws {
    try await withRegisteredRelay { instance in
      let changes = instance.service.parts.changes
      // A version that memory does not have yet: what comes after it waits for the feed to bring it.
      try await instance.database.withTransaction { connection in
        _ = try await ChangeLog(database: instance.database, instance: IdentifierGenerator().next(at: .endOfTime))
          .append(at: .endOfTime, to: connection)
      }
      let posted = try await instance.client.post("/v1/probe-results", object: Posting.result(["source": "lab"]))
      #expect(posted.status == 201)
      #expect(changes.versions.applied == changes.versions.known)
      #expect(!(await changes.wait(for: changes.versions.known + 1, atMost: .milliseconds(10))))
    }
  }
}
