import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct RegistryTests {
  @Test func aProviderIsRegisteredWithEveryFieldAndReadByIdSlugAndHost() async throws {
    try await withInstance { instance in
      let body = """
        {"slug":"acme","name":"Acme 中转","hosts":["Relay.Example.","中转.example","192.0.2.7","2001:DB8::1"],
         "endpoints":[{"url":"https://relay.example/v1","dialect":"openai"}],
         "legal_entity":{"name":"Acme Ltd","jurisdiction":"SG","registration_number":"1"},
         "declared_regions":["SG"],"claimed_models":["gpt-5.5"],"software":"new-api","contact":"a@relay.example",
         "public_badge":true,"tags":["x"],"notes":"n"}
        """
      let created = try await instance.client.post("/v1/providers", body)
      #expect(created.status == 201)
      #expect(created.headers["location"] == "/v1/providers/acme")
      let provider = created.json
      #expect(
        provider["hosts"].array.map(\.string)
          == ["relay.example", "xn--fiqq40n.example", "192.0.2.7", "2001:db8::1"])
      #expect(provider["status"].string == "pending")
      #expect(provider["version"].integer == 1)
      #expect(provider["legal_entity"]["jurisdiction"].string == "SG")
      #expect(provider["public_badge"].bool == true)
      for reference in [provider["id"].string!, "acme", "relay.example", "192.0.2.7", "%E4%B8%AD%E8%BD%AC.example"] {
        let read = try await instance.client.get("/v1/providers/\(reference)")
        #expect(read.status == 200, "\(reference)")
        #expect(read.body == created.body, "\(reference)")
      }
      #expect(try await instance.client.get("/v1/providers/other").status == 404)
      // As stored, not only as remembered.
      let listed = try await instance.client.get("/v1/providers")
      #expect(listed.json["items"][0]["endpoints"][0]["dialect"].string == "openai")
      #expect(listed.json["items"][0]["notes"].string == "n")
    }
  }

  @Test func whatIsTakenIsRefusedWithTheHolder() async throws {
    try await withRegisteredRelay { instance in
      for (body, what) in [
        (#"{"slug":"acme","name":"B","hosts":["b.example"]}"#, "slug acme belongs to acme"),
        (#"{"slug":"b","name":"B","hosts":["b.example","API.acme.example"]}"#, "host api.acme.example belongs to acme"),
        (#"{"slug":"acme.example","name":"B","hosts":["b.example"]}"#, "slug acme.example belongs to acme"),
      ] {
        let answer = try await instance.client.post("/v1/providers", body)
        #expect(answer.status == 409)
        #expect(answer.json["detail"].string?.contains(what) == true, "\(answer.text)")
      }
      #expect(try await instance.client.get("/v1/providers").json["items"].array.count == 1)
    }
  }

  @Test func ofSimultaneousRegistrationsOneWins() async throws {
    try await withInstance { instance in
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<8 {
          group.addTask {
            try await instance.client.post(
              "/v1/providers", #"{"slug":"p\#(number)","name":"P","hosts":["same.example"]}"#
            ).status
          }
        }
        return try await group.reduce(into: [Int]()) { $0.append($1) }
      }
      #expect(statuses.sorted() == [201, 409, 409, 409, 409, 409, 409, 409])
    }
  }

  @Test func everyFaultOfARegistrationIsNamed() async throws {
    try await withInstance { instance in
      let table: [(String, [String])] = [
        ("{}", ["/slug", "/name", "/hosts"]),
        (#"{"slug":"A","name":"","hosts":[]}"#, ["/slug", "/name", "/hosts"]),
        (
          #"{"slug":"a","name":"A","hosts":["a b","com","vercel.app","ok.example","OK.example."]}"#,
          ["/hosts/0", "/hosts/1", "/hosts/2"]
        ),
        (#"{"slug":"a","name":"A","hosts":["ok.example","OK.example."]}"#, ["/hosts/1"]),
        (
          #"{"slug":"a","name":"A","hosts":["a.example"],"endpoints":[{"url":"ftp://x","dialect":"y","z":1}],"#
            + #""legal_entity":{"jurisdiction":"XX"},"tags":["",5],"public_badge":"yes","extra":1}"#,
          [
            "/endpoints/0/url", "/endpoints/0/dialect", "/endpoints/0/z", "/legal_entity/name",
            "/legal_entity/jurisdiction", "/public_badge", "/tags/0", "/tags/1", "/extra",
          ]
        ),
        (#"{"slug":"a","slug":"b","name":"A\u0000","hosts":["a.example"]}"#, ["/slug", "/name"]),
        ("[]", [""]),
      ]
      for (body, pointers) in table {
        let answer = try await instance.client.post("/v1/providers", body)
        #expect(answer.status == 422, "\(body)")
        #expect(answer.json.pointers == pointers, "\(body)")
      }
      #expect(try await instance.client.get("/v1/providers").json["items"].array.isEmpty)
    }
  }

  @Test func listsPageThroughAllWithStableCursors() async throws {
    try await withInstance { instance in
      for number in 0..<7 {
        let answer = try await instance.client.post(
          "/v1/providers", #"{"slug":"p\#(number)","name":"P","hosts":["p\#(number).example"]}"#)
        #expect(answer.status == 201)
      }
      var target = "/v1/providers?limit=3"
      var slugs: [String] = []
      while true {
        let page = try await instance.client.get(target)
        slugs += page.json["items"].array.compactMap { $0["slug"].string }
        guard let cursor = page.json["next_cursor"].string else {
          #expect(page.headers["link"] == nil)
          break
        }
        target = "/v1/providers?limit=3&cursor=\(cursor)"
        #expect(page.headers["link"] == "<\(target)>; rel=\"next\"")
        if slugs.count == 3 {
          _ = try await instance.client.post("/v1/providers", #"{"slug":"p0a","name":"P","hosts":["p0a.example"]}"#)
        }
      }
      #expect(slugs == (0..<7).map { "p\($0)" })
      for bad in ["limit=0", "limit=501", "limit=x", "cursor=zz", "status=gone", "limit=1&limit=2"] {
        #expect(try await instance.client.get("/v1/providers?\(bad)").status == 422, "\(bad)")
      }
      #expect(try await instance.client.get("/v1/providers?status=retired").json["items"].array.isEmpty)
    }
  }

  @Test func sourcesHaveATrustThatIsKeptWhenItChanges() async throws {
    try await withInstance { instance in
      let created = try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      #expect(created.status == 201)
      #expect(created.json["trust"].double == 0.8)
      #expect(created.json["status"].string == "active")
      #expect(try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"X"}"#).status == 409)
      for bad in [
        #"{"trust":0}"#, #"{"trust":1.01}"#, #"{"trust":"1"}"#, #"{"trust":null}"#, #"{"slug":"x"}"#,
        #"{"status":"gone"}"#,
      ] {
        let answer = try await instance.client.send(
          "PATCH", "/v1/sources/lab", headers: ["Content-Type": "application/merge-patch+json"], body: Data(bad.utf8))
        #expect(answer.status == 422, "\(bad)")
      }
      let changed = try await instance.client.send(
        "PATCH", "/v1/sources/lab", headers: ["Content-Type": "application/merge-patch+json"],
        body: Data(#"{"trust":1}"#.utf8))
      #expect(changed.json["trust"].double == 1)
      #expect(changed.json["version"].integer == 2)
      let history = try await instance.database.query("select trust from source_trust order by recorded_at") {
        try $0.next(Double.self)
      }
      #expect(history == [0.8, 1])
      #expect(try await instance.client.get("/v1/sources/lab").body == changed.body)
      #expect(try await instance.client.get("/v1/sources").json["items"].array.count == 1)
    }
  }

  @Test func theCatalogueIsServed() async throws {
    try await withInstance { instance in
      let concerns = try await instance.client.get("/v1/concerns").json["items"].array
      #expect(
        concerns.compactMap { $0["id"].string } == [
          "controls", "encryption", "backdoor", "crossborder", "substitution",
        ])
      let all = try await instance.client.get("/v1/checks?limit=500").json["items"].array
      #expect(all.count == 60)
      let encryption = try await instance.client.get("/v1/checks?concern=encryption").json["items"].array
      #expect(encryption.count == 11)
      #expect(try await instance.client.get("/v1/checks?concern=nothing").status == 422)
      let check = try await instance.client.get("/v1/checks/encryption.weak-cipher-suites")
      #expect(check.json["severity"].string == "high")
      #expect(check.json["pitfalls"].string?.isEmpty == false)
      #expect(try await instance.client.get("/v1/checks/none").status == 404)
      let methodology = try await instance.client.get("/v1/methodologies/rm-1")
      #expect(methodology.json["document"]["checks"].array.count == 60)
      #expect(methodology.json["hash"].string?.count == 64)
      #expect(try await instance.client.get("/v1/methodologies/rm-9").status == 404)
      #expect(try await instance.client.get("/v1/methodologies").json["items"].array.count == 1)
    }
  }
}
