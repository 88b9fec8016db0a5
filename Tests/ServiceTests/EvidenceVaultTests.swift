import Foundation
import Postgres
import RiskModel
import TestHarness
import Testing

@testable import Service

/// What the database alone tells of evidence: nothing.
@Suite(.serialized) struct EvidenceVaultTests {
  private static let needle = "needle-in-the-evidence"
  private static let secret = "sk-ant-api03-" + String(repeating: "aB3dE5gH7j", count: 9)
  private static let otherKey = MasterKey(base64: String(repeating: "B", count: 43) + "=")!

  private func post(
    _ instance: TestInstance, _ id: String, evidence: [String: Any]? = ["found": needle], note: String? = nil,
    at observed: String = "2026-11-23T07:00:00Z", headers: [String: String] = [:]
  ) async throws -> Answer {
    // The same bytes each time: a repetition under an Idempotency-Key has to be one.
    let body = try JSONSerialization.data(
      withJSONObject: Posting.result([
        "source": "lab", "external_id": id, "observed_at": observed, "evidence": evidence, "note": note,
      ]), options: .sortedKeys)
    return try await instance.client.post(
      "/v1/probe-results", String(decoding: body, as: UTF8.self), headers: headers)
  }

  private func read(_ id: String, from instance: TestInstance) async throws -> Answer {
    try await instance.client.get("/v1/probe-results/\(id)")
  }

  /// A second instance on the database of the first.
  private func withSecond(
    beside instance: TestInstance, clock: Service.Clock = .system, masterKey: MasterKey?,
    _ body: (TestInstance) async throws -> Void
  ) async throws {
    let second = try await TestInstance.start(
      on: instance.configuration, clock: clock, adminKey: instance.adminKey, masterKey: masterKey)
    let result: Result<Void, any Error>
    do { result = .success(try await body(second)) } catch { result = .failure(error) }
    await second.stop()
    try result.get()
  }

  // MARK: - At rest

  @Test func neitherTablesNorFilesHoldEvidenceOrSecrets() async throws {
    try await withRegisteredRelay { instance in
      let before = try await text("select pg_walfile_name(pg_current_wal_lsn())", in: instance)
      let key = ["Idempotency-Key": "one"]
      let evidence = ["found": Self.needle, "asked": ["x-api-key": Self.secret]] as [String: Any]
      let posted = try await post(instance, "1", evidence: evidence, note: "with \(Self.secret)", headers: key)
      #expect(posted.status == 201 && posted.json["evidence_status"].string == "stored", "\(posted.text)")
      #expect(posted.json["evidence"]["found"].string == Self.needle)
      let id = try #require(posted.json["id"].string)
      #expect(try await read(id, from: instance).body == posted.body)
      let listed = try await instance.client.get("/v1/providers/acme/probe-results")
      #expect(listed.json["items"][0]["evidence"]["found"].string == Self.needle)
      // The answer that is kept for repetitions shows evidence, too.
      let again = try await post(instance, "1", evidence: evidence, note: "with \(Self.secret)", headers: key)
      #expect(again.status == 201 && again.body == posted.body)

      let hidden = [Self.needle, Self.secret].flatMap { [$0, hexadecimal($0.utf8)] }
      let tables = try await instance.database.query(
        "select c.oid::regclass::text from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace"
      ) { try $0.next(String.self) }
      #expect(tables.contains { $0.hasPrefix("result_evidence_") } && tables.contains("idempotency_key"))
      for table in tables {
        let rows = try await instance.database.query("select t::text from \(unsafeRaw: table) t") {
          try $0.next(String.self)
        }
        for row in rows { #expect(!hidden.contains(where: row.contains), "\(table): \(row)") }
      }

      try await instance.database.withConnection { connection in
        try await connection.setStatementTimeout(milliseconds: 0)
        try await connection.execute("checkpoint")
      }
      let cluster = try await text("show data_directory", in: instance)
      let database = try await text(
        "select oid::text from pg_database where datname = current_database()", in: instance)
      let after = try await text("select pg_walfile_name(pg_current_wal_lsn())", in: instance)
      let log = try files(in: "\(cluster)/pg_wal").filter { before...after ~= $0.lastPathComponent }
      let files = try files(in: "\(cluster)/base/\(database)") + log
      #expect(!log.isEmpty && files.count > 100)
      var isIdentityFound = false
      for file in files {
        guard let data = try? Data(contentsOf: file) else { continue }
        for text in [Self.needle, Self.secret] {
          #expect(data.range(of: Data(text.utf8)) == nil, "\(file.path)")
        }
        // What is not secret is found, so the search finds what is there.
        if data.range(of: Data("encryption.legacy-tls-protocol".utf8)) != nil { isIdentityFound = true }
      }
      #expect(isIdentityFound)
    }
  }

  private func text(_ query: Query, in instance: TestInstance) async throws -> String {
    try await instance.database.query(query) { try $0.next(String.self) }[0]
  }

  private func files(in directory: String) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(
      at: URL(fileURLWithPath: directory), includingPropertiesForKeys: nil)
  }

