import Foundation
import RiskModel
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ProbePlanTests {
  private static let start = "2026-11-23T08:00:00.000Z"

  private func plan(_ instance: TestInstance, _ query: String = "") async throws -> [JSON] {
    try await instance.client.get("/v1/probe-plan?limit=500\(query)").json["items"].array
  }

  private func post(_ instance: TestInstance, _ check: String, _ fields: [String: Any?] = [:]) async throws {
    let own: [String: Any?] = ["source": "lab", "outcome": "pass", "observed_at": "2026-11-23T07:00:00Z"]
    let answer = try await instance.client.post(
      "/v1/probe-results", object: Posting.result(check: check, own.merging(fields) { $1 }))
    #expect(answer.status == 201, "\(answer.text)")
  }

  @Test func everyUncoveredCheckIsPlannedWithWhatItAddsToCoverage() async throws {
    let clock = TestClock(Self.start)
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let scored = instance.service.parts.catalogue.methodology.checks.filter(\.isScored)
      let items = try await plan(instance)
      #expect(items.count == scored.count)
      #expect(abs(items.reduce(0) { $0 + $1["gain"].double! } - 1) < 1e-9, "all together are the whole coverage")
      #expect(items.map { $0["gain"].double! } == items.map { $0["gain"].double! }.sorted(by: >))
      for item in items {
        #expect(item.keys == ["provider", "check", "target", "model", "reason", "gain", "last_observed_at"])
        #expect(item["provider"].string == "acme" && item["target"].string == "acme.example")
        #expect(item["reason"].string == "uncovered" && item["model"].isNull && item["last_observed_at"].isNull)
      }
      // The first one foretells the coverage that comes.
      let first = items[0]
      try await post(instance, first["check"].string!, ["target": "api.acme.example", "model": "m"])
      let score = try await instance.client.get("/v1/providers/acme/score").json
      #expect(abs(score["coverage"].double! - first["gain"].double!) < 1e-9)
      let after = try await plan(instance)
      #expect(after.count == scored.count, "one source alone is not enough")
      let probed = try #require(after.first { $0["check"].string == first["check"].string })
      #expect(probed["reason"].string == "single_source")
      #expect(probed["target"].string == "api.acme.example" && probed["model"].string == "m")
      #expect(probed["last_observed_at"].string == "2026-11-23T07:00:00.000Z")
      #expect(after[0]["last_observed_at"].isNull, "of equal gain, what was never seen comes first")
    }
  }

  @Test func aSourceIsToldWhatItHasNotSeenAndWhereItIsTheSecondWitness() async throws {
    let clock = TestClock(Self.start)
    try await withRegisteredRelay(clock: clock.clock) { instance in
      for (slug, trust) in [("web", 0.5), ("soc", 1)] {
        _ = try await instance.client.post("/v1/sources", object: ["slug": slug, "name": slug, "trust": trust])
      }
      let checks = instance.service.parts.catalogue.methodology.checks.filter(\.isScored).map(\.id)
      try await post(instance, checks[0])
      try await post(instance, checks[1], ["source": "soc"])
      for source in ["lab", "web"] { try await post(instance, checks[2], ["source": source]) }
      func reasons(_ query: String) async throws -> [String: String] {
        Dictionary(
          uniqueKeysWithValues: try await plan(instance, query).map { ($0["check"].string!, $0["reason"].string!) })
      }
      let all = try await reasons("")
      #expect(all[checks[0]] == "single_source")
      #expect(all[checks[1]] == nil && all[checks[2]] == nil, "an authoritative source, and two others, are enough")
      #expect(all[checks[3]] == "uncovered")
      #expect(try await reasons("&source=lab")[checks[0]] == nil, "it is the one witness itself")
      #expect(try await reasons("&source=web")[checks[0]] == "single_source")
      #expect(try await reasons("&source=web")[checks[2]] == nil)

      // Evidence that a week brings below what covers a check.
      var days = 0
      while try await reasons("")[checks[2]] != "fading", days < 400 {
        clock.advance(milliseconds: 86_400_000)
        days += 1
      }
      #expect(try await reasons("")[checks[2]] == "fading")
      #expect(try await reasons("&source=lab")[checks[2]] == "fading")
      clock.advance(milliseconds: 8 * 86_400_000)
      #expect(try await reasons("")[checks[2]] == "uncovered")
    }
  }

  @Test func pagesFollowEachOtherOverProvidersTheLeastCoveredFirst() async throws {
    let clock = TestClock(Self.start)
    try await withRegisteredRelay(clock: clock.clock) { instance in
      for slug in ["b", "c", "gone", "held"] {
        _ = try await instance.client.post(
          "/v1/providers", object: ["slug": slug, "name": slug, "hosts": ["\(slug).example"]])
      }
      _ = try await instance.client.send("DELETE", "/v1/providers/gone")
      for status in ["active", "suspended"] {
        #expect(try await instance.client.patch("/v1/providers/held", #"{"status":"\#(status)"}"#).status == 200)
      }
      let check = instance.service.parts.catalogue.methodology.checks.first(where: \.isScored)!.id
      try await post(instance, check)
      let whole = try await plan(instance)
      #expect(Set(whole.map { $0["provider"].string! }) == ["acme", "b", "c"])
      #expect(whole.last!["provider"].string == "acme", "it alone is covered at all")
      var paged: [String] = []
      var next: String? = "/v1/probe-plan?limit=7"
      while let target = next {
        let page = try await instance.client.get(target)
        paged += page.json["items"].array.map { "\($0["provider"].string!) \($0["check"].string!)" }
        next = page.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
      }
      #expect(paged == whole.map { "\($0["provider"].string!) \($0["check"].string!)" })
      let own = try await plan(instance, "&provider=c.example")
      #expect(Set(own.map { $0["provider"].string! }) == ["c"])
      let some = try await instance.client.get("/v1/probe-plan?provider=c&limit=7")
      let rest = try await instance.client.get(
        "/v1/probe-plan?provider=c&limit=500&cursor=\(some.json["next_cursor"].string!)")
      #expect(some.json["items"].array.count + rest.json["items"].array.count == own.count)
      #expect(rest.json["next_cursor"].isNull)
      #expect(try await plan(instance, "&provider=held").isEmpty)
    }
  }
}
