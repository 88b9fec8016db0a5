import Foundation
import TestHarness
import Testing

@testable import Service

extension APIClient {
  /// Sends a merge patch.
  func patch(_ target: String, _ json: String, headers: [String: String] = [:]) async throws -> Answer {
    try await send(
      "PATCH", target, headers: ["Content-Type": "application/merge-patch+json"].merging(headers) { $1 },
      body: Data(json.utf8))
  }
}

@Suite(.serialized) struct ProviderChangeTests {
  @Test func aMergePatchChangesWhatItNamesAndNothingElse() async throws {
    try await withInstance { instance in
      let created = try await instance.client.post(
        "/v1/providers",
        #"{"slug":"acme","name":"Acme","hosts":["a.example","b.example"],"tags":["x"],"notes":"n","contact":"c","#
          + #""legal_entity":{"name":"Ltd","jurisdiction":"SG","registration_number":"1"}}"#)
      let changed = try await instance.client.patch(
        "/v1/providers/acme",
        #"{"slug":"zeta","hosts":["B.example.","c.example"],"notes":null,"tags":["y","z"],"public_badge":true,"#
          + #""legal_entity":{"jurisdiction":null}}"#)
      #expect(changed.status == 200)
      let provider = changed.json
      #expect(provider["id"].string == created.json["id"].string)
      #expect(provider["slug"].string == "zeta")
      #expect(provider["name"].string == "Acme")
      #expect(provider["hosts"].array.map(\.string) == ["b.example", "c.example"])
      #expect(provider["notes"].isNull)
      #expect(provider["contact"].string == "c")
      #expect(provider["tags"].array.map(\.string) == ["y", "z"])
      #expect(provider["legal_entity"]["name"].string == "Ltd")
      #expect(provider["legal_entity"]["jurisdiction"].isNull)
      #expect(provider["legal_entity"]["registration_number"].string == "1")
      #expect(provider["version"].integer == 2)
      for reference in ["zeta", "b.example", "c.example"] {
        let read = try await instance.client.get("/v1/providers/\(reference)")
        #expect(read.body == changed.body, "\(reference)")
        #expect(read.headers["etag"] == changed.headers["etag"])
      }
      for reference in ["acme", "a.example"] {
        #expect(try await instance.client.get("/v1/providers/\(reference)").status == 404, "\(reference)")
      }
      // A patch that changes nothing makes no version; plain JSON is taken too.
      let same = try await instance.client.patch(
        "/v1/providers/zeta", #"{"name":"Acme"}"#, headers: ["Content-Type": "application/json"])
      #expect(same.body == changed.body)
      // What was given up is free.
      let heir = try await instance.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["a.example"]}"#)
      #expect(heir.status == 201)
      #expect(try await instance.client.get("/v1/providers").json["items"][1]["slug"].string == "zeta")
    }
  }

  @Test func everyFaultOfAPatchIsNamedAndNothingIsStored() async throws {
    try await withRegisteredRelay { instance in
      let before = try await instance.client.get("/v1/providers/acme")
      let table: [(String, [String])] = [
        (#"{"slug":null,"name":"","hosts":[],"extra":null}"#, ["/slug", "/name", "/hosts", "/extra"]),
        (#"{"status":"gone","hosts":["x.example","X.example"]}"#, ["/status", "/hosts/1"]),
        (#"{"status":null}"#, ["/status"]),
        (#"{"id":"x","version":7}"#, ["/id", "/version"]),
        (#"{"legal_entity":{"jurisdiction":"SG"}}"#, ["/legal_entity/name"]),
        (#"{"name":"A","name":"B"}"#, ["/name"]),
        ("[]", [""]),
      ]
      for (body, pointers) in table {
        let answer = try await instance.client.patch("/v1/providers/acme", body)
        #expect(answer.status == 422, "\(body)")
        #expect(Set(answer.json.pointers).isSuperset(of: pointers), "\(body): \(answer.text)")
      }
      #expect(try await instance.client.patch("/v1/providers/acme", "{").status == 400)
      #expect(try await instance.client.patch("/v1/providers/none", "{}").status == 404)
      #expect(try await instance.client.get("/v1/providers/acme").body == before.body)
    }
  }

  @Test func whatAnotherHoldsIsRefusedWithTheHolder() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post("/v1/providers", #"{"slug":"b","name":"B","hosts":["b.example"]}"#)
      for (body, what) in [
        (#"{"slug":"acme"}"#, "slug acme belongs to acme"),
        (#"{"slug":"acme.example"}"#, "slug acme.example belongs to acme"),
        (#"{"hosts":["b.example","api.acme.example"]}"#, "host api.acme.example belongs to acme"),
      ] {
        let answer = try await instance.client.patch("/v1/providers/b", body)
        #expect(answer.status == 409, "\(body)")
        #expect(answer.json["detail"].string?.contains(what) == true, "\(answer.text)")
      }
      #expect(try await instance.client.get("/v1/providers/b").json["version"].integer == 1)
      // A slug may be the provider's own host.
      #expect(try await instance.client.patch("/v1/providers/b", #"{"slug":"b.example"}"#).status == 200)
    }
  }

  @Test func theStatusTakesOnlyTheStepsOfItsLife() async throws {
    try await withRegisteredRelay { instance in
      let allowed: [String: Set<String>] = [
        "pending": ["active", "retired"], "active": ["suspended", "retired"], "suspended": ["active", "retired"],
        "retired": ["active"],
      ]
      let all = ["pending", "active", "suspended", "retired"]
      for from in all {
        for to in all {
          _ = try await instance.database.execute(
            "update provider set status = \(from), version = version + 1 where slug = 'acme'")
          let answer = try await instance.client.patch("/v1/providers/acme", "{\"status\":\"\(to)\"}")
          let isAllowed = from == to || allowed[from]!.contains(to)
          #expect(answer.status == (isAllowed ? 200 : 409), "\(from) to \(to)")
          if isAllowed { #expect(answer.json["status"].string == to) }
        }
      }
    }
  }

  @Test func aRetiredProviderKeepsEverythingAndTakesNoResults() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      #expect(try await scanner.post("/v1/probe-results", object: Posting.result()).status == 201)
      #expect(try await instance.client.send("DELETE", "/v1/providers/acme").status == 204)
      let retired = try await instance.client.get("/v1/providers/api.acme.example")
      #expect(retired.json["status"].string == "retired")
      #expect(retired.json["version"].integer == 2)
      #expect(try await instance.client.send("DELETE", "/v1/providers/acme").status == 204)
      #expect(try await instance.client.get("/v1/providers/acme").body == retired.body)
      let score = try await instance.client.get("/v1/providers/acme/score")
      #expect(score.status == 200)
      #expect(score.json["provider"]["status"].string == "retired")
      let refused = try await scanner.post(
        "/v1/probe-results", object: Posting.result(check: "encryption.hsts-missing"))
      #expect(refused.status == 422)
      #expect(refused.json.pointers == ["/provider"])
      #expect(try await instance.client.get("/v1/providers").json["items"].array.isEmpty)
      #expect(try await instance.client.get("/v1/providers?status=retired").json["items"].array.count == 1)
      let taken = try await instance.client.post(
        "/v1/providers", #"{"slug":"acme","name":"B","hosts":["acme.example"]}"#)
      #expect(taken.status == 409)
      #expect(try await instance.client.send("DELETE", "/v1/providers/none").status == 404)
      #expect(try await instance.client.patch("/v1/providers/acme", #"{"status":"active"}"#).status == 200)
      #expect(
        try await scanner.post("/v1/probe-results", object: Posting.result(check: "encryption.hsts-missing")).status
          == 201)
    }
  }

  @Test func aStaleETagIsRefused() async throws {
    try await withRegisteredRelay { instance in
      for target in ["/v1/providers/acme", "/v1/sources/lab"] {
        let tag = try #require(try await instance.client.get(target).headers["etag"])
        for (match, status) in [(tag, 200), (tag, 412), ("\"x\"", 412), ("W/\(tag)", 412), ("*", 200)] {
          let answer = try await instance.client.patch(
            target, "{\"name\":\"N\(Int.random(in: 0..<1_000_000_000))\"}", headers: ["If-Match": match])
          #expect(answer.status == status, "\(target) \(match)")
          if status == 412 { #expect(answer.json["type"].string == "/problems/precondition-failed") }
        }
        let now = try #require(try await instance.client.get(target).headers["etag"])
        let listed = try await instance.client.patch(
          target, #"{"name":"last"}"#, headers: ["If-Match": "\(tag), \(now)"])
        #expect(listed.status == 200)
      }
      let stale = try await instance.client.send(
        "DELETE", "/v1/providers/acme", headers: ["If-Match": "\"x\""])
      #expect(stale.status == 412)
      let tag = try #require(try await instance.client.get("/v1/providers/acme").headers["etag"])
      let retired = try await instance.client.send("DELETE", "/v1/providers/acme", headers: ["If-Match": tag])
      #expect(retired.status == 204)
    }
  }

  @Test func simultaneousChangesAllCountAndAnotherInstanceSeesThem() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["a.example"]}"#)
    try await eventually { try await second.client.get("/v1/providers/acme").status == 200 }
    // Two at once, each from its own instance: neither undoes the other.
    async let noted = first.client.patch("/v1/providers/acme", #"{"notes":"n"}"#)
    async let renamed = second.client.patch("/v1/providers/acme", #"{"slug":"zeta","hosts":["z.example"]}"#)
    #expect(try await [noted.status, renamed.status] == [200, 200])
    try await eventually { try await first.client.get("/v1/providers/zeta").status == 200 }
    let seen = try await first.client.get("/v1/providers/z.example").json
    #expect(seen["version"].integer == 3)
    #expect(seen["notes"].string == "n")
    #expect(try await first.client.get("/v1/providers/acme").status == 404)
    #expect(try await first.client.get("/v1/providers/a.example").status == 404)
    await first.stop()
    await second.stop()
  }
}
