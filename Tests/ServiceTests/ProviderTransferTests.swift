import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ProviderTransferTests {
  private func importing(_ lines: String, into client: APIClient) async throws -> Answer {
    try await client.send(
      "POST", "/v1/providers/import", headers: ["Content-Type": "application/x-ndjson"], body: Data(lines.utf8))
  }

  private static let lines = """
    {"slug":"full","name":"Full 中转 \\"x\\"","status":"suspended","hosts":["Full.example","2001:DB8::1"],\
    "endpoints":[{"url":"https://full.example/v1","dialect":"openai"}],\
    "legal_entity":{"name":"Ltd","jurisdiction":"SG"},"declared_regions":["SG","EU"],"claimed_models":["a","b"],\
    "software":"new-api","contact":"c\\n","public_badge":true,"tags":["t"],"notes":""}
    {"slug":"old","name":"Old","hosts":["old.example"],"status":"retired"}
    {"slug":"least","name":"Least","hosts":["least.example"]}

    """

  @Test func anExportImportedElsewhereIsExportedTheSame() async throws {
    let exported = try await withInstance { instance in
      let answer = try await importing(Self.lines, into: instance.client)
      #expect(answer.status == 200)
      #expect(answer.json["accepted"].integer == 3, "\(answer.text)")
      #expect(try await instance.client.get("/v1/providers/full").json["status"].string == "suspended")
      #expect(try await instance.client.get("/v1/providers/least").json["status"].string == "pending")
      #expect(try await instance.client.get("/v1/providers/full.example/score").status == 200)
      let exported = try await instance.client.get("/v1/providers/export")
      #expect(exported.headers["content-type"] == "application/x-ndjson")
      #expect(exported.text.split(separator: "\n").count == 3)
      let again = try await importing(exported.text, into: instance.client)
      #expect(again.json["duplicates"].integer == 3, "\(again.text)")
      let partly = try await importing(Self.lines, into: instance.client)
      #expect(partly.json["duplicates"].integer == 3, "\(partly.text)")
      return exported
    }
    try await withInstance { instance in
      let answer = try await importing(exported.text, into: instance.client)
      #expect(answer.json["accepted"].integer == 3)
      #expect(try await instance.client.get("/v1/providers/export").body == exported.body)
    }
  }

  @Test func aWrongLineIsRejectedAlone() async throws {
    try await withRegisteredRelay { instance in
      let lines = [
        #"{"slug":"new","name":"New","hosts":["new.example"]}"#,
        #"{"slug":"new","name":"New","hosts":["new.example"]}"#,
        #"{"slug":"other","name":"New","hosts":["NEW.example"]}"#,
        #"{"slug":"acme","name":"Other","hosts":["acme.example"]}"#,
        #"{"slug":"acme","name":"Acme","hosts":["acme.example","api.acme.example"]}"#,
        #"{"slug":"acme","name":"Acme","hosts":["acme.example","api.acme.example"],"status":"active"}"#,
        "{",
        #"{"slug":"X","hosts":[],"id":"x","status":"gone"}"#,
        #"{"slug":"last","name":"Last","hosts":["last.example"],"status":"active"}"#,
      ]
      // Blank lines and CRLF are passed over.
      let answer = try await importing("\n" + lines.joined(separator: "\r\n\r\n"), into: instance.client)
      #expect(answer.status == 200)
      let results = answer.json["results"].array
      let indices = results.map { $0["index"].integer }
      #expect(indices == Array(0..<9))
      let statuses = results.map { $0["status"].string }
      #expect(
        statuses == [
          "accepted", "duplicate", "rejected", "rejected", "duplicate", "rejected", "rejected", "rejected", "accepted",
        ])
      #expect(results[1]["id"].string == results[0]["id"].string)
      #expect(results[2]["problem"]["detail"].string?.contains("host new.example belongs to new") == true)
      #expect(results[3]["problem"]["detail"].string?.contains("slug acme belongs to acme") == true)
      #expect(results[6]["problem"]["type"].string == "/problems/malformed-json")
      #expect(Set(results[7]["problem"].pointers) == ["/slug", "/name", "/hosts", "/id", "/status"])
      #expect(answer.json["accepted"].integer == 2)
      #expect(answer.json["duplicates"].integer == 2)
      #expect(answer.json["rejected"].integer == 5)
      #expect(try await instance.client.get("/v1/providers").json["items"].array.count == 3)
    }
  }

  @Test func manyAreImportedAtOnceAndTooManyRefused() async throws {
    try await withInstance { instance in
      func lines(_ count: Int) -> String {
        (0..<count).map { "{\"slug\":\"p\($0)\",\"name\":\"P\",\"hosts\":[\"p\($0).example\"]}\n" }.joined()
      }
      let answer = try await importing(lines(2_000), into: instance.client)
      #expect(answer.json["accepted"].integer == 2_000)
      #expect(try await instance.client.get("/v1/providers/p1999.example").status == 200)
      #expect(try await importing("", into: instance.client).json["accepted"].integer == 0)
      let tooMany = try await importing(lines(20_001), into: instance.client)
      #expect(tooMany.status == 422)
      #expect(try await importing("{}", into: try await instance.key(.scoresRead)).status == 403)
      #expect(try await instance.client.get("/v1/providers/export?x=1").status == 422)
    }
  }
}
