import Foundation
import RiskModel
import Synchronization
import TestHarness
import Testing

@testable import Service

/// `relayrisk verify`: the stored cells against the stored results.
@Suite(.serialized) struct VerificationTests {
  static let checks = [
    "encryption.legacy-tls-protocol", "substitution.fingerprint-distribution", "backdoor.tool-call-rewrite",
    "controls.admin-panel-exposed",
  ]

  /// What `verify` finds, and what it compared.
  static func verify(_ instance: TestInstance) async throws -> (summary: VerificationSummary, found: [String]) {
    let found = Mutex<[String]>([])
    let summary = try await instance.service.verify { difference in found.withLock { $0.append(difference) } }
    return (summary, found.withLock(\.self))
  }

  /// Results of several checks, targets, models and times.
  static func post(
    _ count: Int, from first: Int = 0, at now: Instant = Service.Clock.system.now(), to client: APIClient
  ) async throws {
    let results = (first..<first + count).map { number in
      let fields: [String: Any?] = [
        "source": "lab", "external_id": "\(number)", "confidence": Double(number % 7 + 1) / 7,
        "observed_at": (now + -Int64(number % 50 + 1) * 3_600_000).rfc3339,
        "target": "h\(number % 5).acme.example", "model": number % 3 == 0 ? "m-\(number % 2)" : nil,
      ]
      return Posting.result(
        check: checks[number % checks.count], outcome: ["pass", "fail", "error"][number % 3], fields)
    }
    let answer = try await client.post("/v1/probe-results", object: ["results": results])
    #expect(answer.json["accepted"].integer == count, "\(answer.text.prefix(500))")
  }

  private func corrupt(_ instance: TestInstance, _ change: String) async throws {
    _ = try await instance.database.execute("\(unsafeRaw: change)")
  }

  @Test func aCleanDatabaseHasNoDifference() async throws {
    try await withRegisteredRelay { instance in
      try await Self.post(200, to: instance.client)
      let one = try await instance.client.get("/v1/providers/acme/probe-results?outcome=fail&limit=1")
      let id = one.json["items"][0]["id"].string!
      let voided = try await instance.client.post("/v1/probe-results/\(id)/void", #"{"reason":"x"}"#)
      #expect(voided.status == 200)
      let (summary, found) = try await Self.verify(instance)
      #expect(found.isEmpty, "\(found)")
      #expect(summary.differences == 0 && summary.providers == 1 && summary.scores == 1)
      let counted = (0..<200).count { $0 % 3 != 2 } - 1
      #expect(summary.results == counted && summary.cells > 20, "\(summary)")
    }
  }

  /// Each of one cell; the sentence says where and what.
  @Test func everyKindOfDifferenceIsFoundAndNamed() async throws {
    let place = "check_id = 'substitution.fingerprint-distribution'"
    for (change, sentence) in [
      ("update evidence_cell set fail_weight = fail_weight + 2e-9 where \(place)", "the fail weight is"),
      ("update evidence_cell set pass_weight = 1 where \(place)", "the pass weight is"),
      ("update evidence_cell set newest = newest - interval '1 second' where \(place)", "newest is"),
      ("update evidence_cell set fail_half_life_days = 1 where \(place)", "the half-lives"),
      ("delete from evidence_cell where \(place)", "the cell is missing"),
      ("update evidence_cell set target = 'elsewhere.example' where \(place)", "the cell has no results"),
    ] {
      try await withRegisteredRelay { instance in
        let answer = try await instance.client.post(
          "/v1/probe-results",
          object: Posting.result(check: "substitution.fingerprint-distribution", ["source": "lab"]))
        #expect(answer.status == 201)
        try await corrupt(instance, change)
        let (summary, found) = try await Self.verify(instance)
        #expect(summary.differences == found.count)
        let prefix = "acme, rm-1: substitution.fingerprint-distribution on "
        #expect(found.contains { $0.hasPrefix(prefix) && $0.contains(sentence) }, "\(change): \(found)")
        if change.hasPrefix("delete") {
          #expect(found.contains { $0.contains("the score from the cells is") }, "\(found)")
        }
      }
    }
  }

  @Test func cellsOfNobodyAreFound() async throws {
    try await withRegisteredRelay { instance in
      try await Self.post(12, to: instance.client)
      try await corrupt(
        instance,
        "update evidence_cell set provider_id = '01930000-0000-7000-8000-000000000001' where check_id like 'back%'")
      let (_, found) = try await Self.verify(instance)
      #expect(found.contains { $0.hasPrefix("01930000-0000-7000-8000-000000000001, rm-1: backdoor") }, "\(found)")
    }
  }

  @Test func postingMeanwhileIsNoDifference() async throws {
    try await withRegisteredRelay { instance in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in 0..<3 {
          group.addTask {
            for round in 0..<20 {
              try await Self.post(25, from: lane * 10_000 + round * 25, to: instance.client)
            }
          }
        }
        group.addTask {
          for _ in 0..<20 {
            let (_, found) = try await Self.verify(instance)
            #expect(found.isEmpty, "\(found)")
          }
        }
        try await group.waitForAll()
      }
      let (summary, found) = try await Self.verify(instance)
      #expect(found.isEmpty && summary.results == 1_000, "\(summary) \(found)")
    }
  }
}
