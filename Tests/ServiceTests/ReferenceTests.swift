import Foundation
import TestHarness
import Testing

@testable import Service

/// Models and advisories.
@Suite(.serialized) struct ReferenceTests {
  private func put(_ id: String, _ json: String, _ client: APIClient, match: String? = nil) async throws -> Answer {
    var headers = ["Content-Type": "application/json"]
    headers["If-Match"] = match
    return try await client.send("PUT", "/v1/models/\(id)", headers: headers, body: Data(json.utf8))
  }

  @Test func theShippedModelsAreThere() async throws {
    try await withInstance { instance in
      let reader = try await instance.key(.auditRead)
      let models = try await reader.get("/v1/models").json["items"].array
      let overseas = models.filter { $0["origin"].string == "overseas" }.map(\.["id"].string)
      let domestic = models.filter { $0["origin"].string == "domestic" }.map(\.["id"].string)
      #expect(overseas == ["claude-opus-4.7", "claude-opus-4.8", "gemini-3.1-pro", "gpt-5.4-mini", "gpt-5.5"])
      #expect(domestic == ["deepseek-v4-pro", "qwen3.7-max"])
      #expect(models.allSatisfy { $0["coding_index"].isNull })
      let page = try await reader.get("/v1/models?limit=2")
      let cursor = try #require(page.json["next_cursor"].string)
      let next = try await reader.get("/v1/models?limit=2&cursor=\(cursor)")
      #expect(next.json["items"][0]["id"].string == "deepseek-v4-pro")
      #expect(try await reader.get("/v1/models/gpt-5.5").json["vendor"].string == "OpenAI")
      #expect(try await reader.get("/v1/models/none").status == 404)
      #expect(try await reader.get("/v1/models/NONE").status == 404)
    }
  }

  @Test func aModelIsPutMadeOrReplaced() async throws {
    try await withInstance { instance in
      let writer = try await instance.key(.registryWrite)
      let body = #"{"vendor":"V","name":"N","origin":"domestic","tier":"small","coding_index":41.5}"#
      let made = try await put("new-1", body, writer)
      #expect(made.status == 201)
      #expect(made.headers["location"] == "/v1/models/new-1")
      #expect(made.json["coding_index"].double == 41.5)
      let read = try await instance.client.get("/v1/models/new-1")
      #expect(read.body == made.body)
      let tag = try #require(read.headers["etag"])
      let other = #"{"vendor":"V","name":"N","origin":"domestic","tier":"small"}"#
      #expect(try await put("new-1", other, writer, match: "\"x\"").status == 412)
      let replaced = try await put("new-1", other, writer, match: tag)
      #expect(replaced.status == 200)
      #expect(replaced.json["coding_index"].isNull)
      #expect(try await put("new-1", other, writer, match: tag).status == 412)
      #expect(try await put("new-2", other, writer, match: "*").status == 412)
      #expect(try await put("new-1", other, try await instance.key(.scoresRead)).status == 403)
    }
  }

  @Test func everyFaultOfAModelIsNamed() async throws {
    try await withInstance { instance in
      for (body, pointers) in [
        ("{}", ["/vendor", "/name", "/origin", "/tier"]),
        (
          #"{"vendor":"","name":1,"origin":"here","tier":"big","coding_index":"1","id":"x"}"#,
          ["/vendor", "/name", "/origin", "/tier", "/coding_index", "/id"]
        ),
        (#"{"vendor":"V","name":"N","origin":"domestic","tier":"small","coding_index":1e999}"#, ["/coding_index"]),
      ] {
        let answer = try await put("new-1", body, instance.client)
        #expect(answer.status == 422, "\(body)")
        #expect(answer.json.pointers == pointers, "\(body)")
      }
      #expect(try await put("Not-A-Slug", "{}", instance.client).status == 404)
      #expect(try await put("new-1", "{", instance.client).status == 400)
      #expect(try await instance.client.get("/v1/models/new-1").status == 404)
    }
  }

  @Test func advisoriesArePublishedAndRead() async throws {
    try await withInstance { instance in
      let reader = try await instance.key(.auditRead)
      let shipped = try await reader.get("/v1/advisories").json["items"].array
      #expect(shipped.count == 1)
      #expect(shipped[0]["issuer"].string == "State ministry")
      #expect(shipped[0]["concerns"].array.count == 5)
      #expect(shipped[0]["url"].isNull)
      #expect(shipped[0]["published_at"].string?.hasPrefix("2026") == true)
      let body = """
        {"issuer":"CERT","title":"T","published_at":"2026-03-01T08:00:00+08:00","concerns":["encryption"],
         "summary":"S","url":"https://cert.example/a?b=1"}
        """
      let writer = try await instance.key(.registryWrite)
      let made = try await writer.post("/v1/advisories", body)
      #expect(made.status == 201)
      #expect(made.json["published_at"].string == "2026-03-01T00:00:00.000Z")
      #expect(made.json["url"].string == "https://cert.example/a?b=1")
      let read = try await reader.get(try #require(made.headers["location"]))
      #expect(read.body == made.body)
      let page = try await reader.get("/v1/advisories?limit=1")
      let cursor = try #require(page.json["next_cursor"].string)
      let next = try await reader.get("/v1/advisories?limit=1&cursor=\(cursor)")
      #expect(next.json["items"][0]["id"].string == made.json["id"].string)
      #expect(try await reader.get("/v1/advisories?cursor=61").status == 422)
      #expect(try await reader.get("/v1/advisories/none").status == 404)
      #expect(try await reader.post("/v1/advisories", body).status == 403)
    }
  }

  @Test func everyFaultOfAnAdvisoryIsNamed() async throws {
    try await withInstance { instance in
      for (body, pointers) in [
        ("{}", ["/issuer", "/title", "/published_at", "/concerns", "/summary"]),
        (
          #"{"issuer":"","title":"","published_at":"2999-01-01T00:00:00Z","concerns":["x","backdoor","backdoor"],"#
            + #""summary":"","url":"javascript:x","id":"x"}"#,
          ["/issuer", "/title", "/published_at", "/concerns/0", "/concerns/2", "/summary", "/url", "/id"]
        ),
        (
          #"{"issuer":"I","title":"T","published_at":"1999-01-01T00:00:00Z","concerns":[],"summary":"S"}"#,
          ["/published_at", "/concerns"]
        ),
      ] {
        let answer = try await instance.client.post("/v1/advisories", body)
        #expect(answer.status == 422, "\(body)")
        #expect(answer.json.pointers == pointers, "\(body)")
      }
      #expect(try await instance.client.get("/v1/advisories").json["items"].array.count == 1)
    }
  }
}
