import Crypto
import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// Who changed what: an entry for each thing that was changed, and none for anything else.
@Suite(.serialized) struct AuditLogTests {
  @Test func everyKindOfChangeLeavesItsEntries() async throws {
    try await withRegisteredRelay { instance in
      let request = UUID().uuidString.lowercased()
      var seen = try await instance.auditEntries()
      var client = instance.client
      client.headers["X-Request-Id"] = request
      for step in AuditedWork(client: client).steps {
        let name = step.name
        let (answer, expected) = try await step.make()
        #expect(200..<300 ~= answer.status, "\(name): \(answer.text.prefix(300))")
        let entries = try await instance.auditEntries()
        let added = Array(entries.dropFirst(seen.count))
        seen = entries
        #expect(added.map { $0["action"].string } == expected.map(\.action), "\(name)")
        for (entry, expected) in zip(added, expected) {
          #expect(entry["object"]["id"].string == expected.object, "\(name)")
          #expect(entry["object"]["kind"].string == String(expected.action.prefix { $0 != "." }), "\(name)")
          expect(entry["before"], has: expected.before, "\(name), before")
          expect(entry["after"], has: expected.after, "\(name), after")
          #expect(entry["actor"]["key_id"].string == instance.adminKey.split(separator: "_").map(String.init)[1])
          #expect(entry["actor"]["kind"].string == "key" && entry["actor"]["name"].string == "admin", "\(name)")
          #expect(entry["peer"].string == "127.0.0.1" && entry["request_id"].string == request, "\(name)")
        }
      }
      // Nothing that an entry can say was left out, but for what maintenance and the command do.
      let actions = Set(seen.compactMap { $0["action"].string })
      #expect(actions == Set(AuditAction.allCases.map(\.rawValue)).subtracting(["results.drop", "master_key.rotate"]))
      #expect(seen.map { $0["sequence"].integer } == Array(1...seen.count))
      #expect(try await instance.auditFaults() == [])
    }
  }

  private func expect(_ object: JSON, has members: [String: Any]?, _ what: String) {
    guard let members else { return #expect(object.isNull, "\(what)") }
    let object = object.value as? [String: Any] ?? [:]
    #expect(!object.isEmpty, "\(what)")
    for (name, value) in members {
      #expect((object[name] as? NSObject) == (value as? NSObject), "\(what): \(name)")
    }
  }

  @Test func theCommandIsNamedByItsUser() async throws {
    try await withInstance { instance in
      let key = try await instance.service.createKey(name: "K", scopes: [.scoresRead], source: nil)
      try await instance.service.revokeKey(String(key.split(separator: "_")[1]))
      _ = try await instance.service.loadDemo()
      let entries = try await instance.auditEntries()
      let user = NSUserName()
      for entry in entries {
        #expect(entry["actor"]["kind"].string == "command" && entry["actor"]["name"].string == user)
        #expect(entry["actor"]["key_id"].isNull && entry["peer"].isNull && entry["request_id"].isNull)
      }
      // The shipped methodology, and the key of the test itself.
      #expect(
        entries.prefix(4).map { $0["action"].string } == [
          "methodology.create", "key.create", "key.create", "key.revoke",
        ])
      let demo = Dictionary(grouping: entries.dropFirst(4)) { $0["action"].string ?? "" }.mapValues(\.count)
      let sources = try await instance.client.get("/v1/sources").json["items"].array
      #expect(demo["source.create"] == sources.count)
      #expect(demo["provider.import"] == instance.service.parts.registry.providers.count)
      #expect(demo["waiver.create"] != nil && demo["incident.open"] != nil && demo.count == 4)
    }
  }

