import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// Evidence that is erased: gone from the database, while its result stays what it was.
@Suite(.serialized) struct ErasureTests {
  private static let needle = "what-is-to-be-erased"

  private func post(
    _ instance: TestInstance, _ id: String, _ fields: [String: Any?] = [:], headers: [String: String] = [:]
  ) async throws -> Answer {
    let result = Posting.result(
      ["source": "lab", "external_id": id, "observed_at": "2026-11-23T07:00:00Z", "evidence": ["found": Self.needle]]
        .merging(fields) { $1 })
    // The same bytes each time: a repetition under an Idempotency-Key has to be one.
    let body = try JSONSerialization.data(withJSONObject: result, options: .sortedKeys)
    return try await instance.client.post("/v1/probe-results", String(decoding: body, as: UTF8.self), headers: headers)
  }

  private func erase(
    _ id: String, in instance: TestInstance, reason: String = "leaked", headers: [String: String] = [:]
  ) async throws -> Answer {
    try await instance.client.post(
      "/v1/probe-results/\(id)/erase-evidence", #"{"reason":"\#(reason)"}"#, headers: headers)
  }

  private func statuses(of provider: String, in instance: TestInstance) async throws -> [String: String] {
    let items = try await instance.client.get("/v1/providers/\(provider)/probe-results?limit=500").json["items"].array
    return Dictionary(
      items.map { ($0["external_id"].string ?? "", $0["evidence_status"].string ?? "") }, uniquingKeysWith: { $1 })
  }

  private func entries(_ instance: TestInstance) async throws -> [JSON] {
    try await instance.auditEntries().filter { $0["action"].string?.hasSuffix("erase_evidence") == true }
  }

  /// Runs `body` with an instance that stores in the clear, so that the database can be searched.
  private func withPlain(_ body: (TestInstance) async throws -> Void) async throws {
    let instance = try await TestInstance.start(
      on: try await TestPostgres.shared.value.makeDatabase(), masterKey: nil)
    let result: Result<Void, any Error>
    do {
      try await registerRelay(with: instance.client)
      result = .success(try await body(instance))
    } catch { result = .failure(error) }
    await instance.stop()
    try result.get()
  }

  // MARK: - One

  @Test func noTableHoldsItAnyMore() async throws {
    try await withPlain { instance in
      let keyed = { (key: String) in ["Idempotency-Key": key] }
      let posted = try await post(instance, "1", headers: keyed("post"))
      let id = try #require(posted.json["id"].string)
      let path = "/v1/probe-results/\(id)"
      let voided = try await instance.client.post("\(path)/void", #"{"reason":"V"}"#, headers: keyed("void"))
      #expect(voided.status == 200 && voided.headers["location"] == path)
      #expect(voided.json["evidence"]["found"].string == Self.needle)
      _ = try await instance.client.post("/v1/disputes", object: ["result": id, "reason": "D"])
      // One place, and each kept answer is whole all the same.
      #expect(try await instance.database.tables(holding: Self.needle).allSatisfy { $0.hasPrefix("result_evidence_") })
      #expect(try await instance.database.tables(holding: Self.needle).count == 1)
      let again = try await post(instance, "1", headers: keyed("post"))
      #expect(again.status == 201 && again.body == posted.body && again.headers["etag"] == posted.headers["etag"])

      let erased = try await erase(id.uppercased(), in: instance, headers: keyed("erase"))
      #expect(erased.status == 200 && erased.headers["location"] == path)
      #expect(try await instance.database.tables(holding: Self.needle) == [])

      // What was kept is answered without it, and is what its tag says.
      for (answer, status) in [
        (try await post(instance, "1", headers: keyed("post")), 201),
        (try await instance.client.post("\(path)/void", #"{"reason":"V"}"#, headers: keyed("void")), 200),
        (try await erase(id, in: instance, headers: keyed("erase")), 200),
      ] {
        #expect(answer.status == status && answer.json["evidence"].isNull)
        #expect(answer.json["evidence_status"].string == "erased")
        #expect(answer.json["evidence_erased"]["reason"].string == "leaked")
        #expect(answer.headers["etag"] == entityTag(of: Array(answer.body)))
      }
      #expect(try await post(instance, "1", headers: keyed("post")).json["voided"].isNull)
      #expect(try await instance.database.tables(holding: Self.needle) == [])
    }
  }

  @Test func theResultStaysWhatItWas() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let posted = try await post(instance, "1", ["note": "N", "outcome": "fail"])
      let id = try #require(posted.json["id"].string)
      let score = try await instance.client.get("/v1/providers/acme/score?detail=full")
      let answer = try await erase(id, in: instance)
      let shown = try await instance.client.get("/v1/probe-results/\(id)")
      #expect(shown.body == answer.body && shown.headers["etag"] == answer.headers["etag"])
      func rest(_ answer: Answer) throws -> NSDictionary {
        var members = try #require(try JSONSerialization.jsonObject(with: answer.body) as? [String: Any])
        for name in ["evidence", "evidence_status", "evidence_erased"] { members[name] = nil }
        return members as NSDictionary
      }
      #expect(try rest(shown) == rest(posted))
      #expect(shown.json["evidence"].isNull && shown.json["evidence_status"].string == "erased")
      #expect(shown.json["evidence_erased"].keys == ["at", "by", "reason"])
      #expect(shown.json["evidence_erased"]["at"].string == "2026-11-23T08:00:00.000Z")
      #expect(shown.json["evidence_erased"]["by"].string?.hasPrefix("key:") == true)
      let listed = try await instance.client.get("/v1/providers/acme/probe-results")
      #expect(listed.text.contains(shown.text))
      #expect(try await instance.client.get("/v1/providers/acme/score?detail=full").body == score.body)

      // A blind retry is still the same result; anything else under its name still is not.
      let repeated = try await post(instance, "1", ["note": "N", "outcome": "fail"])
      #expect(repeated.status == 200 && repeated.body == shown.body)
      #expect(try await post(instance, "1", ["note": "N", "outcome": "fail", "evidence": ["a": 1]]).status == 409)
      #expect(try await post(instance, "1", ["note": "N", "outcome": "fail", "evidence": nil]).status == 409)
      #expect(try await VerificationTests.verify(instance).0.differences == 0)
    }
  }

  @Test func itIsDoneOnceAndWrittenDownOnce() async throws {
    try await withRegisteredRelay { instance in
      let id = try #require(try await post(instance, "1").json["id"].string)
      let bare = try #require(try await post(instance, "2", ["evidence": nil]).json["id"].string)
      let first = try await erase(id, in: instance)
      #expect(try await erase(id, in: instance, reason: "other").body == first.body)
      let none = try await erase(bare, in: instance)
      #expect(none.status == 200 && none.json["evidence_status"].string == "none")
      #expect(none.json["evidence_erased"].isNull)
      let entries = try await entries(instance)
      #expect(entries.count == 1)
      let provider = try await instance.client.get("/v1/providers/acme").json["id"].string
      #expect(entries[0]["action"].string == "result.erase_evidence" && entries[0]["object"]["id"].string == id)
      #expect(entries[0]["before"].isNull && entries[0]["after"]["provider_id"].string == provider)
      #expect(entries[0]["after"].keys == ["provider_id", "recorded_at", "recorded_by", "reason"])
      #expect(entries[0]["after"]["reason"].string == "leaked")
      for unknown in ["none", "0190a000-0000-7000-8000-000000000000"] {
        #expect(try await erase(unknown, in: instance).status == 404)
      }
      let poster = try await instance.key(.resultsWrite, .evidenceRead, source: "lab")
      #expect(try await poster.post("/v1/probe-results/\(id)/erase-evidence", #"{"reason":"R"}"#).status == 403)
    }
  }

  @Test func evidenceThatCannotBeReadHereIsErasedAllTheSame() async throws {
    try await withRegisteredRelay { instance in
      let id = try #require(try await post(instance, "1").json["id"].string)
      let keyless = try await TestInstance.start(
        on: instance.configuration, adminKey: instance.adminKey, masterKey: nil)
      #expect(try await erase(id, in: keyless).json["evidence_status"].string == "erased")
      await keyless.stop()
      #expect(try await instance.client.get("/v1/probe-results/\(id)").json["evidence_status"].string == "erased")
    }
  }

  // MARK: - Many

  @Test func manyAreErasedByAllThatIsNamed() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let client = instance.client
      _ = try await client.post("/v1/providers", #"{"slug":"beta","name":"B","hosts":["beta.example"]}"#)
      _ = try await client.post("/v1/sources", #"{"slug":"other","name":"O"}"#)
      for provider in ["acme", "beta"] {
        for source in ["lab", "other"] {
          for hour in 0..<2 {
            _ = try await post(
              instance, "\(source)/\(hour)", ["provider": provider, "source": source, "run_id": "run-\(hour)"])
            _ = try await post(
              instance, "bare/\(source)/\(hour)", ["provider": provider, "source": source, "evidence": nil])
            clock.advance(milliseconds: 1_800_000)
          }
        }
      }
      func erase(_ selection: [String: Any]) async throws -> JSON {
        let answer = try await client.post(
          "/v1/probe-results/erase-evidence", object: selection.merging(["reason": "R"]) { $1 })
        #expect(answer.status == 200, "\(answer.text)")
        return answer.json
      }
      let everything = ["lab/0", "lab/1", "other/0", "other/1"]
      let dry = try await erase(["provider": "acme.example", "source": "lab", "dry_run": true])
      #expect(dry["matched"].integer == 2 && dry["erased"].integer == 0 && dry["dry_run"].bool == true)
      #expect(try await statuses(of: "acme", in: instance).filter { $0.value == "stored" }.count == 4)
      #expect(try await entries(instance).isEmpty)

      let done = try await erase(["provider": "acme", "source": "lab"])
      #expect(done["matched"].integer == 2 && done["erased"].integer == 2)
      let after = try await statuses(of: "acme", in: instance)
      #expect(everything.map { after[$0] } == ["erased", "erased", "stored", "stored"])
      #expect(after["bare/lab/0"] == "none")
      // Those that are gone already are not counted again.
      #expect(try await erase(["source": "lab", "run_id": "run-0"])["erased"].integer == 1)
      let ranged = try await erase([
        "received_from": "2026-11-23T11:00:00Z", "received_until": "2026-11-23T11:00:00Z",
      ])
      #expect(ranged["erased"].integer == 1)
      let beta = try await statuses(of: "beta", in: instance)
      #expect(everything.map { beta[$0] } == ["erased", "stored", "erased", "stored"])
      #expect(try await erase(["source": "lab", "run_id": "none"])["matched"].integer == 0)
      #expect(try await entries(instance).map { $0["after"]["erased"].integer } == [2, 1, 1])
      let refused = try await client.post("/v1/probe-results/erase-evidence", #"{"reason":"R"}"#)
      #expect(refused.status == 422 && refused.json.pointers == [""])
    }
  }

  @Test func erasuresAtOnceShareTheirResults() async throws {
    try await withRegisteredRelay { instance in
      for number in 0..<40 { _ = try await post(instance, "\(number)", ["run_id": "run-\(number % 2)"]) }
      let erased = try await withThrowingTaskGroup(of: Int?.self) { group in
        for selection in [#""source":"lab""#, #""provider":"acme""#, #""run_id":"run-0""#, #""run_id":"run-1""#] {
          for _ in 0..<2 {
            group.addTask {
              try await instance.client.post("/v1/probe-results/erase-evidence", "{\"reason\":\"R\",\(selection)}")
                .json["erased"].integer
            }
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(erased.compactMap { $0 }.count == 8 && erased.compactMap { $0 }.reduce(0, +) == 40)
      #expect(try await statuses(of: "acme", in: instance).allSatisfy { $0.value == "erased" })
      #expect(try await instance.auditFaults() == [])
    }
  }

  // MARK: - What is around it

  @Test func monthsAreDroppedWithAndWithoutErasedEvidence() async throws {
    let clock = TestClock("2026-03-20T00:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let old = try #require(try await post(instance, "1", ["observed_at": "2026-03-20T00:00:00Z"]).json["id"].string)
      #expect(try await erase(old, in: instance).status == 200)
      clock.advance(milliseconds: 20 * 86_400_000)
      let kept = try #require(try await post(instance, "2", ["observed_at": "2026-04-09T00:00:00Z"]).json["id"].string)
      clock.advance(milliseconds: 30 * 86_400_000)
      let score = try await instance.client.get("/v1/providers/acme/score?detail=full").body
      try await instance.service.maintain(Maintenance(retentionMonths: 1)) { _ in }
      #expect(try await erase(old, in: instance).status == 410)
      #expect(try await erase(kept, in: instance).json["evidence_status"].string == "erased")
      #expect(try await instance.client.get("/v1/providers/acme/score?detail=full").body == score)
      #expect(try await post(instance, "1", ["observed_at": "2026-03-20T00:00:00Z"]).status == 410)
      #expect(try await VerificationTests.verify(instance).0.differences == 0)
    }
  }

  @Test func nobodyElseMayCallTheFunction() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    try await TestPostgres.shared.value.onDatabase(name) { owner in
      let role = "stranger_\(name)"
      try await owner.execute("create role \(unsafeRaw: role)")
      let call: Query = "select erase_evidence('{}', '{}', now(), 'x', 'y')"
      #expect(try await owner.query(call) { try $0.next(Int.self) } == [0])
      await #expect(throws: PostgresError.self) {
        try await owner.withTransaction { connection in
          try await connection.execute("set local role \(unsafeRaw: role)")
          try await connection.execute(call)
        }
      }
    }
  }
}

extension Database {
  /// The tables with a row that has the text, or its bytes as hexadecimal digits.
  fileprivate func tables(holding text: String) async throws -> [String] {
    let tables = try await query(
      "select c.oid::regclass::text from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace"
    ) { try $0.next(String.self) }
    var holding: [String] = []
    for table in tables {
      let count = try await query(
        """
        select count(*) from \(unsafeRaw: table) t
        where position(\(text) in t::text) > 0 or position(\(hexadecimal(text.utf8)) in t::text) > 0
        """
      ) { try $0.next(Int.self) }[0]
      if count > 0 { holding.append(table) }
    }
    return holding
  }
}
