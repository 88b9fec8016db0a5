import Foundation
import RiskModel
import TestHarness

@testable import Service

/// What one client posts, step by step: by turns an atomic batch that fails three checks at once, and a single result
/// of a fourth check. Each step has a time of observation of its own, later than those before, so that a score shows by
/// itself which steps it counts.
struct SteppedPosting: Sendable {
  let number: Int
  let start: Instant

  /// Three checks each, and one for single results: kinds `state` and `sample` in turn.
  private static let checks = [
    ["backdoor.tool-call-rewrite", "encryption.hsts-missing", "substitution.context-truncated"],
    ["backdoor.conditional-trigger", "controls.session-cookie-flags", "substitution.protocol-fidelity"],
    ["backdoor.hidden-system-prompt", "encryption.weak-cipher-suites", "crossborder.multi-hop-chain"],
  ]
  private static let singles = [
    "backdoor.package-name-substitution", "encryption.legacy-tls-protocol", "substitution.fingerprint-distribution",
  ]
  static var all: [SteppedPosting] {
    // An hour back, so that many steps stay in the past.
    let start = Service.Clock.system.now() + -3_600_000
    return checks.indices.map { SteppedPosting(number: $0, start: start) }
  }

  private func observedAt(_ step: Int) -> String { (start + Int64(step) * 10).rfc3339 }

  private func result(_ check: String, _ step: Int) -> [String: Any] {
    Posting.result(
      check: check, ["source": "lab", "observed_at": observedAt(step), "external_id": "\(number)-\(step)-\(check)"])
  }

  /// - Returns: whether the step is stored; false when it may be tried again.
  func post(_ step: Int, to client: APIClient) async throws -> Bool {
    guard step % 2 == 0 else {
      let answer = try await client.post("/v1/probe-results", object: result(Self.singles[number], step))
      return answer.status == 201
    }
    let results = Self.checks[number].map { result($0, step) }
    let answer = try await client.post("/v1/probe-results?atomic=true", object: ["results": results])
    return answer.status == 200 && answer.json["accepted"].integer == results.count
  }

  /// The last step that a score document in full counts, -1 for none.
  /// - Returns: nil when it counts a part of a step, or a step without the one before.
  func lastStep(in document: JSON) -> Int? {
    var times: [String: String] = [:]
    for check in document["checks"].array {
      if let id = check["check"].string { times[id] = check["last_observed_at"].string ?? "" }
    }
    let batch = Set(Self.checks[number].map { times[$0] ?? "" })
    guard batch.count == 1 else { return nil }
    let steps = [batch.first!, times[Self.singles[number]] ?? ""].map(step(at:))
    return abs(steps[0] - steps[1]) == 1 || steps.max() == -1 ? steps.max() : nil
  }

  private func step(at time: String) -> Int {
    Instant(rfc3339: time).map { Int(($0.milliseconds - start.milliseconds) / 10) } ?? -1
  }
}
