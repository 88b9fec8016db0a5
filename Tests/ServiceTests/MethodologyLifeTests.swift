import Foundation
import JSON
import TestHarness
import Testing

@testable import Service

/// Methodologies as data: adding, trying beside the active one, and putting into force.
@Suite(.serialized) struct MethodologyLifeTests {
  /// rm-1 under another id, with these parts of its text replaced.
  static func document(_ id: String, _ changes: [(String, String)] = []) -> String {
    var text = String(decoding: ShippedFiles.bytes("catalogue/rm-1.json")!, as: UTF8.self)
    for (old, new) in [("\"id\": \"rm-1\"", "\"id\": \"\(id)\"")] + changes {
      precondition(text.contains(old), old)
      text = text.replacing(old, with: new)
    }
    return text
  }

  /// Fails fade faster, and little evidence suffices.
  static let lenient = document(
    "rm-try",
    [
      ("\"fail_half_life_days\": 90.0", "\"fail_half_life_days\": 1.0"),
      ("\"min_coverage\": 0.5", "\"min_coverage\": 0.001"),
      ("\"min_concern_coverage\": 0.2", "\"min_concern_coverage\": 0.0"),
    ])

  static func become(_ status: String, _ id: String, in instance: TestInstance) async throws -> Answer {
    try await instance.client.send(
      "PATCH", "/v1/methodologies/\(id)", headers: ["Content-Type": "application/json"],
      body: Data(#"{"status":"\#(status)"}"#.utf8))
  }

  @Test func aDocumentIsStoredOnceAndNeverChanges() async throws {
    try await withInstance { instance in
      let shipped = try await instance.client.get("/v1/methodologies/rm-1")
      #expect(shipped.json["status"].string == "active" && shipped.json["complete"].bool == true)
      let first = try await instance.client.post("/v1/methodologies", Self.lenient)
      #expect(first.status == 201, "\(first.text.prefix(500))")
      #expect(first.headers["location"] == "/v1/methodologies/rm-try")
      #expect(first.json["status"].string == "draft" && first.json["complete"].bool == false)
      let again = try await instance.client.post("/v1/methodologies", Self.lenient.replacing("\n", with: ""))
      #expect(again.status == 200 && again.body == first.body)
      let read = try await instance.client.get("/v1/methodologies/rm-try")
      #expect(read.body == first.body && read.headers["etag"] == first.headers["etag"])
      // The hash is over the document's bytes, as they stand in the answer.
      let start = read.text.range(of: "\"document\":")!.upperBound
      let document = Array(read.text[start...].utf8.dropLast())
      #expect(
        try ScoringMethodology(document: document, try JSONReader.read(document).value).hash == read.json["hash"].string
      )
      let other = try await instance.client.post(
        "/v1/methodologies", Self.lenient.replacing("\"saturation\": 6.0", with: "\"saturation\": 7.0"))
      #expect(other.status == 409)
      let same = try await instance.client.post("/v1/methodologies", Self.document("rm-1"))
      #expect(same.status == 200 && same.body == shipped.body)
      let changed = try await instance.client.post(
        "/v1/methodologies", Self.document("rm-1", [("\"saturation\": 6.0", "\"saturation\": 7.0")]))
      #expect(changed.status == 409)
      let listed = try await instance.client.get("/v1/methodologies?limit=1")
      #expect(listed.json["items"].array.map { $0["id"].string } == ["rm-1"])
      let rest = try await instance.client.get(
        "/v1/methodologies?limit=1&cursor=\(listed.json["next_cursor"].string!)")
      #expect(rest.json["items"].array.map { $0["id"].string } == ["rm-try"] && rest.json["next_cursor"].isNull)
    }
  }

  @Test func everyFaultOfADocumentIsNamedAtOnce() async throws {
    try await withInstance { instance in
      let wrong = Self.document(
        "RM 2",
        [
          ("\"saturation\": 6.0", "\"saturation\": 0"), ("\"max\": 30.0", "\"max\": 15.0"),
          ("\"controls.admin-panel-exposed\"", "\"controls.no-such-check\""),
          ("\"single_source_limit\": 15.0", "\"single_source_limit\": 101, \"surprise\": 1"),
        ])
      let answer = try await instance.client.post("/v1/methodologies", wrong)
      #expect(answer.status == 422)
      let check = TestHarness.JSON(try JSONSerialization.jsonObject(with: Data(wrong.utf8)))["checks"].array
        .firstIndex { $0["id"].string == "controls.no-such-check" }!
      #expect(
        Set(answer.json.pointers) == [
          "/id", "/saturation", "/grades/1/max", "/checks/\(check)/id", "/single_source_limit", "/surprise",
        ])
      #expect(try await instance.client.post("/v1/methodologies", "[]").status == 422)
      #expect(try await instance.client.post("/v1/methodologies", "{").status == 400)
      let reader = try await instance.key(.scoresRead)
      #expect(try await reader.post("/v1/methodologies", Self.lenient).status == 403)
      #expect(try await reader.get("/v1/methodologies").status == 200)
    }
  }

