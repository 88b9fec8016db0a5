import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct LookupTests {
  private static let fields: Set<String> = [
    "host", "match", "provider", "provider_status", "score", "grade", "verdict",
  ]

  @Test func aHostIsMatchedExactlyOrByANameAboveIt() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post(
        "/v1/providers",
        #"{"slug":"tenant","name":"T","hosts":["tenant.vercel.app","192.0.2.7","2001:db8::1","shop.acme.example"]}"#)
      let cases: [(asked: String, host: String, match: String, provider: String?)] = [
        ("acme.example", "acme.example", "exact", "acme"),
        ("ACME.Example.", "acme.example", "exact", "acme"),
        ("https://api.acme.example:8443/v1?x=1#y", "api.acme.example", "exact", "acme"),
        ("acme.example:443", "acme.example", "exact", "acme"),
        ("v2.api.acme.example", "v2.api.acme.example", "parent", "acme"),
        ("https://a.b.c.acme.example/", "a.b.c.acme.example", "parent", "acme"),
        // The longest name above wins.
        ("eu.shop.acme.example", "eu.shop.acme.example", "parent", "tenant"),
        ("notacme.example", "notacme.example", "none", nil),
        ("example", "example", "none", nil),
        ("acme.example.net", "acme.example.net", "none", nil),
        ("tenant.vercel.app", "tenant.vercel.app", "exact", "tenant"),
        ("x.tenant.vercel.app", "x.tenant.vercel.app", "none", nil),
        ("other.vercel.app", "other.vercel.app", "none", nil),
        ("192.0.2.7", "192.0.2.7", "exact", "tenant"),
        ("http://192.0.2.7:8080/", "192.0.2.7", "exact", "tenant"),
        ("192.0.2.8", "192.0.2.8", "none", nil),
        ("[2001:DB8:0::1]:443", "2001:db8::1", "exact", "tenant"),
        ("2001:db8::2", "2001:db8::2", "none", nil),
        ("bücher.example", "xn--bcher-kva.example", "none", nil),
        ("not a host", "not a host", "invalid", nil),
        ("", "", "invalid", nil),
        ("1.2.3.4.5", "1.2.3.4.5", "invalid", nil),
        ("ftp://acme.example/", "ftp://acme.example/", "invalid", nil),
        ("https://acme.example@evil.example/", "https://acme.example@evil.example/", "invalid", nil),
        (String(repeating: "a", count: 3_000), String(repeating: "a", count: 3_000), "invalid", nil),
      ]
      let answer = try await instance.client.post("/v1/lookup", object: ["hosts": cases.map(\.asked)])
      #expect(answer.status == 200)
      #expect(answer.json["items"].array.count == cases.count)
      for (item, expected) in zip(answer.json["items"].array, cases) {
        #expect(item.keys == Self.fields)
        #expect(item["host"].string == expected.host)
        #expect(item["match"].string == expected.match, "\(expected.asked)")
        #expect(item["provider"].string == expected.provider, "\(expected.asked)")
        #expect(item["provider_status"].string == expected.provider.map { _ in "pending" })
        #expect(item["verdict"].string == "unknown")
        #expect(item["score"].isNull && item["grade"].isNull)
      }
      for name in ["host", "url"] {
        for (index, expected) in cases.enumerated() where expected.asked.utf8.count < 100 {
          var query = URLComponents()
          query.queryItems = [URLQueryItem(name: name, value: expected.asked)]
          let one = try await instance.client.get("/v1/lookup" + query.string!)
          #expect(one.status == 200)
          #expect(one.json["match"].string == expected.match)
          #expect(one.json["host"].string == answer.json["items"][index]["host"].string)
        }
      }
    }
  }

  @Test func itSaysWhatTheScoreSays() async throws {
    try await withRegisteredRelay { instance in
      let before = try await instance.client.get("/v1/lookup?host=acme.example")
      #expect(before.headers["cache-control"] == "private, max-age=10")
      #expect(before.headers["evidence-as-of"] != nil)
      let etag = try #require(before.headers["etag"])
      let again = try await instance.client.get("/v1/lookup?host=acme.example", headers: ["If-None-Match": etag])
      #expect(again.status == 304)
      try await Declaring.incident(in: instance, provider: "acme")
      let score = try await instance.client.get("/v1/providers/acme/score")
      let after = try await instance.client.get("/v1/lookup?url=https://api.acme.example/v1")
      #expect(after.json["verdict"].string == "block")
      #expect(after.json["score"].double == score.json["score"].double)
      #expect(after.json["grade"].string == score.json["grade"].string)
      #expect(after.headers["cache-control"] == score.headers["cache-control"])
      // One that nobody registered shortens the life of all.
      let both = try await instance.client.post("/v1/lookup", #"{"hosts":["acme.example","none.example"]}"#)
      #expect(both.headers["cache-control"] == "private, max-age=10")
      #expect(both.json["items"].array.map { $0["verdict"].string } == ["block", "unknown"])
    }
  }

  @Test func whatWasPostedIsInTheVeryNextLookup() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"Soc","trust":1}"#)
      _ = try await instance.client.get("/v1/lookup?host=acme.example")
      let posted = try await instance.client.post(
        "/v1/probe-results", object: Posting.result(check: "backdoor.tool-call-rewrite", ["source": "soc"]))
      #expect(posted.status == 201, "\(posted.text)")
      let score = try await instance.client.get("/v1/providers/acme/score").json
      let found = try await instance.client.get("/v1/lookup?host=acme.example").json
      #expect(found["verdict"].string == score["verdict"].string)
      #expect(found["verdict"].string != "unknown")
    }
  }

  @Test func retiredProvidersStillAnswer() async throws {
    try await withRegisteredRelay { instance in
      var provider = try #require(instance.service.parts.registry.provider("acme"))
      provider.status = .retired
      provider.version += 1
      instance.service.parts.registry.apply(provider)
      let found = try await instance.client.get("/v1/lookup?host=acme.example").json
      #expect(found["match"].string == "exact")
      #expect(found["provider_status"].string == "retired")
    }
  }

  @Test func everyFaultIsNamed() async throws {
    try await withRegisteredRelay { instance in
      for (query, pointers) in [
        ("", ["?host"]), ("?host=a.example&url=a.example", ["?url"]), ("?host=a&host=b", ["?host"]),
        ("?hosts=a", ["?hosts"]),
      ] {
        let answer = try await instance.client.get("/v1/lookup\(query)")
        #expect(answer.status == 422, "\(query)")
        #expect(answer.json.pointers == pointers, "\(query)")
      }
      let many = String(repeating: "\"a\",", count: 1_000) + "\"a\""
      for (body, pointers) in [
        ("{}", ["/hosts"]), (#"{"hosts":[]}"#, ["/hosts"]), (#"{"hosts":"a"}"#, ["/hosts"]),
        (#"{"hosts":["a",1,null],"x":1}"#, ["/hosts/1", "/hosts/2", "/x"]), ("{\"hosts\":[\(many)]}", ["/hosts"]),
      ] {
        let answer = try await instance.client.post("/v1/lookup", body)
        #expect(answer.status == 422, "\(body.prefix(80))")
        #expect(answer.json.pointers == pointers, "\(body.prefix(80))")
      }
      #expect(try await instance.client.post("/v1/lookup", "{").status == 400)
    }
  }

  @Test func canonicalNamesAreRecognisedAsLibidn2WouldHaveThem() throws {
    let names = [
      "a", "acme.example", "a-b.example", "1a.example", "xn--bcher-kva.example", "ab--c.example", "-a.example",
      "a-.example", "a..example", ".example", "example.", "A.example", "a_b.example", "a.1", "a.0x1", "1.2.3.4",
      String(repeating: "a", count: 63) + ".example", String(repeating: "a", count: 64) + ".example",
      Array(repeating: "a", count: 127).joined(separator: "."),
      Array(repeating: "a", count: 128).joined(separator: "."),
    ]
    for name in names {
      let host = try? Host(name)
      if let short = Host(canonicalName: name) { #expect(short == host, "\(name)") }
    }
    #expect(Host(canonicalName: "api-1.acme.example") != nil)
    #expect(Host(canonicalName: names[16]) != nil && Host(canonicalName: names[17]) == nil)
  }
}

/// Decisions that a test takes where the service has no route for them.
enum Declaring {
  /// Declares a backdoor and waits until the score shows it.
  static func incident(in instance: TestInstance, provider slug: String) async throws {
    let provider = try #require(instance.service.parts.registry.provider(slug)).id
    let now = instance.service.parts.clock.now()
    let id = instance.service.parts.identifiers.next(at: now)
    try await instance.database.withTransaction { connection in
      try await connection.execute(
        """
        insert into incident (id, provider_id, concern, summary, recorded_at, recorded_by)
        values (\(id), \(provider), 'backdoor', 'x', \((now + -120_000).timestamp), 'test')
        """)
      let elsewhere = ChangeLog(database: instance.database, instance: id)
      try await elsewhere.append(providers: [provider], at: now, to: connection)
    }
    try await eventually {
      try await instance.client.get("/v1/providers/\(slug)/score").json["incidents"].integer == 1
    }
  }
}
