import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ScoreListTests {
  /// Five relays: `bad` with an incident, `leaky` with a fail that a source saw, `calm` and `quiet` with nothing.
  private func withRelays(_ body: @Sendable (TestInstance) async throws -> Void) async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withInstance(clock: clock.clock) { instance in
      for (slug, name) in [("bad", "Zeta"), ("leaky", "Beta"), ("calm", "Alpha"), ("quiet", "Émile"), ("gone", "Old")] {
        let body = ["slug": slug, "name": name, "hosts": ["\(slug).example"]] as [String: Any]
        _ = try await instance.client.post("/v1/providers", object: body)
      }
      _ = try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      var gone = try #require(instance.service.parts.registry.provider("gone"))
      gone.status = .retired
      gone.version += 1
      instance.service.parts.registry.apply(gone)
      try await Declaring.incident(in: instance, provider: "bad")
      _ = try await instance.client.post(
        "/v1/probe-results",
        object: Posting.result([
          "provider": "leaky", "source": "lab", "observed_at": "2026-11-23T08:00:09.000Z",
        ]))
      try await body(instance)
    }
  }

  private func slugs(_ instance: TestInstance, _ query: String) async throws -> [String] {
    let answer = try await instance.client.get("/v1/scores\(query)")
    #expect(answer.status == 200, "\(query): \(answer.text)")
    return answer.json["items"].array.map { $0["provider"]["slug"].string! }
  }

  @Test func anEntryIsTheScoreInShort() async throws {
    try await withRelays { instance in
      let answer = try await instance.client.get("/v1/scores")
      #expect(answer.headers["cache-control"] == "private, max-age=10")
      #expect(answer.headers["evidence-as-of"] != nil)
      #expect(answer.json["next_cursor"].isNull)
      #expect(answer.json["items"].array.count == 4)
      for item in answer.json["items"].array {
        #expect(
          item.keys == [
            "provider", "score", "provisional_score", "grade", "verdict", "evidence", "coverage", "evaluated_at",
            "concerns",
          ])
        let slug = try #require(item["provider"]["slug"].string)
        let score = try await instance.client.get("/v1/providers/\(slug)/score").json
        for name in ["id", "slug", "name", "status"] {
          #expect(item["provider"][name].string == score["provider"][name].string)
        }
        for name in ["score", "provisional_score", "coverage"] { #expect(item[name].double == score[name].double) }
        for name in ["grade", "verdict", "evidence", "evaluated_at"] {
          #expect(item[name].string == score[name].string)
        }
        #expect(item["concerns"].array.count == 5)
        for (short, full) in zip(item["concerns"].array, score["concerns"].array) {
          #expect(short.keys == ["concern", "score", "critical"])
          #expect(short["concern"].string == full["concern"].string)
          #expect(short["score"].double == full["score"].double)
          #expect(short["critical"].string == full["critical"].string)
        }
      }
    }
  }

  @Test func sortsAndFilters() async throws {
    try await withRelays { instance in
      // What has no score is last, oldest registration first.
      #expect(try await slugs(instance, "") == ["bad", "leaky", "calm", "quiet"])
      #expect(try await slugs(instance, "?sort=score") == ["bad", "leaky", "calm", "quiet"])
      #expect(try await slugs(instance, "?sort=name") == ["calm", "leaky", "bad", "quiet"])
      #expect(try await slugs(instance, "?sort=-evaluated_at").first == "leaky")
      #expect(try await slugs(instance, "?verdict=block") == ["bad"])
      #expect(try await slugs(instance, "?verdict=unknown") == ["leaky", "calm", "quiet"])
      #expect(try await slugs(instance, "?verdict=allow") == [])
      #expect(try await slugs(instance, "?min_score=90") == ["bad"])
      #expect(try await slugs(instance, "?min_score=99.5") == [])
      let grade = try await instance.client.get("/v1/providers/bad/score").json["grade"].string!
      #expect(try await slugs(instance, "?grade=\(grade)") == ["bad"])
      #expect(try await slugs(instance, "?grade=A") == [])
      #expect(try await slugs(instance, "?concern=backdoor") == ["bad"])
      #expect(try await slugs(instance, "?concern=encryption") == ["leaky"])
      #expect(try await slugs(instance, "?concern=controls") == [])
      let leaky = try await instance.client.get("/v1/providers/leaky/score").json["concerns"].array
      let score = try #require(leaky.first { $0["concern"].string == "encryption" }?["score"].double)
      #expect(try await slugs(instance, "?concern=encryption&min_score=\(score - 1e-9)") == ["leaky"])
      #expect(try await slugs(instance, "?concern=encryption&min_score=\(score + 0.001)") == [])
    }
  }

  @Test func pagesAreStableWhileProvidersAreAdded() async throws {
    try await withRelays { instance in
      for (number, sort) in ["-score", "score", "name", "-evaluated_at"].enumerated() {
        let all = try await slugs(instance, "?sort=\(sort)")
        let first = try await instance.client.get("/v1/scores?sort=\(sort)&limit=1")
        var seen = first.json["items"].array.map { $0["provider"]["slug"].string! }
        var next = first.headers["link"]
        // Its name and id put it before or after the place that the cursor names, never twice.
        _ = try await instance.client.post(
          "/v1/providers", #"{"slug":"new-\#(number)","name":"A new one","hosts":["new-\#(number).example"]}"#)
        while let link = next {
          let target = link.dropFirst().prefix { $0 != ">" }
          let page = try await instance.client.get(String(target))
          #expect(page.json["items"].array.count == 1)
          seen += page.json["items"].array.map { $0["provider"]["slug"].string! }
          next = page.headers["link"]
          #expect((next == nil) == page.json["next_cursor"].isNull)
        }
        #expect(seen.filter { $0 != "new-\(number)" } == all, "\(sort)")
        #expect(Set(seen).count == seen.count)
      }
    }
  }

  /// More than are computed while a page waits, so that the background has its part.
  @Test func manyProvidersAreListedExactlyWhateverChanges() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withInstance(clock: clock.clock) { instance in
      let lines = (0..<700).map { number in
        #"{"slug":"p-\#(number)","name":"P \#(number % 50)","hosts":["p-\#(number).example"]}"#
      }
      let imported = try await instance.client.post(
        "/v1/providers/import", lines.joined(separator: "\n"), headers: ["Content-Type": "application/x-ndjson"])
      #expect(imported.json["accepted"].integer == 700)
      _ = try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      let index = instance.service.parts.scoreIndex
      await index.sweep()
      for sort in ScoreOrder.allCases {
        for step in 0..<3 {
          let number = 100 * step + 7
          try await Declaring.incident(in: instance, provider: "p-\(number)")
          _ = try await instance.client.post(
            "/v1/probe-results",
            object: Posting.result([
              "provider": "p-\(number + 1)", "source": "lab", "observed_at": clock.now.rfc3339,
              "external_id": "\(sort) \(step)",
            ]))
          // Seen at once, whether or not a whole minute has gone by for all others.
          if step == 1 { clock.advance(milliseconds: 60_000) }
          try await expectExactList(sort, instance)
          await index.sweep()
          try await expectExactList(sort, instance)
        }
      }
    }
  }

  /// Every provider once, in the order of what each has as its score now, and those that changed as they are now.
  private func expectExactList(_ sort: ScoreOrder, _ instance: TestInstance) async throws {
    var items: [TestHarness.JSON] = []
    var next: String? = "/v1/scores?sort=\(sort.rawValue)&limit=500"
    while let target = next {
      let page = try await instance.client.get(target)
      items += page.json["items"].array
      next = page.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
    }
    #expect(items.count == 700, "\(sort)")
    #expect(Set(items.compactMap { $0["provider"]["slug"].string }).count == 700)
    let parts = instance.service.parts
    let scoring = parts.methodologies.active
    for item in items where item["score"].double != nil {
      let provider = try #require(parts.registry.provider(item["provider"]["slug"].string!))
      #expect(item["score"].double == parts.scorer.standing(of: provider, under: scoring).score)
    }
    let incidents = items.filter { $0["verdict"].string == "block" }.count
    #expect(
      incidents
        == parts.registry.providers.filter { parts.scorer.standing(of: $0, under: scoring).verdict == .block }.count)
    if sort == .riskiestFirst {
      let scores = items.map { $0["score"].double ?? -1 }
      #expect(scores == scores.sorted(by: >))
    }
  }

  @Test func aCopyOfAnOldProviderIsNotRememberedAsCurrent() async throws {
    try await withRegisteredRelay { instance in
      let parts = instance.service.parts
      let old = try #require(parts.registry.provider("acme"))
      var new = old
      new.details.name = "Renamed"
      new.version += 1
      parts.registry.apply(new)
      _ = parts.scorer.document(of: old, isFull: false, in: .english, under: parts.methodologies.active)
      #expect(try await instance.client.get("/v1/providers/acme/score").json["provider"]["name"].string == "Renamed")
    }
  }

  @Test func everyFaultIsNamed() async throws {
    try await withRegisteredRelay { instance in
      let page = try await instance.client.get("/v1/scores?sort=name&limit=1")
      #expect(page.status == 200)
      let foreign = ScoreRank(
        number: 0, name: "x", id: instance.service.parts.identifiers.next(at: Instant(milliseconds: 0))
      )
      .cursor(in: .name).encoded
      let notANumber = Cursor(text: "score \(Double.nan.bitPattern) \(Identifier(high: 0, low: 0)) ").encoded
      for (query, pointers) in [
        (
          "verdict=maybe&grade=Z&concern=none&min_score=101&sort=id&limit=0&cursor=xyz",
          ["?verdict", "?grade", "?concern", "?min_score", "?sort", "?cursor", "?limit"]
        ),
        ("min_score=nan", ["?min_score"]), ("min_score=-1", ["?min_score"]), ("min_score=0x10", ["?min_score"]),
        ("min_score=", ["?min_score"]), ("limit=501", ["?limit"]), ("cursor=", ["?cursor"]),
        ("sort=score&cursor=\(foreign)", ["?cursor"]), ("sort=score&cursor=\(notANumber)", ["?cursor"]),
        ("sort=score&sort=name", ["?sort"]), ("status=active", ["?status"]),
      ] {
        let answer = try await instance.client.get("/v1/scores?\(query)")
        #expect(answer.status == 422, "\(query)")
        #expect(answer.json.pointers.sorted() == pointers.sorted(), "\(query)")
      }
      #expect(try await instance.client.get("/v1/scores?sort=name&cursor=\(foreign)").status == 200)
    }
  }
}
