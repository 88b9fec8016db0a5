import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// All that a service does with tables that grow, once and more.
struct PlannedWork: Sendable {
  let instance: TestInstance

  private var client: APIClient { instance.client }
  private var parts: RiskService.Parts { instance.service.parts }

  func run() async throws {
    let provider = try #require(parts.registry.provider("relay-1"))
    let page = try await client.get("/v1/providers/relay-1/probe-results?limit=50")
    let ids = page.json["items"].array.map { $0["id"].string! }
    try await reading(provider.slug.text, ids, cursor: page.json["next_cursor"].string!)
    try await posting()
    try await deciding(ids)
    try await scores(of: provider)
    try await publications(of: provider)
    try await methodologies()
    _ = try await VerificationTests.verify(instance)
    try await maintaining()
  }

  private func expect(_ status: Int, _ answer: Answer) {
    #expect(answer.status == status, "\(answer.text.prefix(500))")
  }

  private func reading(_ provider: String, _ ids: [String], cursor: String) async throws {
    let list = "/v1/providers/\(provider)/probe-results"
    let since = (parts.clock.now() + -3_600_000).rfc3339
    for query in [
      "cursor=\(cursor)", "outcome=fail", "voided=true", "check=encryption.legacy-tls-protocol&cursor=\(cursor)",
      "since=\(since)", "received_since=\(since)", "run_id=run-7",
    ] { expect(200, try await client.get("\(list)?\(query)")) }
    expect(200, try await client.get("/v1/probe-results/\(ids[0])"))
    for query in ["", "?status=open", "?provider=\(provider)", "?status=open&provider=\(provider)"] {
      expect(200, try await client.get("/v1/disputes\(query)"))
    }
    for kind in ["waivers", "incidents"] {
      let first = try await client.get("/v1/providers/\(provider)/\(kind)?limit=20")
      let next = first.json["next_cursor"].string!
      expect(200, try await client.get("/v1/providers/\(provider)/\(kind)?limit=20&cursor=\(next)"))
    }
  }

  private func posting() async throws {
    func result(_ id: String) -> [String: Any] {
      Posting.result(["provider": "relay-7", "source": "lab-1", "external_id": id, "evidence": ["a": 1]])
    }
    let key = UUID().uuidString
    let one = result(key)
    for status in [201, 200] { expect(status, try await client.post("/v1/probe-results", object: one)) }
    let batch = (0..<300).map { result("\(key)-\($0)") }
    expect(200, try await client.post("/v1/probe-results", object: ["results": batch]))
    let source = #"{"slug":"s\#(key.lowercased())","name":"S"}"#
    for _ in 0..<2 { expect(201, try await client.post("/v1/sources", source, headers: ["Idempotency-Key": key])) }
  }

  private func deciding(_ ids: [String]) async throws {
    expect(200, try await client.post("/v1/probe-results/\(ids[1])/void", #"{"reason":"x"}"#))
    let until = parts.clock.now()
    for selection in [
      ["source": "lab-1000"], ["run_id": "run-4242"],
      ["received_from": (until + -86_400_000).rfc3339, "received_until": (until + -86_300_000).rfc3339],
    ] {
      let body = selection.merging(["reason": "x"]) { $1 }
      expect(200, try await client.post("/v1/probe-results/void", object: body))
    }
    expect(200, try await client.post("/v1/probe-results/\(ids[4])/erase-evidence", #"{"reason":"x"}"#))
    let leaked = ["reason": "x", "provider": "relay-2", "run_id": "run-4242"]
    expect(200, try await client.post("/v1/probe-results/erase-evidence", object: leaked))
    for (index, status) in [(2, "upheld"), (3, "rejected")] {
      let body = ["result": ids[index], "reason": "x"]
      let opened = try await client.post("/v1/disputes", object: body)
      if opened.status == 409 { continue }
      expect(409, try await client.post("/v1/disputes", object: body))
      let id = opened.json["id"].string!
      expect(200, try await client.get("/v1/disputes/\(id)"))
      expect(200, try await client.patch("/v1/disputes/\(id)", #"{"status":"\#(status)","note":"x"}"#))
    }
    let expiry = (until + 86_400_000).rfc3339
    let waived = try await client.post(
      "/v1/providers/relay-1/waivers",
      object: ["check": "encryption.hsts-missing", "reason": "x", "expires_at": expiry])
    expect(204, try await client.send("DELETE", "/v1/providers/relay-1/waivers/\(waived.json["id"].string!)"))
    let incident = try await client.post(
      "/v1/providers/relay-1/incidents", object: ["concern": "encryption", "summary": "x"])
    let closing = "/v1/providers/relay-1/incidents/\(incident.json["id"].string!)/close"
    expect(200, try await client.post(closing, "{}"))
  }

  private func scores(of provider: Provider) async throws {
    let at = (parts.clock.now() + -86_400_000).rfc3339
    let score = "/v1/providers/relay-9/score"
    for path in ["\(score)?as_of=\(at)&known_at=\(at)", "\(score)/history", "\(score)/inputs?as_of=\(at)"] {
      expect(200, try await client.get(path))
    }
    expect(200, try await client.post("/v1/score-simulations", object: ["provider": "relay-9", "at": at]))
  }

  private func publications(of provider: Provider) async throws {
    let store = parts.publications
    let head = try await store.head()
    for version in [head - 1_000_000, head] {
      _ = try await store.published(after: version)
      _ = try await store.events(after: version, count: 50)
      _ = try await store.events(of: provider.id, after: version, from: nil, count: 50)
    }
    _ = try await store.lastEventVersion(before: parts.clock.now() + -7 * 86_400_000)
    _ = try await parts.changes.entries(after: 299_990)
  }

  private func methodologies() async throws {
    let id = "rm-plan-\(UUID().uuidString.prefix(8).lowercased())"
    expect(201, try await client.post("/v1/methodologies", MethodologyLifeTests.document(id)))
    for status in ["shadow", "retired"] {
      expect(200, try await MethodologyLifeTests.become(status, id, in: instance))
    }
  }

  private func maintaining() async throws {
    for isDryRun in [true, false] {
      try await instance.service.maintain(Maintenance(retentionMonths: 4, isDryRun: isDryRun)) { _ in }
    }
  }
}