  @Test func whatChangesNothingLeavesNoEntry() async throws {
    try await withRegisteredRelay { instance in
      let client = instance.client
      for step in AuditedWork(client: client).steps { _ = try await step.make() }
      let before = try await instance.auditEntries()
      let last = Dictionary(before.map { ($0["action"].string!, $0["object"]["id"].string ?? "") }) { $1 }
      let retired = try await client.send("DELETE", "/v1/providers/c")
      #expect(retired.status == 204)
      for path in [
        "/v1/keys/\(last["key.revoke"]!)", "/v1/providers/acme/waivers/\(last["waiver.revoke"]!)",
      ] { #expect(try await client.send("DELETE", path).status == 204) }
      for (path, body) in [
        ("/v1/providers/acme/incidents/\(last["incident.close"]!)/close", "{}"),
        ("/v1/probe-results/\(last["result.void"]!)/void", #"{"reason":"again"}"#),
        ("/v1/probe-results/void", #"{"reason":"again","source":"lab"}"#),
        ("/v1/probe-results/void", #"{"reason":"look","source":"lab","dry_run":true}"#),
        ("/v1/methodologies", MethodologyLifeTests.lenient),
      ] { #expect(try await client.post(path, body).status == 200, "\(path)") }
      for (path, body) in [
        ("/v1/providers/b", #"{"name":"B"}"#), ("/v1/sources/s", #"{"trust":0.3}"#),
        ("/v1/methodologies/rm-try", #"{"status":"active"}"#),
      ] { #expect(try await client.patch(path, body).status == 200, "\(path)") }
      let quota = try await client.send(
        "PATCH", "/v1/keys/\(last["key.create"]!)", headers: ["Content-Type": "application/merge-patch+json"],
        body: Data(#"{"requests_per_minute":null}"#.utf8))
      #expect(quota.status == 200)
      #expect(try await AuditedWork(client: client).put("m", tier: "flagship").status == 200)
      // What is refused within its transaction, too.
      for (path, body) in [
        ("/v1/providers", #"{"slug":"d","name":"D","hosts":["b.test"]}"#), ("/v1/sources", #"{"slug":"s","name":"S"}"#),
      ] { #expect(try await client.post(path, body).status == 409, "\(path)") }
      let decided = try await client.patch(
        "/v1/disputes/\(last["dispute.uphold"]!)", #"{"status":"rejected","note":"again"}"#)
      #expect(decided.status == 409)
      #expect(try await instance.auditEntries().count == before.count)
    }
  }

  @Test func aRepetitionWithItsIdempotencyKeyLeavesNoSecondEntry() async throws {
    try await withInstance { instance in
      for _ in 0..<2 {
        let answer = try await instance.client.post(
          "/v1/sources", #"{"slug":"lab","name":"Lab"}"#, headers: ["Idempotency-Key": "k"])
        #expect(answer.status == 201)
      }
      #expect(try await instance.auditEntries().count { $0["action"].string == "source.create" } == 1)
    }
  }

  @Test func noEntryHoldsASecretOrEvidence() async throws {
    try await withRegisteredRelay { instance in
      var secrets = [String(instance.adminKey.split(separator: "_")[2])]
      for step in AuditedWork(client: instance.client).steps {
        let answer = try await step.make().answer
        if let key = answer.json["key"].string { secrets.append(String(key.split(separator: "_")[2])) }
      }
      // The admin's, the key that is made and the one it is rotated to.
      #expect(secrets.count == 3)
      let rows = try await instance.database.query("select e::text from audit_entry e") { try $0.next(String.self) }
      let log = rows.joined()
      for secret in secrets {
        let digest = Data(SHA256.hash(data: Data(secret.utf8)))
        let hex = digest.map { String(format: "%02x", $0) }.joined()
        for text in [secret, hex, digest.base64EncodedString(), "ev-idence"] { #expect(!log.contains(text)) }
      }
    }
  }

  @Test func anEntryIsThereIfAndOnlyIfItsChangeIs() async throws {
    struct GivenUp: Error {}
    try await withInstance { instance in
      let parts = instance.service.parts
      let before = try await parts.audit.head().head
      let change = try AuditChange(.sourceUpdate, "x") { $0.object { _ in } }
      await #expect(throws: GivenUp.self) {
        try await instance.database.withTransaction { connection in
          try await AuditLog.append([change], by: .command, at: parts.clock.now(), to: connection)
          throw GivenUp()
        }
      }
      #expect(try await parts.audit.head().head == before)
      // And the other way round: where no entry can be written, nothing is changed.
      _ = try await instance.database.execute("alter table audit_entry rename to elsewhere")
      let refused = try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      #expect(refused.status == 500)
      _ = try await instance.database.execute("alter table elsewhere rename to audit_entry")
      #expect(try await instance.database.query("select slug from source") { try $0.next(String.self) } == [])
      #expect(try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#).status == 201)
      #expect(try await instance.auditFaults() == [])
    }
  }

  @Test func aDropOfOldResultsIsWrittenDown() async throws {
    let clock = TestClock("2026-01-20T08:00:00Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let body = Posting.result(["source": "lab", "observed_at": clock.now.rfc3339])
      #expect(try await instance.client.post("/v1/probe-results", object: body).status == 201)
      clock.advance(milliseconds: 200 * 86_400_000)
      // Months without results before are dropped, too.
      try await instance.service.maintain(Maintenance(retentionMonths: 3)) { _ in }
      let drops = try await instance.auditEntries().filter { $0["action"].string == "results.drop" }
      let month = try #require(drops.first { $0["before"]["month"].string == "2026-01" })
      #expect(month["before"]["results"].integer == 1 && month["object"]["id"].isNull)
      #expect(month["after"]["horizon"].string == "2026-02-01T00:00:00.000Z")
      try await instance.service.maintain(Maintenance(retentionMonths: 3)) { _ in }
      #expect(try await instance.auditEntries().count { $0["action"].string == "results.drop" } == drops.count)
    }
  }

  // MARK: - Reading

  @Test func theListFiltersAndPages() async throws {
    let clock = TestClock("2026-03-01T08:00:00Z")
    try await withInstance(clock: clock.clock) { instance in
      let other = try await instance.key(.registryWrite)
      let keyID = other.key!.split(separator: "_").map(String.init)[1]
      let day: Int64 = 86_400_000
      for (index, client) in [instance.client, other, instance.client, other].enumerated() {
        clock.advance(milliseconds: day)
        let slug = "p\(index)"
        let made = try await client.post(
          "/v1/providers", #"{"slug":"\#(slug)","name":"P","hosts":["\#(slug).example"]}"#)
        #expect(made.status == 201)
      }
      // Set back, so that the next entry gets the time of the last.
      clock.advance(milliseconds: -2 * day)
      _ = try await instance.client.patch("/v1/providers/p0", #"{"name":"Q"}"#)
      let all = try await instance.auditEntries()
      let times = all.compactMap { $0["recorded_at"].string }
      #expect(times == times.sorted() && times.suffix(2) == ["2026-03-05T08:00:00.000Z", "2026-03-05T08:00:00.000Z"])

      func list(_ query: String) async throws -> [Int?] {
        let answer = try await instance.client.get("/v1/audit-log?\(query)")
        #expect(answer.status == 200, "\(query)")
        return answer.json["items"].array.map { $0["sequence"].integer }
      }
      let count = all.count
      #expect(try await list("") == Array((1...count).reversed()))
      #expect(try await list("actor=\(keyID.uppercased())") == [count - 1, count - 3])
      #expect(try await list("action=provider.update") == [count])
      let id = all[count - 1]["object"]["id"].string!
      #expect(try await list("object_kind=provider&object_id=\(id)") == [count, count - 4])
      #expect(try await list("object_kind=key") == [3, 2])
      #expect(try await list("since=2026-03-04T08:00:00Z&until=2026-03-05T08:00:00Z") == [count - 2])
      #expect(try await list("since=2026-03-05T08:00:00Z") == [count, count - 1])
      for query in ["since=2026-04-01T00:00:00Z", "until=2026-01-01T00:00:00Z"] { #expect(try await list(query) == []) }
      #expect(try await list("since=2026-03-02T00:00:00Z&actor=\(keyID)&action=provider.create&limit=1") == [count - 1])

      var target: String? = "/v1/audit-log?limit=2&object_kind=provider"
      var pages: [[Int?]] = []
      while let next = target {
        let page = try await instance.client.get(next)
        pages.append(page.json["items"].array.map { $0["sequence"].integer })
        target = page.headers["link"]?.firstMatch(of: /<(.*)>; rel="next"/).map { String($0.1) }
        // Entries that are added meanwhile do not move the pages.
        _ = try await instance.client.post("/v1/keys", #"{"name":"K","scopes":["scores:read"]}"#)
      }
      #expect(pages == [[count, count - 1], [count - 2, count - 3], [count - 4]])
    }
  }

  @Test func theHeadIsThatOfTheNewestEntry() async throws {
    try await withInstance { instance in
      let reader = try await instance.key(.auditRead)
      let newest = try await reader.get("/v1/audit-log?limit=1").json["items"][0]
      let head = try await reader.get("/v1/audit-log/head")
      #expect(head.json.keys == ["count", "hash", "at"] && head.json["count"].integer == newest["sequence"].integer)
      #expect(head.json["hash"].string == newest["hash"].string)
      #expect(head.json["at"].string == newest["recorded_at"].string)
      let same = try await reader.get("/v1/audit-log/head", headers: ["If-None-Match": head.headers["etag"]!])
      #expect(same.status == 304)
      let kept = try await instance.service.auditHead()
      #expect("\(kept)" == "\(newest["sequence"].integer!):\(newest["hash"].string!)")
      #expect(AuditHead(parsing: "\(kept)") == kept)
      for wrong in [
        "", "1", "1:", ":", "x:\(newest["hash"].string!)", "1:00", "-1:\(newest["hash"].string!)", "\(kept):",
      ] {
        #expect(AuditHead(parsing: wrong) == nil, "\(wrong)")
      }
    }
  }
}
