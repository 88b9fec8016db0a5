import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct IdempotencyTests {
  private static func key(_ key: String) -> [String: String] { ["Idempotency-Key": key] }
  private static func provider(_ slug: String) -> String {
    #"{"slug":"\#(slug)","name":"A","hosts":["\#(slug).example"]}"#
  }

  /// Two instances on one database, with the same key for both.
  /// - Parameter masterKey: nil to see what is kept.
  private func withTwoInstances(
    masterKey: MasterKey? = testMasterKey, _ body: (TestInstance, TestInstance) async throws -> Void
  ) async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name, masterKey: masterKey)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey, masterKey: masterKey)
    let result: Result<Void, any Error>
    do { result = .success(try await body(first, second)) } catch { result = .failure(error) }
    await second.stop()
    await first.stop()
    try result.get()
  }

  /// Runs `body` while no provider can be stored, so that requests that store one keep running.
  private func whileProvidersAreLocked(
    _ instance: TestInstance, _ body: () async throws -> Void
  ) async throws {
    try await instance.database.withTransaction { connection in
      try await connection.execute("lock table provider in exclusive mode")
      try await body()
    }
  }

  private func rows(_ instance: TestInstance) async throws -> Int {
    try await instance.database.query("select count(*) from idempotency_key") { try $0.next(Int.self) }[0]
  }

  private func claims(_ instance: TestInstance) async throws -> [Identifier] {
    try await instance.database.query("select claim from idempotency_key") { try $0.next(Identifier.self) }
  }

  /// Waits until as many requests hold a key.
  private func waitForRows(_ count: Int, _ instance: TestInstance) async throws {
    while try await rows(instance) < count { try await Task.sleep(for: .milliseconds(10)) }
  }

  @Test func theFirstFinalAnswerComesAgainOnEveryInstance() async throws {
    try await withTwoInstances { first, second in
      let created = try await first.client.post("/v1/providers", Self.provider("acme"), headers: Self.key("k1"))
      #expect(created.status == 201)
      for instance in [first, second, first] {
        let again = try await instance.client.post("/v1/providers", Self.provider("acme"), headers: Self.key("k1"))
        #expect(again.status == 201 && again.body == created.body)
        for name in ["location", "etag", "content-type"] { #expect(again.headers[name] == created.headers[name]) }
      }
      // Conflicts and faults are final too: the taken slug stays taken for this key when it is free again.
      for (key, body, status) in [("k2", Self.provider("acme"), 409), ("k3", #"{"slug":"?"}"#, 422)] {
        let refused = try await first.client.post("/v1/providers", body, headers: Self.key(key))
        #expect(refused.status == status)
        _ = try await first.client.patch("/v1/providers/acme", #"{"slug":"other","hosts":["other.example"]}"#)
        let again = try await second.client.post("/v1/providers", body, headers: Self.key(key))
        #expect(again.status == status && again.body == refused.body)
        #expect(again.headers["content-type"] == "application/problem+json")
      }
      // A key that differs, or another caller's or path's, is another one.
      #expect(
        try await second.client.post("/v1/providers", Self.provider("acme"), headers: Self.key("k4")).status == 201)
      let other = try await first.key(.registryWrite)
      #expect(
        try await other.post("/v1/providers", Self.provider("third"), headers: Self.key("k1")).status == 201)
      #expect(
        try await first.client.post("/v1/sources", #"{"slug":"lab","name":"L"}"#, headers: Self.key("k1")).status == 201
      )
    }
  }

  @Test func everyKindOfWriteTakesAKey() async throws {
    try await withRegisteredRelay { instance in
      let client = instance.client
      // The same bytes: an object would be written anew in any order.
      let result = try JSONSerialization.data(
        withJSONObject: Posting.result(["source": "lab", "external_id": "1"]))
      let body = String(decoding: result, as: UTF8.self)
      for _ in 0..<2 {
        let patched = try await client.patch("/v1/providers/acme", #"{"name":"B"}"#, headers: Self.key("p"))
        #expect(patched.status == 200 && patched.json["version"].integer == 2)
        #expect(try await client.post("/v1/probe-results", body, headers: Self.key("r")).status == 201)
        let deleted = try await client.send("DELETE", "/v1/providers/acme", headers: Self.key("d"))
        #expect(deleted.status == 204 && deleted.body.isEmpty)
        let put = try await client.send(
          "PUT", "/v1/models/m", headers: Self.key("m").merging(["Content-Type": "application/json"]) { $1 },
          body: Data(#"{"vendor":"V","name":"M","origin":"domestic","tier":"small"}"#.utf8))
        #expect([200, 201].contains(put.status))
      }
    }
  }

  /// Large enough that its body is read, and hashed, on a loop of its own.
  @Test func aLargeImportTakesAKey() async throws {
    try await withInstance { instance in
      let lines = (0..<2_000).map { Self.provider("p-\($0)") }.joined(separator: "\n")
      let headers = Self.key("k").merging(["Content-Type": "application/x-ndjson"]) { $1 }
      let imported = try await instance.client.post("/v1/providers/import", lines, headers: headers)
      #expect(imported.status == 200 && imported.json["accepted"].integer == 2_000)
      let again = try await instance.client.post("/v1/providers/import", lines, headers: headers)
      #expect(again.body == imported.body)
      let other = try await instance.client.post("/v1/providers/import", lines + "\n", headers: headers)
      #expect(other.status == 422 && other.json.pointers == ["Idempotency-Key"])
    }
  }

  @Test func anotherRequestUnderTheSameKeyIsRefused() async throws {
    try await withTwoInstances { first, second in
      #expect(
        try await first.client.post("/v1/providers", Self.provider("acme"), headers: Self.key("k")).status == 201)
      for target in ["/v1/providers", "/v1/providers?x=1"] {
        let body = target.contains("?") ? Self.provider("acme") : Self.provider("zeta")
        let refused = try await second.client.post(target, body, headers: Self.key("k"))
        #expect(refused.status == 422 && refused.json.pointers == ["Idempotency-Key"])
      }
      #expect(
        try await first.client.patch("/v1/providers/acme", #"{"name":"B"}"#, headers: Self.key("k")).status == 200)
      let deleted = try await first.client.send("DELETE", "/v1/providers/acme", headers: Self.key("k"))
      #expect(deleted.status == 422 && deleted.json.pointers == ["Idempotency-Key"])
      #expect(try await first.client.get("/v1/providers/acme").json["status"].string != "retired")
    }
  }

  @Test func aKeyIsVisibleASCII() async throws {
    try await withInstance { instance in
      for key in ["a b", "ä", String(repeating: "x", count: 256)] {
        let refused = try await instance.client.post("/v1/providers", Self.provider("acme"), headers: Self.key(key))
        #expect(refused.status == 422 && refused.json.pointers == ["Idempotency-Key"], "\(key)")
      }
      #expect(try await rows(instance) == 0)
      for key in ["!", String(repeating: "~", count: 255)] {
        let taken = try await instance.client.post(
          "/v1/providers", Self.provider("p\(key.count)"), headers: Self.key(key))
        #expect(taken.status == 201)
      }
      // What only asks, or has no header, leaves no trace.
      _ = try await instance.client.post("/v1/lookup", #"{"hosts":["a.example"]}"#, headers: Self.key("k"))
      _ = try await instance.client.get("/v1/providers", headers: Self.key("k"))
      _ = try await instance.client.post("/v1/providers", Self.provider("plain"))
      #expect(try await rows(instance) == 2)
    }
  }

  @Test func aSecretIsGivenOutOnce() async throws {
    try await withTwoInstances(masterKey: nil) { first, second in
      let body = #"{"name":"reader","scopes":["scores:read"]}"#
      let created = try await first.client.post("/v1/keys", body, headers: Self.key("k"))
      let text = try #require(created.json["key"].string)
      let again = try await second.client.post("/v1/keys", body, headers: Self.key("k"))
      #expect(again.status == 201 && again.json["key"].isNull)
      #expect(again.json["id"].string == created.json["id"].string)
      #expect(again.headers["cache-control"] == "no-store")
      #expect(again.json.keys == created.json.keys.subtracting(["key"]))
      let secret = String(text.split(separator: "_")[2])
      let holding = try await first.database.query(
        "select count(*) from idempotency_key where position(\(secret) in convert_from(body, 'UTF8')) > 0"
      ) { try $0.next(Int.self) }[0]
      #expect(holding == 0)
      #expect(try await first.client.get("/v1/keys").json["items"].array.count == 2)
    }
  }

  @Test func aRequestThatStillRunsIsNotRunTwice() async throws {
    try await withTwoInstances { first, second in
      var task: Task<Answer, any Error>?
      try await whileProvidersAreLocked(second) {
        task = Task { try await first.client.post("/v1/providers", Self.provider("a"), headers: Self.key("k")) }
        try await waitForRows(1, second)
        for instance in [first, second] {
          let refused = try await instance.client.post("/v1/providers", Self.provider("a"), headers: Self.key("k"))
          #expect(refused.status == 409 && refused.json["type"].string == "/problems/still-running")
          #expect(refused.headers["retry-after"] != nil)
          let other = try await instance.client.post("/v1/providers", Self.provider("b"), headers: Self.key("k"))
          #expect(other.status == 422)
        }
      }
      let running = try await #require(task).value
      #expect(running.status == 201)
      let again = try await second.client.post("/v1/providers", Self.provider("a"), headers: Self.key("k"))
      #expect(again.body == running.body)
    }
  }

  @Test func aRequestOfADeadInstanceIsForgotten() async throws {
    try await withTwoInstances { first, second in
      var tasks: [Task<Answer, any Error>] = []
      try await whileProvidersAreLocked(second) {
        tasks.append(
          Task { try await first.client.post("/v1/providers", Self.provider("a"), headers: Self.key("k")) })
        try await waitForRows(1, second)
        // As when its instance died a minute ago. It did not, so what it stores later must not replace the other's.
        try await second.database.execute("update idempotency_key set lease_until = now()")
        let before = try await claims(second)
        tasks.append(
          Task { try await second.client.post("/v1/providers", Self.provider("b"), headers: Self.key("k")) })
        while try await claims(second) == before { try await Task.sleep(for: .milliseconds(10)) }
      }
      #expect(try await tasks[0].value.status == 201)
      let later = try await tasks[1].value
      #expect(later.status == 201)
      for instance in [first, second] {
        let again = try await instance.client.post("/v1/providers", Self.provider("b"), headers: Self.key("k"))
        #expect(again.status == 201 && again.body == later.body)
      }
    }
  }

  @Test func anAnswerIsKeptForADay() async throws {
    try await withInstance { instance in
      for slug in ["a", "b"] {
        _ = try await instance.client.post("/v1/providers", Self.provider(slug), headers: Self.key(slug))
      }
      let age: Query = "update idempotency_key set claimed_at = claimed_at - interval '23 hours 59 minutes'"
      try await instance.database.execute(age)
      let kept = try await instance.client.post("/v1/providers", Self.provider("a"), headers: Self.key("a"))
      #expect(kept.status == 201)
      try await instance.database.execute(age)
      // Anew, with another body too, and what else is expired goes with it.
      let anew = try await instance.client.post("/v1/providers", Self.provider("c"), headers: Self.key("a"))
      #expect(anew.json["slug"].string == "c")
      #expect(try await rows(instance) == 1)
    }
  }

  @Test func whatCanBeTriedAgainIsNotKept() async throws {
    try await withRegisteredRelay { instance in
      let missing = try await instance.client.patch("/v1/providers/none", #"{"name":"B"}"#, headers: Self.key("k"))
      #expect(missing.status == 404)
      let stale = try await instance.client.patch(
        "/v1/providers/acme", #"{"name":"B"}"#, headers: Self.key("k").merging(["If-Match": "\"x\""]) { $1 })
      #expect(stale.status == 412)
      let unreadable = try await instance.client.patch("/v1/providers/acme", "{", headers: Self.key("j"))
      #expect(unreadable.status == 400)
      #expect(try await rows(instance) == 0)
      #expect(
        try await instance.client.patch("/v1/providers/acme", #"{"name":"B"}"#, headers: Self.key("k")).status == 200)
    }
  }
}
