import Crypto
import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// The chain of the audit log: that it cannot be changed by mistake, and that whoever changes it on purpose is found.
@Suite(.serialized) struct AuditChainTests {
  /// An instance whose log has some entries.
  private func withEntries(_ body: @Sendable (TestInstance, _ count: Int) async throws -> Void) async throws {
    try await withRegisteredRelay { instance in
      for number in 0..<6 { _ = try await instance.client.patch("/v1/sources/lab", #"{"name":"Lab \#(number)"}"#) }
      try await body(instance, try await instance.service.auditHead().count)
    }
  }

  /// As a third party would: Foundation reads and writes the JSON, whose members are ASCII and whose numbers are short.
  @Test func theChainComesOutOfWhatTheAPIShows() async throws {
    try await withEntries { instance, count in
      var previous = String(repeating: "0", count: 64)
      for entry in try await instance.auditEntries() {
        var members = try #require(entry.value as? [String: Any])
        let hash = try #require(members.removeValue(forKey: "hash") as? String)
        #expect(members["previous_hash"] as? String == previous)
        let canonical = try JSONSerialization.data(
          withJSONObject: members, options: [.sortedKeys, .withoutEscapingSlashes])
        previous = SHA256.hash(data: canonical).map { String(format: "%02x", $0) }.joined()
        #expect(hash == previous, "\(String(decoding: canonical, as: UTF8.self))")
      }
      #expect(try await "\(instance.service.auditHead())" == "\(count):\(previous)")
    }
  }

  @Test func theLogCannotBeChangedByMistake() async throws {
    try await withEntries { instance, count in
      for setting in ["origin", "replica"] {
        for statement in [
          "update audit_entry set actor_name = 'x' where sequence = 2", "delete from audit_entry where sequence = 2",
          "delete from audit_entry where false", "truncate audit_entry", "truncate audit_head",
          "delete from audit_head",
          "update audit_head set count = count - 1", "update audit_head set hash = sha256('x')",
        ] {
          try await instance.database.withConnection { connection in
            connection.closeWhenDone()
            try await connection.execute("set session_replication_role = \(unsafeRaw: setting)")
            await #expect("\(statement) as \(setting)") {
              try await connection.execute(Query(stringLiteral: statement))
            } throws: { error in
              guard case PostgresError.server(let server) = error else { return false }
              return server.code == "42501"
            }
          }
        }
      }
      #expect(try await instance.auditFaults() == [])
      #expect(try await instance.service.auditHead().count == count)
    }
  }

  /// What somebody may do who can take the triggers away first.
  private func tamper(_ instance: TestInstance, _ statements: String) async throws {
    try await instance.database.withConnection { connection in
      try await connection.executeScript(
        """
        alter table audit_entry disable trigger all; alter table audit_head disable trigger all; \(statements);
        alter table audit_entry enable trigger all; alter table audit_head enable trigger all
        """)
    }
  }

  @Test(arguments: [
    "recorded_at = recorded_at + interval '1 ms'", "actor_key = gen_random_uuid()", "actor_key = null",
    "actor_name = 'x'", "peer = null", "peer = ''", "request_id = null", "action = 'provider.update'",
    "object_kind = 'provider'", "object_id = null", "before = null", "after = replace(after, 'Lab', 'Lob')",
    "after = replace(after, ',', ', ')", "after = 'null'", "after = '['", "previous_hash = sha256('x')",
    "hash = sha256('x')",
  ])
  func anEditOfAnyFieldIsFound(_ edit: String) async throws {
    try await withEntries { instance, count in
      let edited = count - 2
      try await tamper(instance, "update audit_entry set \(edit) where sequence = \(edited)")
      let faults = try await instance.auditFaults()
      #expect(faults.contains { $0.hasPrefix("entry \(edited) (") }, "\(faults)")
    }
  }

  @Test func everyColumnIsEdited() async throws {
    try await withInstance { instance in
      let columns = try await instance.database.query(
        "select column_name::text from information_schema.columns where table_name = 'audit_entry'"
      ) { try $0.next(String.self) }
      #expect(
        Set(columns) == [
          "sequence", "recorded_at", "actor_key", "actor_name", "peer", "request_id", "action", "object_kind",
          "object_id", "before", "after", "previous_hash", "hash",
        ], "edit the new column in anEditOfAnyFieldIsFound")
    }
  }

