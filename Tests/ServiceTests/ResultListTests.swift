import Foundation
import HTTPServer
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ResultListTests {
  private func list(_ client: APIClient, _ query: String = "") async throws -> [JSON] {
    let answer = try await client.get("/v1/providers/acme/probe-results\(query)")
    #expect(answer.status == 200, "\(query): \(answer.text)")
    return answer.json["items"].array
  }

  /// How PostgreSQL would find the first page of what the query asks for, with its values.
  private func plan(_ instance: TestInstance, _ query: String) async throws -> String {
    let parameters = URLComponents(string: query)?.queryItems ?? []
    let provider = try #require(instance.service.parts.registry.provider("acme"))
    let filter = try ResultFilter(
      Parameters(parameters.map { QueryItem(name: $0.name, value: $0.value ?? "") }, known: parameters.map(\.name)),
      of: provider.id, ownSource: nil, parts: instance.service.parts)
    return try await instance.database.query("explain \(filter.query)") { try $0.next(String.self) }
      .joined(separator: "\n")
  }

  @Test func eachItemIsTheResultAsItIsReadAlone() async throws {
    try await withRegisteredRelay { instance in
      for number in 0..<3 {
        _ = try await instance.client.post(
          "/v1/probe-results",
          object: Posting.result([
            "source": "lab", "external_id": "x-\(number)", "evidence": ["n": number], "note": "note",
          ]))
      }
      let items = try await list(instance.client)
      #expect(items.map { $0["external_id"].string } == ["x-2", "x-1", "x-0"])
      for (item, number) in zip(items, [2, 1, 0]) {
        let alone = try await instance.client.get("/v1/probe-results/\(item["id"].string!)").json
        #expect(item.keys == alone.keys)
        #expect(NSDictionary(dictionary: item.value as! [String: Any]) == alone.value as? NSDictionary)
        #expect(item["evidence"]["n"].integer == number)
      }
    }
  }

  /// A page looks through a bounded number of results; what few pass is found all the same, page by page.
  @Test func whatFewPassIsFoundInBoundedPages() async throws {
    try await withRegisteredRelay { instance in
      func post(_ numbers: Range<Int>, outcome: String) async throws {
        let results = numbers.map { Posting.result(outcome: outcome, ["source": "lab", "external_id": "x-\($0)"]) }
        let answer = try await instance.client.post("/v1/probe-results", object: ["results": results])
        #expect(answer.json["accepted"].integer == numbers.count)
      }
      try await post(0..<3, outcome: "error")
      for start in stride(from: 3, to: ResultFilter.scannedCountMax + 3, by: 1_000) {
        try await post(start..<start + 1_000, outcome: "fail")
      }
      let path = "/v1/providers/acme/probe-results?outcome=error"
      let first = try await instance.client.get(path).json
      #expect(first["items"].array.isEmpty)
      let cursor = try #require(first["next_cursor"].string)
      let second = try await instance.client.get("\(path)&cursor=\(cursor)").json
      #expect(second["items"].array.map { $0["external_id"].string } == ["x-2", "x-1", "x-0"])
      #expect(second["next_cursor"].isNull)
    }
  }

  @Test func conditionsAllHold() async throws {
    let clock = TestClock("2026-10-31T23:59:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"Soc"}"#)
      func post(_ id: String, _ observed: String, _ fields: [String: Any]) async throws {
        let all = fields.merging(["external_id": id, "observed_at": observed]) { $1 }
        let answer = try await instance.client.post("/v1/probe-results", object: Posting.result(all))
        #expect(answer.status == 201, "\(answer.text)")
      }
      // Ahead of the clock by what clocks may differ.
      try await post("a", "2026-11-01T00:03:00Z", ["source": "lab", "model": "gpt-5.5", "run_id": "r1"])
      clock.advance(milliseconds: 86_400_000)
      try await post("b", "2026-11-01T10:00:00Z", ["source": "soc", "outcome": "pass"])
      try await post("c", "2026-10-01T00:00:00Z", ["source": "lab", "target": "https://API.acme.example:443/"])
      try await post("d", "2026-11-01T11:00:00Z", ["source": "lab", "check": "encryption.hsts-missing"])
      for (query, expected) in [
        ("", "dcba"), ("?source=lab", "dca"), ("?source=lab&outcome=fail&model=gpt-5.5", "a"), ("?outcome=pass", "b"),
        ("?check=encryption.hsts-missing", "d"), ("?target=api.acme.example", "c"), ("?model=", "dcb"),
        ("?model=other", ""), ("?run_id=r1", "a"), ("?run_id=r2", ""),
        ("?since=2026-11-01T00:03:00Z", "dba"), ("?since=2026-11-01T00:03:00.001Z", "db"),
        ("?until=2026-11-01T10:00:00Z", "ca"), ("?until=2099-01-01T00:00:00Z", "dcba"),
        ("?received_since=2026-11-01T23:59:00Z", "dcb"), ("?received_since=2026-11-01T23:59:01Z", ""),
        ("?since=2026-11-01T00:00:00Z&received_since=2026-10-31T00:00:00Z&until=2026-11-01T09:00:00Z", "a"),
      ] {
        let found = try await list(instance.client, query).compactMap { $0["external_id"].string }
        #expect(found.joined() == expected, "\(query)")
      }
    }
  }

  @Test func pagesAreStableWhileResultsArrive() async throws {
    try await withRegisteredRelay { instance in
      func post(_ id: String) async throws {
        let body = Posting.result(["source": "lab", "external_id": id])
        #expect(try await instance.client.post("/v1/probe-results", object: body).status == 201)
      }
      for id in ["1", "2", "3", "4", "5"] { try await post(id) }
      var target: String? = "/v1/providers/acme/probe-results?source=lab&limit=2"
      var pages: [[String?]] = []
      while let next = target {
        let answer = try await instance.client.get(next)
        pages.append(answer.json["items"].array.map { $0["external_id"].string })
        try await post("later \(pages.count)")
        target = answer.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
      }
      #expect(pages == [["5", "4"], ["3", "2"], ["1"]])
    }
  }

  @Test func aScannerSeesItsOwnSourcesResultsOnly() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"Soc"}"#)
      for source in ["lab", "soc"] {
        _ = try await instance.client.post("/v1/probe-results", object: Posting.result(["source": source]))
      }
      let lab = try await instance.key(.resultsWrite, source: "lab")
      #expect(try await list(lab).map { $0["source"].string } == ["lab"])
      #expect(try await list(lab, "?source=soc").isEmpty)
      let auditor = try await instance.key(.evidenceRead)
      #expect(try await list(auditor).map { $0["source"].string } == ["soc", "lab"])
      let both = try await instance.key(.resultsWrite, .evidenceRead, source: "lab")
      #expect(try await list(both).count == 2)
    }
  }

  @Test func everyFaultIsNamed() async throws {
    try await withRegisteredRelay { instance in
      let path = "/v1/providers/acme/probe-results"
      let wrong = try await instance.client.get(
        "\(path)?check=x&source=x&outcome=x&target=a%20b&model=\(String(repeating: "m", count: 129))&run_id=&since=x"
          + "&until=2026-11-23&received_since=&limit=501&cursor=616263")
      #expect(wrong.status == 422)
      #expect(
        wrong.json.pointers == [
          "?check", "?source", "?outcome", "?target", "?model", "?run_id", "?since", "?until", "?received_since",
          "?cursor", "?limit",
        ])
      #expect(try await instance.client.get("\(path)?voided=maybe").json.pointers == ["?voided"])
      #expect(try await instance.client.get("/v1/providers/none/probe-results").status == 404)
    }
  }

  @Test func thePlanReadsThePrimaryKeyOfThePartitionsInRangeAlone() async throws {
    let clock = TestClock("2026-10-31T12:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      let provider = try #require(instance.service.parts.registry.provider("acme"))
      let source = try #require(instance.service.parts.registry.source("lab"))
      // Two relays in turn, 4,000 results, half of them in October and half in November.
      try await instance.database.execute(
        """
        insert into result (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at,
          received_at, confidence)
        select case n % 2 when 0 then \(provider.id) else gen_random_uuid() end,
          (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000' || '8000'
            || lpad(to_hex(n), 12, '0'))::uuid,
          \(source.id), 'encryption.hsts-missing', 'fail', 'acme.example', '', at, at, at, 1
        from generate_series(1, 4000) n,
          lateral (select timestamptz '2026-11-01 00:00Z' + (n - 2000) * interval '1 minute') t (at)
        """)
      try await instance.database.execute(
        """
        insert into result_evidence (provider_id, id, body) select provider_id, id, convert_to('{"a":1}', 'UTF8')
        from result
        """)
      // Not the empty ones, which nothing analyses by itself: they count as small, not as empty, until they fill.
      try await instance.database.execute(
        "analyze result_2026_10, result_2026_11, result_evidence_2026_10, result_evidence_2026_11")
      let all = try await plan(instance, "")
      #expect(all.contains("Index Scan Backward using result_2026_10_pkey"), "\(all)")
      #expect(all.contains("Index Scan Backward using result_2026_11_pkey"), "\(all)")
      #expect(all.contains("using result_evidence_2026_10_pkey"), "\(all)")
      #expect(!all.contains("Seq Scan") && !all.contains("Sort"), "\(all)")
      // No result observed in November was received more than 5 minutes before it.
      for query in ["?since=2026-11-02T00:00:00Z&outcome=fail&model=", "?received_since=2026-11-01T00:00:00Z"] {
        let november = try await plan(instance, query)
        #expect(november.contains("result_2026_11_pkey"), "\(november)")
        #expect(!november.contains("2026_10") && !november.contains("Seq Scan"), "\(november)")
      }
      let first = try await instance.client.get("/v1/providers/acme/probe-results?limit=500")
      #expect(first.json["items"].array.count == 500)
      var target = first.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
      var count = 500
      while let next = target {
        let page = try await instance.client.get(next)
        count += page.json["items"].array.count
        target = page.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
      }
      #expect(count == 2_000)
    }
  }
}
