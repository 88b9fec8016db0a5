import Foundation
import Synchronization
import TestHarness
import Testing

@Suite(.serialized) struct FaultTests {
  private func register(_ client: APIClient) async throws {
    let provider = try await client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    #expect(provider.status == 201)
    let source = try await client.post("/v1/sources", #"{"slug":"lab","name":"L","trust":1}"#)
    #expect(source.status == 201)
  }

  private func result(_ number: Int) -> [String: Any] {
    [
      "provider": "acme", "source": "lab", "check": "substitution.fingerprint-distribution", "outcome": "fail",
      "observed_at": "2026-01-01T00:00:00Z", "external_id": "\(number)",
    ]
  }

  /// Posts numbered results from several tasks until told to stop.
  /// - Returns: the numbers whose storage was acknowledged, and every status that was answered.
  private func postUntil(
    _ stopped: Flag, _ client: APIClient
  ) async -> (acknowledged: [Int], statuses: Set<Int>) {
    await withTaskGroup(of: ([Int], Set<Int>).self) { group in
      for task in 0..<4 {
        group.addTask {
          var acknowledged: [Int] = []
          var statuses: Set<Int> = []
          var number = task
          while !stopped.isSet {
            if let answer = try? await client.post("/v1/probe-results", object: result(number)) {
              statuses.insert(answer.status)
              if answer.status == 201 || answer.status == 200 { acknowledged.append(number) }
            }
            number += 4
          }
          return (acknowledged, statuses)
        }
      }
      return await group.reduce(into: (acknowledged: [], statuses: [])) { total, part in
        total.acknowledged += part.0
        total.statuses.formUnion(part.1)
      }
    }
  }

  @Test func aKillUnderLoadLosesNothingThatWasAcknowledged() async throws {
    let service = RunningService()
    try await service.start()
    let key = try await service.createKey()
    try await register(service.client(key: key))
    let stopped = Flag()
    async let posting = postUntil(stopped, service.client(key: key))
    _ = try await waitFor("some results") {
      let score = try await service.client(key: key).get("/v1/providers/acme/score?detail=full").json
      return score["checks"].array.contains { ($0["fail_evidence"].double ?? 0) > 0.01 } ? true : nil
    }
    let postmaster = try #require(service.postmaster)
    #expect(await service.end(SIGKILL) == -SIGKILL)
    stopped.set()
    let acknowledged = await posting.acknowledged
    #expect(!acknowledged.isEmpty)

    // The postmaster outlived its service and is adopted, not replaced.
    #expect(service.postmaster == postmaster)
    try await service.start()
    #expect(service.postmaster == postmaster)
    let client = service.client(key: key)
    for chunk in stride(from: 0, to: acknowledged.count, by: 1_000) {
      let numbers = acknowledged[chunk..<min(chunk + 1_000, acknowledged.count)]
      let again = try await client.post("/v1/probe-results", object: ["results": numbers.map(result)])
      #expect(again.json["duplicates"].integer == numbers.count)
    }
    #expect(await service.end(SIGTERM) == 0)
    #expect(service.postmaster == nil)
  }

  @Test func withoutItsDatabaseTheServiceServesScoresRefusesWritesAndRecoversByItself() async throws {
    let service = RunningService()
    try await service.start()
    let key = try await service.createKey()
    let client = service.client(key: key)
    try await register(client)
    #expect(try await client.post("/v1/probe-results", object: result(0)).status == 201)
    let before = try await client.get("/v1/providers/acme/score").json["provisional_score"].double!

    kill(try #require(service.postmaster), SIGKILL)
    _ = try await waitFor("the loss to be noticed") {
      try await client.get("/readyz?writes").status == 503 ? true : nil
    }
    for _ in 0..<20 {
      let score = try await client.get("/v1/providers/acme/score")
      #expect(score.status == 200)
      #expect(abs(score.json["provisional_score"].double! - before) < 0.1)
      #expect(score.headers["evidence-as-of"] != nil)
    }
    #expect(try await client.get("/readyz").status == 200)
    let refused = try await client.post("/v1/probe-results", object: result(1))
    #expect(refused.status == 503)
    #expect(refused.headers["retry-after"] != nil)
    let unknown = try await service.client(key: "rr_01a206b2-8b49-750f-89d7-9fc58409f28e_" + String(repeating: "0", count: 64))
      .get("/v1/concerns")
    #expect(unknown.status == 503)
    _ = try await waitFor("staleness") {
      try await client.get("/readyz").json["status"].string == "stale" ? true : nil
    }

    // Any command starts the private cluster again; the service finds it by itself.
    #expect(try await Program.run(["migrate", "--check", "--data-dir", service.dataDirectory]).status == 0)
    _ = try await waitFor("recovery") { try await client.get("/readyz?writes").status == 200 ? true : nil }
    let stored = try await waitFor("a write") {
      let answer = try await client.post("/v1/probe-results", object: result(1))
      return answer.status == 503 ? nil : answer
    }
    #expect(stored.status == 201)
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func sigtermUnderLoadCutsNoAcceptedRequest() async throws {
    let service = RunningService()
    try await service.start()
    let key = try await service.createKey()
    try await register(service.client(key: key))
    let stopped = Flag()
    async let posting = postUntil(stopped, service.client(key: key))
    _ = try await waitFor("some results") {
      try await service.client(key: key).get("/v1/providers/acme/score").json["reasons"].array.isEmpty ? nil : true
    }
    #expect(await service.end(SIGTERM) == 0)
    stopped.set()
    let (acknowledged, statuses) = await posting
    // What was answered was done or plainly refused.
    #expect(statuses.isSubset(of: [200, 201, 503]))
    try await service.start()
    let client = service.client(key: key)
    for chunk in stride(from: 0, to: acknowledged.count, by: 1_000) {
      let numbers = acknowledged[chunk..<min(chunk + 1_000, acknowledged.count)]
      let again = try await client.post("/v1/probe-results", object: ["results": numbers.map(result)])
      #expect(again.json["duplicates"].integer == numbers.count)
    }
    await service.end(SIGTERM)
  }

  @Test func theStandardPortTakenIsSaid() async throws {
    let service = RunningService()
    try await service.start()
    let port = service.address.split(separator: ":").last!
    let outcome = try await Program.run(
      ["serve", "--listen", "127.0.0.1:\(port)", "--data-dir", service.dataDirectory])
    #expect(outcome.status != 0)
    #expect(outcome.errors.contains("127.0.0.1:\(port)"))
    // The one that runs is unharmed, and so is the cluster that both used.
    #expect(try await service.client(key: nil).get("/readyz?writes").status == 200)
    await service.end(SIGTERM)
  }
}

/// A flag that tasks share.
final class Flag: Sendable {
  private let state = Mutex(false)
  var isSet: Bool { state.withLock { $0 } }
  func set() { state.withLock { $0 = true } }
}
