import Foundation
import Synchronization
import TestHarness
import Testing

/// Clients that post numbered batches for as long as they are let, whatever becomes of the service, and what they were
/// told of each. A batch is a single result or five of different checks, so that half a batch would show, and now and
/// then a hundred with long notes.
final class PostingLoad: Sendable {
  struct Told {
    var sent = 0
    var acknowledged: Set<Int> = []
    /// With 503 and `Retry-After`.
    var refused = 0
    /// The connection was refused or ended.
    var unanswered = 0
    var wrong: [String] = []
  }

  private static let checks = [
    "substitution.fingerprint-distribution", "backdoor.tool-call-rewrite", "encryption.hsts-missing",
    "controls.admin-panel-exposed", "encryption.legacy-tls-protocol",
  ]
  /// Of fewer than a thousand results.
  private static let batchesInOneRequest = 60
  private let client: APIClient
  private let state = Mutex(Told())

  var told: Told { state.withLock(\.self) }

  /// Registers what the results are of.
  init(_ client: APIClient) async throws {
    self.client = client
    let provider = try await client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    #expect(provider.status == 201)
    let source = try await client.post("/v1/sources", #"{"slug":"lab","name":"L","trust":1}"#)
    #expect(source.status == 201)
  }

  /// Posts from four tasks.
  func run(until stopped: Flag) async {
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask { while !stopped.isSet { await self.postNext() } }
      }
    }
  }

  /// Waits until one more batch than now is acknowledged.
  func waitForOneMore() async throws {
    let before = told.acknowledged.count
    _ = try await waitFor("an acknowledgement") { told.acknowledged.count > before ? true : nil }
  }

  private func postNext() async {
    let number = state.withLock { state -> Int in
      state.sent += 1
      return state.sent - 1
    }
    let results = Self.batch(number)
    let body = results.count == 1 ? results[0] : ["results": results as Any]
    guard let answer = try? await client.post("/v1/probe-results", object: body) else {
      state.withLock { $0.unanswered += 1 }
      // Nobody listens for a while, perhaps.
      try? await Task.sleep(for: .milliseconds(20))
      return
    }
    let isStored = answer.status == 201 || answer.json["accepted"].integer == results.count
    let mayTryAgain = answer.headers["retry-after"] != nil
    let text = "\(answer.status) \(answer.text)"
    state.withLock { state in
      switch answer.status {
      case 200 where isStored, 201: state.acknowledged.insert(number)
      case 503 where mayTryAgain: state.refused += 1
      default: state.wrong.append(text)
      }
    }
    if answer.status == 503 { try? await Task.sleep(for: .milliseconds(20)) }
  }

  private static func batch(_ number: Int) -> [[String: Any]] {
    let isLarge = number % 10 == 9
    let count = isLarge ? 100 : number % 2 == 0 ? 1 : checks.count
    let note = String(repeating: "n", count: isLarge ? 1_000 : 1)
    return (0..<count).map { index in
      [
        "provider": "acme", "source": "lab", "check": checks[index % checks.count], "external_id": "\(number)/\(index)",
        "outcome": number % 3 == 0 ? "pass" : "fail", "observed_at": "2026-01-01T00:00:00Z", "note": note,
      ]
    }
  }

  /// Posts every batch again, and expects that what was acknowledged is there, that nothing is there in part or twice,
  /// and that stored cells and served scores are what a rebuild from the stored results gives.
  func expectEachOnce(in service: RunningService, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let told = told
    #expect(told.wrong.isEmpty, "\(told.wrong.prefix(5))", sourceLocation: sourceLocation)
    for first in stride(from: 0, to: told.sent, by: Self.batchesInOneRequest) {
      let numbers = first..<min(first + Self.batchesInOneRequest, told.sent)
      let answer = try await waitFor("an answer that is no 503") {
        let answer = try await client.post("/v1/probe-results", object: ["results": numbers.flatMap(Self.batch)])
        return answer.status == 503 ? nil : answer
      }
      #expect(answer.status == 200, "\(answer.text.prefix(300))", sourceLocation: sourceLocation)
      var statuses = answer.json["results"].array.map { $0["status"].string }[...]
      for number in numbers {
        let count = Self.batch(number).count
        let expected = told.acknowledged.contains(number) ? ["duplicate"] : ["duplicate", "accepted"]
        let ofBatch = Set(statuses.prefix(count))
        #expect(
          ofBatch.count == 1 && ofBatch.isSubset(of: expected), "batch \(number): \(ofBatch)",
          sourceLocation: sourceLocation)
        statuses = statuses.dropFirst(count)
      }
      #expect(statuses.isEmpty, "\(answer.text.prefix(300))", sourceLocation: sourceLocation)
    }
    let count = (0..<told.sent).reduce(0) { $0 + Self.batch($1).count }
    let verified = try await Program.run(["verify", "--data-dir", service.dataDirectory], timeoutSeconds: 600)
    #expect(
      verified.status == 0 && verified.output.contains(" \(count) results: no difference"), "\(count) \(verified)",
      sourceLocation: sourceLocation)
    // What memory came to over all this is what a fresh instance reads.
    let fresh = RunningService()
    try await fresh.start(arguments: ["--database-url", try service.databaseURL])
    _ = try await waitFor("the same score from a fresh instance") {
      let path = "/v1/providers/acme/score?detail=full"
      let body = try await client.get(path).body
      return try await body == fresh.client(key: client.key).get(path).body ? true : nil
    }
    #expect(await fresh.end(SIGTERM) == 0)
  }
}