  @Test func aBodyInAnothersPlaceIsNotShownAndOneOfBeforeIs() async throws {
    try await withRegisteredRelay { instance in
      var ids: [String] = []
      for number in 1...3 {
        ids.append(try #require(try await post(instance, "\(number)", evidence: ["of": number]).json["id"].string))
      }
      try await instance.database.execute(
        """
        update result_evidence e set body = other.body from result_evidence other
        where e.id::text = \(ids[0]) and other.id::text = \(ids[1])
        """)
      try await instance.database.execute(
        "update result_evidence set body = convert_to('{\"of\":9}', 'UTF8') where id::text = \(ids[2])")
      let swapped = try await read(ids[0], from: instance)
      #expect(swapped.status == 200 && swapped.json["evidence"].isNull)
      #expect(swapped.json["evidence_status"].string == "unreadable")
      #expect(try await read(ids[1], from: instance).json["evidence"]["of"].integer == 2)
      let earlier = try await read(ids[2], from: instance).json
      #expect(earlier["evidence"]["of"].integer == 9 && earlier["evidence_status"].string == "stored")
      let listed = try await instance.client.get("/v1/providers/acme/probe-results").json["items"].array
      #expect(listed.map { $0["evidence_status"].string } == ["stored", "stored", "unreadable"])

      // One byte of it suffices.
      try await instance.database.execute(
        "update result_evidence set body = set_byte(body, 20, get_byte(body, 20) # 1) where id::text = \(ids[1])")
      #expect(try await read(ids[1], from: instance).json["evidence_status"].string == "unreadable")
    }
  }

  // MARK: - Keys

  @Test func withoutTheRightMasterKeyAllButEvidenceGoesOn() async throws {
    try await withRegisteredRelay { instance in
      let first = try await post(instance, "1", headers: ["Idempotency-Key": "one"])
      let id = try #require(first.json["id"].string)
      for masterKey in [Self.otherKey, nil] {
        try await withSecond(beside: instance, masterKey: masterKey) { second in
          let shown = try await read(id, from: second)
          #expect(shown.status == 200 && shown.json["evidence"].isNull)
          #expect(shown.json["evidence_status"].string == "unreadable")
          #expect(try await second.client.get("/v1/providers/acme/probe-results").status == 200)
          let refused = try await post(second, "2")
          #expect(refused.status == 503 && refused.json["type"].string == "/problems/evidence-key-unavailable")
          let repeated = try await post(second, "1", headers: ["Idempotency-Key": "one"])
          #expect(repeated.status == 503 && repeated.json["type"].string == "/problems/evidence-key-unavailable")
          let bare = try await post(second, masterKey == nil ? "3" : "4", evidence: nil)
          #expect(bare.status == 201 && bare.json["evidence_status"].string == "none")
          #expect(try await second.client.get("/v1/providers/acme/score").status == 200)
        }
      }
      #expect(try await read(id, from: instance).body == first.body)
    }
  }

  @Test func whoNeverEncryptedStoresInTheClearUntilAKeyIsSet() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let plain = try await TestInstance.start(on: name, masterKey: nil)
    try await registerRelay(with: plain.client)
    let id = try #require(try await post(plain, "1").json["id"].string)
    let stored = try await text("select convert_from(body, 'UTF8') from result_evidence", in: plain)
    #expect(stored == #"{"found":"\#(Self.needle)"}"#)
    try await withSecond(beside: plain, masterKey: testMasterKey) { second in
      #expect(try await read(id, from: second).json["evidence"]["found"].string == Self.needle)
      let later = try #require(try await post(second, "2").json["id"].string)
      #expect(try await read(later, from: plain).json["evidence_status"].string == "unreadable")
    }
    await plain.stop()
  }

  @Test func instancesThatBeginADayTogetherMakeOneKey() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      try await withSecond(beside: instance, clock: clock.clock, masterKey: testMasterKey) { second in
        for day in 0..<3 {
          let ids = try await withThrowingTaskGroup(of: String?.self) { group in
            for number in 0..<12 {
              group.addTask {
                try await post(number % 2 == 0 ? instance : second, "\(day)/\(number)").json["id"].string
              }
            }
            return try await group.reduce(into: []) { $0.append($1) }
          }
          for id in ids {
            for each in [instance, second] {
              let shown = try await read(try #require(id), from: each).json
              #expect(shown["evidence"]["found"].string == Self.needle)
            }
          }
          clock.advance(milliseconds: 86_400_000)
        }
      }
      // Days 20,780 to 20,782 since 1970, and the key of fingerprints.
      #expect(try await days(in: instance) == [-1, 20_780, 20_781, 20_782])
    }
  }

  private func days(in instance: TestInstance) async throws -> [Int] {
    try await instance.database.query("select day from evidence_key order by day") { try $0.next(Int.self) }
  }

  @Test func keysGoWithTheMonthsTheyAreOf() async throws {
    let clock = TestClock("2026-03-31T23:59:59.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      _ = try await post(instance, "1", at: "2026-03-31T00:00:00Z")
      clock.advance(milliseconds: 1_000)
      let kept = try #require(try await post(instance, "2", at: "2026-03-31T00:00:00Z").json["id"].string)
      let before = try await days(in: instance)
      #expect(before.count == 3)
      clock.advance(milliseconds: 40 * 86_400_000)
      try await instance.service.maintain(Maintenance(retentionMonths: 1)) { _ in }
      #expect(try await days(in: instance) == [-1, before[2]] && before[2] == before[1] + 1)
      #expect(try await read(kept, from: instance).json["evidence"]["found"].string == Self.needle)
    }
  }

  @Test func aMasterKeyIs32BytesInBase64() {
    for count in [0, 1, 31, 32, 33] {
      let text = Base64.encode((0..<count).map { UInt8($0 * 7) })
      #expect(text == Data((0..<count).map { UInt8($0 * 7) }).base64EncodedString())
      #expect(Base64.decode(" \(text)\n".utf8) == (0..<count).map { UInt8($0 * 7) })
      #expect((MasterKey(base64: text + "\n") != nil) == (count == 32))
    }
    #expect(MasterKey(base64: String(repeating: "*", count: 43) + "=") == nil)
    #expect(MasterKey(base64: MasterKey.generate())?.id != testMasterKey.id)
  }
}