  @Test func whatIsTakenOutMovedOrCutOffIsFound() async throws {
    let renumber = """
      update audit_entry set sequence = -sequence where sequence in (%1$ld, %2$ld);
      update audit_entry set sequence = %1$ld + %2$ld + sequence where sequence < 0
      """
    for (name, statements, found) in [
      ("one out", "delete from audit_entry where sequence = 3", ["entry 3 is missing"]),
      ("three out", "delete from audit_entry where sequence between 3 and 5", ["entries 3 to 5 are missing"]),
      ("the first out", "delete from audit_entry where sequence = 1", ["entry 1 is missing"]),
      (
        "one out, and the gap closed",
        "delete from audit_entry where sequence = 3; update audit_head set count = count - 1; "
          + "update audit_entry set sequence = sequence - 1 where sequence > 3", ["entry 3 (", "does not follow"]
      ),
      (
        "two swapped",
        "alter table audit_entry drop constraint audit_entry_sequence_check; "
          + renumber.replacing("%1$ld", with: "3").replacing("%2$ld", with: "4"), ["entry 3 (", "entry 4 ("]
      ),
      ("the end cut off", "delete from audit_entry where sequence > 5", ["the log ends with entry 5"]),
    ] {
      try await withEntries { instance, _ in
        try await tamper(instance, statements)
        let faults = try await instance.auditFaults()
        for part in found { #expect(faults.contains { $0.contains(part) }, "\(name): \(faults)") }
      }
    }
  }

  @Test func aHeadThatWasKeptFindsWhatTheLogAloneDoesNotTell() async throws {
    try await withEntries { instance, count in
      let kept = try await instance.service.auditHead()
      #expect(try await instance.auditFaults(against: kept) == [])
      // Entries that are added behind it are no fault.
      _ = try await instance.client.patch("/v1/sources/lab", #"{"name":"Other"}"#)
      #expect(try await instance.auditFaults(against: kept) == [])

      try await tamper(
        instance,
        """
        delete from audit_entry where sequence >= \(count);
        update audit_head set (count, hash) = (select sequence, hash from audit_entry order by sequence desc limit 1)
        """)
      #expect(try await instance.auditFaults() == [])
      let cut = try await instance.auditFaults(against: kept)
      #expect(cut.count == 1 && cut[0].contains("names entry \(count)"), "\(cut)")
      // Written on, so that it is as long as it was.
      _ = try await instance.client.patch("/v1/sources/lab", #"{"name":"Third"}"#)
      #expect(try await instance.auditFaults() == [])
      let rewritten = try await instance.auditFaults(against: kept)
      #expect(rewritten.count == 1 && rewritten[0].hasPrefix("entry \(count) is not the one"), "\(rewritten)")
    }
  }

  @Test(.timeLimit(.minutes(60))) func instancesThatWriteAtOnceMakeOneChain() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    try await registerRelay(with: first.client)
    try await eventually { try await second.client.get("/v1/sources/lab").status == 200 }
    let end = ContinuousClock.now + Soak.seconds(short: 1)
    // Of several kinds, which lock in orders of their own before they come to the log; and results, which come to the
    // lock behind it.
    let made = try await withThrowingTaskGroup(of: Int.self) { group in
      for (number, instance) in [first, second, first, second, first, second].enumerated() {
        group.addTask { try await Self.write(number, to: instance, until: end) }
      }
      return try await group.reduce(0, +)
    }
    let entries = try await first.auditEntries()
    #expect(made > 0 && entries.count { $0["request_id"].string != nil } == made + 2)
    #expect(try await first.auditFaults() == [])
    let deadlocks = try await first.database.query(
      "select deadlocks from pg_stat_database where datname = current_database()"
    ) { try $0.next(Int.self) }
    #expect(deadlocks == [0])
    for instance in [first, second] { await instance.stop() }
  }

  /// - Returns: how many changes were answered as made.
  private static func write(
    _ number: Int, to instance: TestInstance, until end: ContinuousClock.Instant
  ) async throws -> Int {
    let client = instance.client.unrecorded
    var (round, made) = (0, 0)
    while ContinuousClock.now < end {
      let slug = "w\(number)-\(round)"
      let answers = [
        try await client.post("/v1/providers", #"{"slug":"\#(slug)","name":"P","hosts":["\#(slug).example"]}"#),
        try await client.post("/v1/providers/acme/incidents", #"{"concern":"encryption","summary":"S"}"#),
        try await client.patch("/v1/sources/lab", #"{"name":"\#(slug)"}"#),
      ]
      // The source may be changed by others meanwhile.
      #expect(answers.allSatisfy { [200, 201, 409].contains($0.status) }, "\(answers.map(\.status))")
      made += answers.count { $0.status < 300 }
      let posted = try await client.post(
        "/v1/probe-results", object: Posting.result(["source": "lab", "external_id": slug]))
      #expect(posted.status == 201)
      let results = posted.json["id"].string!
      if try await client.post("/v1/probe-results/\(results)/void", #"{"reason":"R"}"#).status == 200 { made += 1 }
      round += 1
    }
    return made
  }
}