  @Test func onlyTheStepsThatAreAllowedAreTaken() async throws {
    try await withInstance { instance in
      _ = try await instance.client.post("/v1/methodologies", Self.lenient)
      func step(_ status: String, _ id: String = "rm-try") async throws -> Int {
        try await Self.become(status, id, in: instance).status
      }
      #expect(try await step("active") == 409)
      #expect(try await step("draft") == 422)
      #expect(try await step("shadow", "rm-9") == 404)
      #expect(try await step("retired", "rm-1") == 409)
      #expect(try await step("shadow", "rm-1") == 409)
      #expect(try await step("active", "rm-1") == 200)
      let before = try await instance.client.get("/v1/methodologies/rm-try")
      let shadow = try await Self.become("shadow", "rm-try", in: instance)
      #expect(shadow.status == 200 && shadow.json["complete"].bool == true)
      let stale = try await instance.client.send(
        "PATCH", "/v1/methodologies/rm-try",
        headers: ["Content-Type": "application/json", "If-Match": before.headers["etag"]!],
        body: Data(#"{"status":"active"}"#.utf8))
      #expect(stale.status == 412)
      let fresh = try await instance.client.send(
        "PATCH", "/v1/methodologies/rm-try",
        headers: ["Content-Type": "application/json", "If-Match": shadow.headers["etag"]!],
        body: Data(#"{"status":"active"}"#.utf8))
      #expect(fresh.status == 200)
      let statuses = try await instance.client.get("/v1/methodologies").json["items"].array
      #expect(statuses.map { $0["status"].string } == ["shadow", "active"])
      #expect(try await step("retired", "rm-1") == 200)
      #expect(try await step("active", "rm-1") == 409)
      #expect(try await step("shadow", "rm-1") == 200)
    }
  }

  @Test func aShadowsCellsHoldWhatIsPostedAndVoidedMeanwhile() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    _ = try await first.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    try await VerificationTests.post(300, from: 90_000, to: first.client)
    _ = try await first.client.post("/v1/methodologies", Self.lenient)
    let page = try await first.client.get("/v1/providers/acme/probe-results?outcome=fail&limit=40")
    let voids = page.json["items"].array.map { $0["id"].string! }
    try await eventually { try await second.client.get("/v1/methodologies/rm-try").status == 200 }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (lane, instance) in [first, second, first, second].enumerated() {
        group.addTask {
          for round in 0..<20 {
            try await VerificationTests.post(20, from: lane * 10_000 + round * 20, to: instance.client)
          }
        }
      }
      group.addTask {
        for id in voids {
          let answer = try await second.client.post("/v1/probe-results/\(id)/void", #"{"reason":"x"}"#)
          #expect(answer.status == 200)
        }
      }
      group.addTask {
        for _ in 0..<3 {
          for status in ["shadow", "retired", "shadow"] {
            let answer = try await Self.become(status, "rm-try", in: first)
            #expect(answer.status == 200, "\(answer.text)")
            let (_, found) = try await VerificationTests.verify(second)
            #expect(found.isEmpty, "\(found.prefix(3))")
          }
        }
      }
      try await group.waitForAll()
    }
    let (summary, found) = try await VerificationTests.verify(second)
    #expect(found.isEmpty, "\(found.prefix(3))")
    #expect(summary.scores == 2 && summary.results > 1_000)
    // From the cells of either instance, and from the results.
    let path = "/v1/providers/acme/score?detail=full&methodology=rm-try"
    try await eventually { try await first.client.get(path).body == second.client.get(path).body }
    let live = try await second.client.get(path).json
    let past = try await first.client.get("\(path)&as_of=\(live["evaluated_at"].string!)").json
    expectNear(live["checks"], past["checks"], "from the cells")
    for instance in [first, second] { await instance.stop() }
  }

  @Test func activationSwitchesEveryInstanceAndBackGivesTheSameBytes() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name, clock: clock.clock)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    _ = try await first.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
    let second = try await TestInstance.start(on: name, clock: clock.clock, adminKey: first.adminKey)
    for (number, check) in VerificationTests.checks.enumerated() {
      let posted = try await first.client.post(
        "/v1/probe-results",
        object: Posting.result(
          check: check, ["source": "lab", "external_id": "\(number)", "observed_at": "2026-11-2\(number)T07:00:00Z"]))
      #expect(posted.status == 201)
    }
    func score(_ instance: TestInstance, _ query: String = "") async throws -> Answer {
      try await instance.client.get("/v1/providers/acme/score?detail=full\(query)")
    }
    // What lists and lookups show follows at once.
    func shown(_ instance: TestInstance) async throws -> [Double?] {
      let list = try await instance.client.get("/v1/scores").json["items"][0]
      let lookup = try await instance.client.get("/v1/lookup?host=acme.example").json
      return [list["provisional_score"].double, list["score"].double, lookup["score"].double]
    }
    let original = try await score(first)
    #expect(try await shown(first) == [original.json["provisional_score"].double, nil, nil])
    try await eventually { try await score(second).body == original.body }
    _ = try await first.client.post("/v1/methodologies", Self.lenient)
    let draft = try await score(first, "&methodology=rm-try")
    #expect(draft.json["methodology"].string == "rm-try")
    #expect(try await Self.become("shadow", "rm-try", in: first).status == 200)
    let shadow = try await score(first, "&methodology=rm-try")
    expectNear(shadow.json, draft.json, "a draft from its results and a shadow from its cells")
    #expect(try await score(first).body == original.body)

    #expect(try await Self.become("active", "rm-try", in: first).status == 200)
    #expect(try await score(first).body == shadow.body)
    let expected = [shadow.json["provisional_score"].double, shadow.json["score"].double, shadow.json["score"].double]
    #expect(try await shown(first) == expected && expected[1] != nil)
    try await eventually { try await score(second).body == shadow.body }
    #expect(try await score(second, "&methodology=rm-1").body == original.body)
    #expect(try await Self.become("active", "rm-1", in: second).status == 200)
    #expect(try await score(second).body == original.body)
    #expect(try await shown(second) == [original.json["provisional_score"].double, nil, nil])
    try await eventually { try await score(first).body == original.body }
    #expect(try await score(first, "&methodology=none").json.pointers == ["?methodology"])
    for instance in [first, second] { await instance.stop() }
  }

  @Test func theComparisonListsExactlyWhomTheChangeWouldTouch() async throws {
    try await withInstance { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
      var differing: Set<String> = []
      for number in 0..<12 {
        let slug = "relay-\(number)"
        _ = try await instance.client.post(
          "/v1/providers", object: ["slug": slug, "name": slug, "hosts": ["\(slug).example"]])
        // What one result says is enough under the one and not under the other.
        if number % 3 == 0 { continue }
        let posted = try await instance.client.post(
          "/v1/probe-results",
          object: Posting.result(
            outcome: number % 3 == 1 ? "fail" : "error", ["provider": slug, "source": "lab"]))
        #expect(posted.status == 201)
        if number % 3 == 1 { differing.insert(slug) }
      }
      _ = try await instance.client.post("/v1/methodologies", Self.lenient)
      func compared() async throws -> [TestHarness.JSON] {
        var items: [TestHarness.JSON] = []
        var cursor = ""
        while true {
          let page = try await instance.client.get("/v1/methodologies/rm-1/compare/rm-try?limit=3\(cursor)")
          #expect(page.status == 200 && page.json["items"].array.count <= 3, "\(page.text)")
          items += page.json["items"].array
          guard let next = page.json["next_cursor"].string else { return items }
          cursor = "&cursor=\(next)"
        }
      }
      for status in ["draft", "shadow", "retired"] {
        if status != "draft" {
          #expect(try await Self.become(status, "rm-try", in: instance).status == 200)
        }
        let items = try await compared()
        #expect(Set(items.map { $0["provider"]["slug"].string! }) == differing && items.count == differing.count)
        for item in items {
          let slug = item["provider"]["slug"].string!
          for (side, id) in [("a", "rm-1"), ("b", "rm-try")] {
            let score = try await instance.client.get("/v1/providers/\(slug)/score?methodology=\(id)").json
            #expect(item[side]["verdict"].string == score["verdict"].string)
            #expect(item[side]["grade"].string == score["grade"].string)
            #expect(item[side]["methodology"].string == id)
          }
        }
      }
      #expect(try await instance.client.get("/v1/methodologies/rm-1/compare/rm-9").status == 404)
      let same = try await instance.client.get("/v1/methodologies/rm-1/compare/rm-1")
      #expect(same.json["items"].array.isEmpty && same.json["next_cursor"].isNull)
      let wrong = try await instance.client.get("/v1/methodologies/rm-1/compare/rm-1?cursor=zz")
      #expect(wrong.json.pointers == ["?cursor"])
    }
  }
}
