import Foundation
import TestHarness
import Testing

@testable import Service

/// What the HTTP layer negotiates, as the routes of the service use it.
@Suite(.serialized) struct NegotiationTests {
  private static let chinese = ["Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"]

  @Test func theCatalogueHasTitlesInBothLanguages() async throws {
    try await withInstance { instance in
      for target in ["/v1/concerns", "/v1/checks?limit=500", "/v1/checks/encryption.legacy-tls-protocol"] {
        let english = try await instance.client.get(target)
        let chinese = try await instance.client.get(target, headers: Self.chinese)
        #expect(english.headers["content-language"] == "en" && chinese.headers["content-language"] == "zh")
        for answer in [english, chinese] {
          #expect(answer.headers["vary"]?.contains("Accept-Language") == true)
        }
        func entries(_ answer: Answer) -> [TestHarness.JSON] {
          answer.json["items"].isNull ? [answer.json] : answer.json["items"].array
        }
        #expect(entries(english).count == entries(chinese).count && !entries(english).isEmpty)
        for (one, other) in zip(entries(english), entries(chinese)) {
          let title = try #require(other["title"].string)
          #expect(one["title"].string?.utf8.allSatisfy { $0 < 0x80 } == true && title.utf8.contains { $0 > 0x7F })
          if let titleChinese = one["title_zh"].string { #expect(title == titleChinese) }
        }
      }
      let one = "/v1/checks/encryption.legacy-tls-protocol"
      let tag = try #require(try await instance.client.get(one).headers["etag"])
      let held = Self.chinese.merging(["If-None-Match": tag]) { $1 }
      #expect(try await instance.client.get(one, headers: held).status == 200)
      let known = try await instance.client.get(one, headers: ["If-None-Match": tag])
      #expect(known.status == 304 && known.headers["vary"]?.contains("Accept-Language") == true)
    }
  }

  @Test func aScoreSpeaksBothLanguages() async throws {
    try await withRegisteredRelay { instance in
      let key = try await instance.key(.resultsWrite, source: "lab")
      for (check, outcome, model) in [
        ("encryption.legacy-tls-protocol", "fail", nil), ("controls.admin-panel-exposed", "pass", nil),
        ("substitution.self-identity-mismatch", "fail", "gpt-5.5"),
      ] as [(String, String, String?)] {
        let posted = try await key.post(
          "/v1/probe-results", object: Posting.result(check: check, outcome: outcome, ["model": model]))
        #expect(posted.status == 201)
      }
      let now = Service.Clock.system.now()
      let waived = try await instance.client.post(
        "/v1/providers/acme/waivers",
        object: [
          "check": "controls.default-admin-credentials", "reason": "r", "expires_at": (now + 86_400_000).rfc3339,
        ])
      #expect(waived.status == 201)
      for target in ["/v1/providers/acme/score", "/v1/providers/acme/score?as_of=\(now.rfc3339)"] {
        let english = try await instance.client.get(target)
        let chinese = try await instance.client.get(target, headers: Self.chinese)
        let again = try await instance.client.get(target)
        #expect(english.headers["content-language"] == "en" && chinese.headers["content-language"] == "zh")
        #expect(chinese.headers["etag"] != english.headers["etag"])
        #expect(again.headers["content-language"] == "en")
        #expect(chinese.json["provisional_score"].double != nil)
        for answer in [english, chinese] { #expect(answer.headers["vary"]?.contains("Accept-Language") == true) }
        for list in ["concerns", "reasons"] {
          let (ours, theirs) = (english.json[list].array, chinese.json[list].array)
          #expect(ours.count == theirs.count && !ours.isEmpty)
          for (one, other) in zip(ours, theirs) {
            for member in list == "reasons" ? ["title", "text"] : ["title"] {
              #expect(one[member].string?.utf8.allSatisfy { $0 < 0x80 } == true)
              #expect(try #require(other[member].string).utf8.contains { $0 > 0x7F })
            }
          }
        }
        let fail = try #require(
          chinese.json["reasons"].array.first { $0["check"].string == "substitution.self-identity-mismatch" })
        let text = try #require(fail["text"].string)
        let day = String(try #require(fail["last_observed_at"].string).prefix(10))
        for part in [try #require(fail["title"].string), "lab", "acme.example", "gpt-5.5", day] {
          #expect(text.contains(part), "\(part)")
        }
      }
    }
  }

  /// The client packs and unpacks by itself, with code that is not the service's.
  @Test func largeAnswersComeInGzip() async throws {
    try await withInstance { instance in
      let packed = try await instance.client.get("/openapi.yaml", headers: ["Accept-Encoding": "gzip"])
      #expect(Array(packed.body) == ShippedFiles.bytes("openapi.yaml"))
      #expect(packed.headers["etag"]?.hasSuffix("-gzip\"") == true)
      let plain = try await instance.client.get("/openapi.yaml", headers: ["Accept-Encoding": "identity"])
      #expect(plain.body == packed.body && plain.headers["etag"] != packed.headers["etag"])
    }
  }

  @Test func whatIsProducedHasToBeAcceptable() async throws {
    try await withRegisteredRelay { instance in
      for (target, accept, status) in [
        ("/v1/providers", "application/json", 200), ("/v1/providers", "text/html", 406),
        ("/openapi.yaml", "application/yaml", 200), ("/openapi.yaml", "application/json", 406),
        ("/metrics", "application/openmetrics-text, text/plain;version=0.0.4;q=0.5", 200),
        ("/metrics", "application/json", 406), ("/v1/providers/export", "application/x-ndjson", 200),
        ("/v1/providers/export", "application/json", 406), ("/healthz", "*/*", 200),
      ] {
        let answer = try await instance.client.get(target, headers: ["Accept": accept])
        #expect(answer.status == status, "\(target) \(accept)")
      }
      let refused = try await instance.client.post("/v1/sources", "not JSON", headers: ["Accept": "text/html"])
      #expect(refused.json["type"].string == "/problems/not-acceptable")
      #expect(try await instance.client.get("/problems/not-acceptable").json["status"].integer == 406)
      let stranger = instance.client.with(key: nil)
      #expect(try await stranger.post("/v1/sources", "{}", headers: ["Accept": "text/html"]).status == 401)
      let deleted = try await instance.client.send("DELETE", "/v1/providers/acme", headers: ["Accept": "text/html"])
      #expect(deleted.status == 204)
    }
  }
}
