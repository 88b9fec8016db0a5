import Foundation
import TestHarness
import Testing

@testable import Service

/// The contract, walked through by the public API alone: what every client relies on, to the field name.
@Suite(.serialized) struct ContractTests {
  private func expect(_ object: JSON, has keys: Set<String>, _ what: String) {
    #expect(object.keys == keys, "\(what)")
  }

  // MARK: - Conventions

  @Test func listsHaveOneForm() async throws {
    try await withRegisteredRelay { instance in
      let probe = try await RouteProbe(instance)
      for endpoint in instance.service.endpoints where endpoint.parameters.contains("cursor") {
        let path = probe.path(endpoint)
        var target: String? = path + "?limit=1"
        var pages = 0
        while let next = target, pages < 3 {
          let page = try await instance.client.get(next)
          #expect(page.status == 200, "\(next)")
          expect(page.json, has: ["items", "next_cursor"], next)
          // One methodology compared with itself differs for nobody.
          #expect(page.json["items"].array.count == (path.contains("/compare/") ? 0 : 1), "\(next)")
          target = page.json["next_cursor"].string.map { "\(path)?limit=1&cursor=\($0)" }
          #expect(page.headers["link"] == target.map { "<\($0)>; rel=\"next\"" }, "\(next)")
          if let cursor = page.json["next_cursor"].string { #expect(cursor.wholeMatch(of: /[A-Za-z0-9_-]+/) != nil) }
          pages += 1
        }
      }
    }
  }

  @Test func oneThingHasAStrongETag() async throws {
    try await withRegisteredRelay { instance in
      let probe = try await RouteProbe(instance)
      let things = instance.service.endpoints.filter {
        $0.method == .get && $0.pattern.hasPrefix("/v1/") && !$0.parameters.contains("cursor")
      }
      for endpoint in things where endpoint.pattern.hasSuffix("}") || endpoint.pattern.hasSuffix("/score") {
        let path = probe.path(endpoint)
        let answer = try await instance.client.get(path)
        #expect(answer.status == 200, "\(path)")
        let tag = try #require(answer.headers["etag"], "\(path)")
        #expect(tag.hasPrefix("\"") && tag.hasSuffix("\"") && tag.count > 2, "\(path)")
        for sent in [tag, "*", "\"other\", \(tag)", "W/\(tag)"] {
          let again = try await instance.client.get(path, headers: ["If-None-Match": sent])
          #expect(again.status == 304 && again.body.isEmpty && again.headers["etag"] == tag, "\(path) with \(sent)")
        }
        #expect(try await instance.client.get(path, headers: ["If-None-Match": "\"other\""]).status == 200)
        let head = try await instance.client.send("HEAD", path)
        #expect(head.status == 200 && head.body.isEmpty && head.headers["etag"] == tag, "\(path)")
      }
    }
  }

  @Test func errorsAreProblemDetails() async throws {
    try await withInstance { instance in
      let id = UUID().uuidString.lowercased()
      let answer = try await instance.client.post(
        "/v1/providers", #"{"slug":"A","extra":1}"#, headers: ["X-Request-Id": id])
      #expect(answer.status == 422)
      #expect(answer.headers["content-type"] == "application/problem+json")
      expect(answer.json, has: ["type", "title", "status", "detail", "instance", "errors"], "a problem")
      #expect(answer.json["instance"].string == "urn:uuid:\(id)")
      #expect(answer.headers["x-request-id"] == id)
      #expect(answer.json.pointers.sorted() == ["/extra", "/hosts", "/name", "/slug"])
      for fault in answer.json["errors"].array { expect(fault, has: ["pointer", "detail"], "a fault") }
      let type = try #require(answer.json["type"].string)
      let kind = try await instance.client.with(key: nil).get(type)
      #expect(kind.status == 200 && kind.json["title"].string == answer.json["title"].string)
      let read = try await instance.client.get("/v1/providers", headers: ["X-Request-Id": id])
      #expect(read.headers["x-request-id"] == id)
      #expect(try await instance.client.get("/v1/providers/none").headers["x-request-id"] != nil)
    }
  }

  // MARK: - Registry

  @Test func aProviderLivesFromRegistrationToRetirement() async throws {
    try await withInstance { instance in
      let client = instance.client
      let created = try await client.post(
        "/v1/providers", #"{"slug":"acme","name":"Acme","hosts":["Acme.Example.","192.0.2.7"]}"#)
      #expect(created.status == 201 && created.headers["location"] == "/v1/providers/acme")
      expect(
        created.json,
        has: [
          "id", "slug", "name", "status", "hosts", "endpoints", "legal_entity", "declared_regions", "claimed_models",
          "software", "contact", "public_badge", "tags", "notes", "version", "created_at", "updated_at",
        ], "a provider")
      #expect(created.json["created_at"].string?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
      let taken = try await client.post("/v1/providers", #"{"slug":"acme","name":"B","hosts":["acme.example"]}"#)
      #expect(taken.status == 409 && taken.json["detail"].string?.contains("belongs to acme") == true)

      // pending -> active <-> suspended, any -> retired, retired -> active; another step is 409.
      for (status, expected) in [
        ("suspended", 409), ("active", 200), ("suspended", 200), ("pending", 409), ("active", 200), ("retired", 200),
        ("suspended", 409), ("active", 200),
      ] {
        let answer = try await client.patch("/v1/providers/acme", #"{"status":"\#(status)"}"#)
        #expect(answer.status == expected, "\(status)")
      }
      let stale = try await client.send(
        "PATCH", "/v1/providers/acme",
        headers: ["Content-Type": "application/merge-patch+json", "If-Match": created.headers["etag"]!],
        body: Data(#"{"name":"B"}"#.utf8))
      #expect(stale.status == 412)
      let merged = try await client.patch("/v1/providers/acme", #"{"tags":["x"],"notes":null}"#)
      #expect(merged.json["tags"][0].string == "x" && merged.json["name"].string == "Acme")

      for _ in 0..<2 { #expect(try await client.send("DELETE", "/v1/providers/acme").status == 204) }
      #expect(try await client.get("/v1/providers").json["items"].array.isEmpty)
      #expect(try await client.get("/v1/providers?status=retired").json["items"].array.count == 1)
      #expect(try await client.get("/v1/providers/acme").json["status"].string == "retired")
      #expect(try await client.get("/v1/lookup?host=acme.example").json["provider_status"].string == "retired")
      _ = try await client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      let refused = try await client.post("/v1/probe-results", object: Posting.result(["source": "lab"]))
      #expect(refused.status == 422 && refused.json.pointers == ["/provider"])
    }
  }

  @Test func sourcesModelsAdvisoriesAndKeysHaveTheirFields() async throws {
    try await withInstance { instance in
      let client = instance.client
      let source = try await client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      #expect(source.status == 201 && source.json["trust"].double == 0.8 && source.json["status"].string == "active")
      expect(
        source.json, has: ["id", "slug", "name", "trust", "status", "version", "created_at", "updated_at"], "a source")
      #expect(try await client.patch("/v1/sources/lab", #"{"trust":1}"#).json["trust"].double == 1)

      let models = try await client.get("/v1/models").json["items"].array
      #expect(models.count == 7)
      for model in models {
        expect(model, has: ["id", "vendor", "name", "origin", "tier", "coding_index"], "a model")
      }
      for advisory in try await client.get("/v1/advisories").json["items"].array {
        expect(
          advisory, has: ["id", "issuer", "title", "published_at", "concerns", "summary", "url"], "an advisory")
      }

      let made = try await client.post("/v1/keys", #"{"name":"K","scopes":["results:write"],"source":"lab"}"#)
      #expect(made.status == 201)
      let key = try #require(made.json["key"].string)
      let parts = key.split(separator: "_")
      #expect(parts.count == 3 && parts[0] == "rr" && String(parts[1]) == made.json["id"].string)
      let listed = try await client.get("/v1/keys").json["items"].array
      #expect(listed.allSatisfy { $0.keys == made.json.keys.subtracting(["key"]) })
      #expect(try await client.with(key: key).get("/v1/concerns").status == 200)
      // While its source is suspended, its keys get 403.
      _ = try await client.patch("/v1/sources/lab", #"{"status":"suspended"}"#)
      #expect(try await client.with(key: key).get("/v1/concerns").status == 403)
      _ = try await client.patch("/v1/sources/lab", #"{"status":"active"}"#)
      #expect(try await client.send("DELETE", "/v1/keys/\(made.json["id"].string!)").status == 204)
      #expect(try await client.with(key: key).get("/v1/concerns").status == 401)

      let methodology = try await client.get("/v1/methodologies/rm-1").json
      expect(
        methodology,
        has: [
          "id", "hash", "status", "complete", "document", "recorded_at", "recorded_by", "changed_at", "changed_by",
          "evidence_from",
        ], "a methodology")
    }
  }

  // MARK: - Results

  @Test func resultsAreTakenOnceAndByTheirIdentity() async throws {
    try await withRegisteredRelay { instance in
      let client = instance.client
      let full: [String: Any] = [
        "source": "lab", "target": "HTTPS://Api.Acme.Example:443/v1/?q#f", "model": "gpt-5.5", "confidence": 0.5,
        "external_id": "1", "run_id": "r", "vantage": ["country": "SG", "asn": 64_500],
        "scanner": ["name": "s", "version": "1"], "note": "n", "evidence": ["a": 1],
      ]
      let first = try await client.post("/v1/probe-results", object: Posting.result(full))
      #expect(first.status == 201, "\(first.text)")
      expect(
        first.json,
        has: [
          "id", "provider", "provider_id", "source", "check", "outcome", "observed_at", "received_at", "target",
          "model", "confidence",
          "external_id", "run_id", "vantage", "scanner", "note", "evidence", "evidence_status", "evidence_erased",
          "signature", "voided", "disputes",
        ], "a result")
      let same = try await client.post("/v1/probe-results", object: Posting.result(full))
      // The time of observation is content, and it has moved with the clock.
      #expect([200, 409].contains(same.status))
      let observed = first.json["observed_at"].string!
      let repeated = try await client.post(
        "/v1/probe-results", object: Posting.result(full.merging(["observed_at": observed]) { $1 }))
      #expect(repeated.status == 200 && repeated.body == first.body)
      let other = try await client.post(
        "/v1/probe-results",
        object: Posting.result(outcome: "pass", full.merging(["observed_at": observed]) { $1 }))
      #expect(other.status == 409 && other.json["detail"].string?.contains(first.json["id"].string!) == true)

      let lines: [[String: Any]] = [
        Posting.result(["source": "lab", "external_id": "2"]), Posting.result(["source": "lab", "check": "none"]),
        Posting.result(full.merging(["observed_at": observed]) { $1 }),
      ]
      let many = try await client.post("/v1/probe-results", object: ["results": lines])
      #expect(many.status == 200)
      expect(many.json, has: ["accepted", "duplicates", "rejected", "results"], "a batch")
      #expect(["accepted", "duplicates", "rejected"].map { many.json[$0].integer } == [1, 1, 1])
      #expect(many.json["results"].array.map { $0["status"].string } == ["accepted", "rejected", "duplicate"])
      for (index, entry) in many.json["results"].array.enumerated() {
        expect(entry, has: ["index", "status", "id", "problem"], "an entry")
        #expect(entry["index"].integer == index)
      }
      #expect(many.json["results"][1]["problem"].pointers == ["/check"])
      #expect(try await client.get("/v1/probe-results/\(first.json["id"].string!)").body == first.body)

      let report = try await client.post(
        "/v1/probe-results/import?format=testssl&provider=acme&source=lab", TestSSLFixture.closed)
      expect(report.json, has: ["accepted", "duplicates", "rejected", "results", "warnings"], "an import")

      let dry = try await client.post("/v1/probe-results/void", #"{"source":"lab","reason":"R","dry_run":true}"#)
      expect(dry.json, has: ["matched", "voided", "dry_run"], "a dry run")
      #expect(dry.json["voided"].integer == 0 && dry.json["matched"].integer! >= 2)
      let run = try await client.post("/v1/probe-results/void", #"{"run_id":"r","reason":"R"}"#)
      #expect(run.json["voided"].integer == 1)
      let voided = try await client.get("/v1/providers/acme/probe-results?voided=true").json["items"].array
      #expect(voided.map { $0["id"].string } == [first.json["id"].string])
    }
  }

  // MARK: - Scores

  @Test func aScoreSaysWhatTheContractSays() async throws {
    try await withRegisteredRelay { instance in
      let client = instance.client
      _ = try await client.post("/v1/probe-results", object: Posting.result(["source": "lab"]))
      let answer = try await client.get("/v1/providers/acme/score?detail=full")
      let score = answer.json
      expect(
        score,
        has: [
          "provider", "methodology", "methodology_hash", "evaluated_at", "score", "provisional_score", "grade",
          "verdict", "evidence", "coverage", "range", "robust_range", "adjustments", "waivers", "incidents",
          "disputes", "concerns", "reasons", "checks",
        ], "a score")
      expect(score["provider"], has: ["id", "slug", "name", "status"], "the provider")
      expect(score["range"], has: ["low", "high"], "the range")
      expect(score["robust_range"], has: ["low", "high"], "the robust range")
      expect(score["adjustments"], has: ["single_source", "floor"], "the adjustments")
      expect(
        score["concerns"][0], has: ["concern", "title", "score", "points", "coverage", "critical"], "a concern")
      expect(
        score["reasons"][0],
        has: [
          "check", "title", "concern", "points", "prior_points", "direction", "target", "model", "sources",
          "last_observed_at", "waived", "text",
        ], "a reason")
      expect(
        score["checks"][0],
        has: [
          "check", "theta", "seen", "unseen", "prior", "fail_evidence", "pass_evidence", "target", "model", "sources",
          "points", "critical", "covered", "last_observed_at", "waived",
        ], "a check")
      #expect(score["score"].isNull && score["grade"].isNull && score["provisional_score"].double != nil)
      #expect(answer.headers["evidence-as-of"] != nil)
      let age = try #require(answer.headers["cache-control"]?.firstMatch(of: /^private, max-age=(\d+)$/))
      #expect(Int(age.1)! <= 30)

      let asked = ["ACME.example", "x.acme.example", "none.example", "no host", "https://api.acme.example/v1"]
      let found = try await client.post("/v1/lookup", object: ["hosts": asked]).json["items"].array
      #expect(found.map { $0["match"].string } == ["exact", "parent", "none", "invalid", "exact"])
      for item in found {
        expect(
          item, has: ["host", "match", "provider", "provider_status", "score", "grade", "verdict"], "a lookup")
      }
      let waiver = try await client.post(
        "/v1/providers/acme/waivers",
        object: [
          "check": "encryption.legacy-tls-protocol", "reason": "R",
          "expires_at": (Service.Clock.system.now() + 86_400_000).rfc3339,
        ])
      #expect(waiver.status == 201, "\(waiver.text)")
      #expect(try await client.get("/v1/providers/acme/score").json["waivers"].integer == 1)
      let id = try #require(waiver.json["id"].string)
      #expect(try await client.send("DELETE", "/v1/providers/acme/waivers/\(id)").status == 204)
      #expect(try await client.get("/v1/providers/acme/score").json["waivers"].integer == 0)
      let incident = try await client.post(
        "/v1/providers/acme/incidents", #"{"concern":"encryption","summary":"S"}"#)
      #expect(incident.status == 201)
      #expect(try await client.get("/v1/providers/acme/score").json["incidents"].integer == 1)
      let closed = try await client.send(
        "POST", "/v1/providers/acme/incidents/\(incident.json["id"].string!)/close")
      #expect(closed.status == 200 && !closed.json["closed_at"].isNull)
    }
  }
}
