import Foundation
import RiskModel
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct VoidTests {
  private static let sample = "substitution.fingerprint-distribution"
  private static let state = "encryption.legacy-tls-protocol"

  private func score(_ instance: TestInstance, _ query: String = "") async throws -> JSON {
    try await instance.client.get("/v1/providers/acme/score?detail=full\(query)").json
  }

  private func post(_ instance: TestInstance, _ check: String, _ fields: [String: Any?]) async throws -> String {
    let answer = try await instance.client.post(
      "/v1/probe-results", object: Posting.result(check: check, fields.merging(["source": "lab"]) { $1 }))
    #expect(answer.status == 201, "\(answer.text)")
    return answer.json["id"].string!
  }

  private func void(_ id: String, in instance: TestInstance) async throws -> Answer {
    try await instance.client.post("/v1/probe-results/\(id)/void", #"{"reason":"wrong host"}"#)
  }

  @Test func aVoidedResultIsKeptShownAndNoLongerCounted() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let unprobed = try await score(instance)
      let fields = ["observed_at": "2026-11-23T07:00:00Z", "external_id": "1"]
      let id = try await post(instance, Self.state, fields)
      let counted = try await score(instance)
      #expect(try await instance.client.get("/v1/probe-results/\(id)").json["voided"].isNull)
      clock.advance(milliseconds: 60_000)

      let answer = try await void(id.uppercased(), in: instance)
      #expect(answer.status == 200)
      #expect(answer.json["voided"].keys == ["at", "by", "reason"])
      #expect(answer.json["voided"]["at"].string == "2026-11-23T08:01:00.000Z")
      #expect(answer.json["voided"]["by"].string?.hasPrefix("key:") == true)
      #expect(answer.json["voided"]["reason"].string == "wrong host")
      // The cell is empty, and so neither evidence nor the newest time.
      let after = try await score(instance)
      expectNear(after["checks"], unprobed["checks"], "after")
      #expect(after["reasons"].array.isEmpty)
      clock.advance(milliseconds: 60_000)
      #expect(try await score(instance)["evaluated_at"].string == "2026-11-23T08:02:00.000Z")

      let again = try await instance.client.post("/v1/probe-results/\(id)/void", #"{"reason":"other"}"#)
      #expect(again.status == 200 && again.body == answer.body)
      let repeated = try await instance.client.post(
        "/v1/probe-results",
        object: Posting.result(check: Self.state, fields.merging(["source": "lab"]) { $1 }))
      #expect(repeated.status == 200 && repeated.body == answer.body)

      // What was known before stays what it was.
      expectNear(
        try await score(instance, "&as_of=2026-11-23T08:00:00Z&known_at=2026-11-23T08:00:59.999Z"), counted, "before")
      expectNear(
        try await score(instance, "&as_of=2026-11-23T08:00:00Z")["checks"], unprobed["checks"], "known now")
    }
  }

  @Test func theCellIsWhatTheOtherResultsMakeOfIt() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    for check in [Self.state, Self.sample] {
      for voided in 0..<4 {
        let observed = (0..<4).map { "2026-11-2\($0)T07:00:00Z" }
        let outcomes = ["fail", "pass", "fail", "pass"]
        func checks(posting indices: [Int], voiding: Int?) async throws -> JSON {
          try await withRegisteredRelay(clock: clock.clock) { instance in
            for index in indices {
              let id = try await post(
                instance, check,
                ["observed_at": observed[index], "outcome": outcomes[index], "confidence": 0.5 + 0.1 * Double(index)])
              if index == voiding { _ = try await void(id, in: instance) }
            }
            return try await score(instance)["checks"]
          }
        }
        let without = try await checks(posting: (0..<4).filter { $0 != voided }, voiding: nil)
        expectNear(try await checks(posting: [0, 1, 2, 3], voiding: voided), without, "\(check) without \(voided)")
        if voided == 0 { expectNear(try await checks(posting: [3, 2, 1, 0], voiding: 0), without, "voided last") }
      }
    }
  }

  @Test func anEmptiedCellVanishesEverywhereAndComesBackWithItsNextResult() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    _ = try await first.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    func reasons(_ instance: TestInstance) async throws -> Int { try await score(instance)["reasons"].array.count }
    for round in 0..<3 {
      // The higher the revision was, the more a later one that began anew would be taken for old.
      var ids: [String] = []
      for number in 0...round { ids.append(try await post(first, Self.sample, ["external_id": "\(round)-\(number)"])) }
      try await eventually { try await reasons(second) == 1 }
      for id in ids {
        let answer = try await void(id, in: second)
        #expect(answer.status == 200)
      }
      #expect(try await reasons(second) == 0)
      try await eventually { try await reasons(first) == 0 }
    }
    let third = try await TestInstance.start(on: name, adminKey: first.adminKey)
    #expect(try await reasons(third) == 0)
    for instance in [first, second, third] { await instance.stop() }
  }

  @Test func resultsPostedMeanwhileAreNotLost() async throws {
    try await withRegisteredRelay { instance in
      let observed = (Service.Clock.system.now() + -3_600_000).rfc3339
      let ids = try await withThrowingTaskGroup(of: String.self) { group in
        for number in 0..<20 {
          group.addTask {
            try await post(instance, Self.sample, ["external_id": "v\(number)", "observed_at": observed])
          }
        }
        return try await group.reduce(into: [String]()) { $0.append($1) }
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (number, id) in ids.enumerated() {
          group.addTask {
            let answer = try await void(id, in: instance)
            #expect(answer.status == 200)
          }
          group.addTask {
            _ = try await post(instance, Self.sample, ["external_id": "n\(number)", "observed_at": observed])
          }
        }
        try await group.waitForAll()
      }
      let now = Service.Clock.system.now()
      let live = try await score(instance)
      let past = try await score(instance, "&as_of=\(live["evaluated_at"].string!)&known_at=\(now.rfc3339)")
      expectNear(live, past, "the cell and the results")
      let parts = instance.service.parts
      let cells = parts.board.evidence(of: parts.registry.provider("acme")!.id).evidence.cells[
        "rm-1", default: CellTable()
      ].rows
      #expect(cells.count == 1)
      #expect(abs(cells[0].cell.failWeight - 20) < 1e-9)
      // 20 voids and as many batches at most as there were posts.
      #expect(cells[0].revision > 20)
    }
  }

  @Test func manyAreVoidedBySourceRunAndTimeOfReceipt() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"Soc"}"#)
      for (number, check) in [Self.sample, Self.state, Self.sample, "encryption.hsts-missing"].enumerated() {
        let posted = try await instance.client.post(
          "/v1/probe-results",
          object: Posting.result(
            check: check, outcome: number == 3 ? "error" : "fail",
            [
              "source": number == 2 ? "soc" : "lab", "run_id": number < 2 ? "r1" : "r2",
              "observed_at": "2026-11-23T07:00:00Z",
            ]))
        #expect(posted.status == 201)
        clock.advance(milliseconds: 60_000)
      }
      func bulk(_ json: String) async throws -> [Int?] {
        let answer = try await instance.client.post("/v1/probe-results/void", json)
        #expect(answer.status == 200, "\(answer.text)")
        return [answer.json["matched"].integer, answer.json["voided"].integer]
      }
      let range = #""received_from":"2026-11-23T08:01:00Z","received_until":"2026-11-23T08:02:00Z""#
      #expect(try await bulk(#"{"reason":"x","dry_run":true,"source":"lab"}"#) == [3, 0])
      #expect(try await bulk(#"{"reason":"x","dry_run":true,\#(range)}"#) == [2, 0])
      #expect(try await bulk(#"{"reason":"x","run_id":"r1","source":"soc"}"#) == [0, 0])
      #expect(try await score(instance)["reasons"].array.count == 2)
      #expect(try await bulk(#"{"reason":"x",\#(range),"source":"lab"}"#) == [1, 1])
      #expect(try await score(instance)["reasons"].array.map { $0["check"].string } == [Self.sample])
      #expect(try await bulk(#"{"reason":"x","source":"lab"}"#) == [2, 2])
      #expect(try await bulk(#"{"reason":"x","source":"lab"}"#) == [0, 0])
      #expect(try await score(instance)["reasons"][0]["sources"].array.map(\.string) == ["soc"])
    }
  }

  @Test func everyFaultOfAVoidIsNamed() async throws {
    try await withRegisteredRelay { instance in
      let client = instance.client
      #expect(try await void("019ab0c1-5b6c-7d7e-8f80-a1b2c3d4e5f6", in: instance).status == 404)
      #expect(try await void("x", in: instance).status == 404)
      let one = try await client.post("/v1/probe-results/x/void", #"{"reason":"","why":1}"#)
      #expect(one.status == 422 && one.json.pointers == ["/reason", "/why"])
      let all = try await client.post("/v1/probe-results/void", #"{"reason":"x"}"#)
      #expect(all.status == 422 && all.json.pointers == [""])
      let many = try await client.post(
        "/v1/probe-results/void",
        #"{"source":"none","run_id":"","received_from":"2026-01-02T00:00:00Z","#
          + #""received_until":"2026-01-01T00:00:00Z","dry_run":1}"#)
      #expect(many.json.pointers == ["/reason", "/source", "/run_id", "/received_until", "/dry_run"])
      let ahead = try await client.post(
        "/v1/probe-results/void", #"{"reason":"x","received_from":"2999-01-01T00:00:00Z"}"#)
      #expect(ahead.json.pointers == ["/received_from"])
    }
  }
}
