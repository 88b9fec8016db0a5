import Foundation
import TestHarness
import Testing

@testable import Service

/// A round of every kind of change, on an instance with the provider `acme` and the source `lab`.
struct AuditedWork {
  /// What a change left in the audit log, as it should be.
  struct Expected {
    let action: String
    /// Nil for results that were selected together.
    let object: String?
    /// Members of the objects with their values.
    var before: [String: Any]?
    var after: [String: Any]?
  }

  let client: APIClient

  struct Step {
    let name: String
    /// Makes the change and says what is expected of its entries.
    let make: () async throws -> (answer: Answer, expected: [Expected])

    init(_ name: String, _ make: @escaping () async throws -> (answer: Answer, expected: [Expected])) {
      self.name = name
      self.make = make
    }
  }

  var steps: [Step] { registry + keys + decisions + evidence + methodologies }

  func id(_ path: String) async throws -> String { try #require(try await client.get(path).json["id"].string) }

  private var registry: [Step] {
    [
      Step("a provider is registered") {
        let answer = try await client.post("/v1/providers", #"{"slug":"b","name":"B","hosts":["b.example"]}"#)
        return (answer, [Expected(action: "provider.create", object: answer.json["id"].string, after: ["name": "B"])])
      },
      Step("providers are imported") {
        let lines =
          #"{"slug":"c","name":"C","hosts":["c.example"]}"# + "\n" + #"{"slug":"b","name":"B","hosts":["b.example"]}"#
        let answer = try await client.send(
          "POST", "/v1/providers/import", headers: ["Content-Type": "application/x-ndjson"], body: Data(lines.utf8))
        let id = answer.json["results"][0]["id"].string
        return (
          answer, [Expected(action: "provider.import", object: id, after: ["slug": "c", "hosts": ["c.example"]])]
        )
      },
      Step("a provider changes its hosts") {
        let answer = try await client.patch("/v1/providers/b", #"{"hosts":["b.example","b.test"],"notes":"\u0008é"}"#)
        return (
          answer,
          [
            Expected(
              action: "provider.update", object: answer.json["id"].string,
              before: ["hosts": ["b.example"], "version": 1, "notes": NSNull()],
              after: ["hosts": ["b.example", "b.test"], "version": 2, "notes": "\u{8}é"])
          ]
        )
      },
      Step("a provider is retired") {
        let id = try await id("/v1/providers/c")
        return (
          try await client.send("DELETE", "/v1/providers/c"),
          [
            Expected(
              action: "provider.retire", object: id, before: ["status": "pending"], after: ["status": "retired"])
          ]
        )
      },
      Step("a source is registered") {
        let answer = try await client.post("/v1/sources", #"{"slug":"s","name":"S","trust":1}"#)
        return (answer, [Expected(action: "source.create", object: answer.json["id"].string, after: ["trust": 1])])
      },
      Step("a source loses trust") {
        let answer = try await client.patch("/v1/sources/s", #"{"trust":0.3,"status":"suspended"}"#)
        return (
          answer,
          [
            Expected(
              action: "source.update", object: answer.json["id"].string, before: ["trust": 1, "status": "active"],
              after: ["trust": 0.3, "status": "suspended"])
          ]
        )
      },
      Step("a model is added") {
        (try await put("m", tier: "small"), [Expected(action: "model.create", object: "m", after: ["tier": "small"])])
      },
      Step("a model is changed") {
        (
          try await put("m", tier: "flagship"),
          [
            Expected(action: "model.update", object: "m", before: ["tier": "small"], after: ["tier": "flagship"])
          ]
        )
      },
      Step("an advisory is published") {
        let answer = try await client.post(
          "/v1/advisories",
          object: [
            "issuer": "I", "title": "T", "published_at": "2026-01-01T00:00:00Z", "concerns": ["encryption"],
            "summary": "S",
          ])
        return (
          answer, [Expected(action: "advisory.create", object: answer.json["id"].string, after: ["title": "T"])]
        )
      },
    ]
  }

  func put(_ model: String, tier: String) async throws -> Answer {
    try await client.send(
      "PUT", "/v1/models/\(model)", headers: ["Content-Type": "application/json"],
      body: Data(#"{"vendor":"V","name":"N","origin":"overseas","tier":"\#(tier)","coding_index":12.5}"#.utf8))
  }

  private var keys: [Step] {
    [
      Step("a key is made") {
        let answer = try await client.post(
          "/v1/keys", #"{"name":"K","scopes":["results:write"],"source":"lab","results_per_minute":9}"#)
        let source = try await id("/v1/sources/lab")
        return (
          answer,
          [
            Expected(
              action: "key.create", object: answer.json["id"].string,
              after: ["name": "K", "scopes": ["results:write"], "source_id": source, "results_per_minute": 9])
          ]
        )
      },
      Step("a key gets another quota") {
        let key = try await key()
        let answer = try await client.send(
          "PATCH", "/v1/keys/\(key)", headers: ["Content-Type": "application/merge-patch+json"],
          body: Data(#"{"results_per_minute":null}"#.utf8))
        return (
          answer,
          [
            Expected(
              action: "key.update", object: key, before: ["results_per_minute": 9],
              after: ["results_per_minute": NSNull(), "revoked_at": NSNull()])
          ]
        )
      },
      Step("a key is rotated") {
        let key = try await key()
        let answer = try await client.send("POST", "/v1/keys/\(key)/rotate")
        let successor = answer.json["id"].string
        return (
          answer,
          [
            Expected(
              action: "key.rotate", object: key, before: ["successor_id": NSNull()],
              after: ["successor_id": successor!]),
            Expected(action: "key.create", object: successor, after: ["name": "K", "scopes": ["results:write"]]),
          ]
        )
      },
      Step("a source gets a key to sign with") {
        let key = """
          -----BEGIN PUBLIC KEY-----
          MCowBQYDK2VwAyEAiVTpGc4YdU9RX3j2P/LKYBx3nvime2DCQeph7MgVntM=
          -----END PUBLIC KEY-----
          """
        let body: [String: Any] = ["name": "S", "public_key": key]
        let answer = try await client.post("/v1/sources/lab/signing-keys", object: body)
        let source = try await id("/v1/sources/lab")
        return (
          answer,
          [
            Expected(
              action: "signing_key.create", object: answer.json["id"].string,
              after: ["name": "S", "source_id": source, "revoked_at": NSNull()])
          ]
        )
      },
      Step("the key to sign with is revoked") {
        let keys = try await client.get("/v1/sources/lab/signing-keys").json["items"].array
        let key: String = try #require(keys.first { $0["name"].string == "S" }?["id"].string)
        return (
          try await client.send("DELETE", "/v1/sources/lab/signing-keys/\(key)"),
          [
            Expected(
              action: "signing_key.revoke", object: key, before: ["revoked_at": NSNull()], after: ["name": "S"])
          ]
        )
      },
      Step("a key is revoked") {
        let key = try await key()
        return (
          try await client.send("DELETE", "/v1/keys/\(key)"),
          [Expected(action: "key.revoke", object: key, before: ["revoked_at": NSNull()], after: ["name": "K"])]
        )
      },
    ]
  }

  private func key() async throws -> String {
    let keys = try await client.get("/v1/keys").json["items"].array
    return try #require(keys.first { $0["name"].string == "K" }?["id"].string)
  }
}

/// What is written down in the end.
extension TestInstance {
  /// All entries, the oldest first.
  func auditEntries() async throws -> [JSON] {
    var entries: [JSON] = []
    var target: String? = "/v1/audit-log?limit=500"
    while let next = target {
      let page = try await client.get(next)
      #expect(page.status == 200, "\(page.text.prefix(300))")
      entries += page.json["items"].array
      target = page.json["next_cursor"].string.map { "/v1/audit-log?limit=500&cursor=\($0)" }
    }
    return entries.reversed()
  }

  /// What `relayrisk audit verify` finds.
  func auditFaults(against head: AuditHead? = nil) async throws -> [String] {
    var faults: [String] = []
    _ = try await service.verifyAuditLog(against: head) { faults.append($0) }
    return faults
  }
}
