import HTTPServer
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ProviderListTests {
  private func slugs(_ instance: TestInstance, _ query: String) async throws -> [String?] {
    try await instance.client.get("/v1/providers?\(query)").json["items"].array.map(\.["slug"].string)
  }

  @Test func listsAreNarrowedByStatusTagAndText() async throws {
    try await withInstance { instance in
      for body in [
        #"{"slug":"alpha","name":"Älpha Relay","hosts":["one.example","x.alpha.example"],"tags":["pilot","eu"]}"#,
        #"{"slug":"beta","name":"100% Relay","hosts":["two.example"],"tags":["pilot"]}"#,
        #"{"slug":"gamma","name":"G_a","hosts":["three.example"],"tags":["Pilot"]}"#,
        #"{"slug":"delta","name":"中转站","hosts":["alphabet.example"]}"#,
      ] {
        #expect(try await instance.client.post("/v1/providers", body).status == 201)
      }
      _ = try await instance.client.patch("/v1/providers/beta", #"{"status":"active"}"#)
      _ = try await instance.client.patch("/v1/providers/gamma", #"{"status":"retired"}"#)
      let table: [(String, [String])] = [
        ("tag=pilot", ["alpha", "beta"]),
        ("tag=pilo", []),
        ("tag=Pilot", []),
        ("tag=Pilot&status=retired", ["gamma"]),
        ("status=active", ["beta"]),
        ("q=ALPHA", ["alpha", "delta"]),
        ("q=%C3%A4LPHA", ["alpha"]),
        ("q=relay", ["alpha", "beta"]),
        ("q=Two.Ex", ["beta"]),
        // No pattern characters: they stand for themselves.
        ("q=%25", ["beta"]),
        ("q=_", []),
        ("q=%E4%B8%AD%E8%BD%AC", ["delta"]),
        ("q=relay&tag=eu&status=pending", ["alpha"]),
        ("q=nothing", []),
      ]
      for (query, expected) in table { #expect(try await slugs(instance, query) == expected, "\(query)") }
      let first = try await instance.client.get("/v1/providers?q=relay&limit=1")
      let next = try #require(first.json["next_cursor"].string)
      #expect(first.headers["link"] == "</v1/providers?q=relay&limit=1&cursor=\(next)>; rel=\"next\"")
      #expect(try await slugs(instance, "q=relay&limit=1&cursor=\(next)") == ["beta"])
    }
  }

  @Test func everyFaultOfAFilterIsNamed() async throws {
    try await withInstance { instance in
      for (query, pointers) in [
        ("status=gone&tag=&q=", ["?status", "?tag", "?q"]),
        ("q=\(String(repeating: "x", count: 201))", ["?q"]),
        ("tag=\(String(repeating: "x", count: 65))", ["?tag"]),
        ("tag=a&tag=b", ["?tag"]),
        ("status=gone&verdict=safe&limit=0&cursor=x", ["?status", "?verdict", "?limit", "?cursor"]),
      ] {
        let answer = try await instance.client.get("/v1/providers?\(query)")
        #expect(answer.status == 422, "\(query)")
        #expect(answer.json.pointers == pointers, "\(query)")
      }
      let nul = try await instance.client.get("/v1/providers?q=a%00b")
      #expect([400, 422].contains(nul.status))
    }
  }

  @Test func listsAreNarrowedByVerdict() async throws {
    try await withInstance { instance in
      for slug in ["alpha", "beta", "gamma"] {
        let body = #"{"slug":"\#(slug)","name":"\#(slug)","hosts":["\#(slug).example"]}"#
        #expect(try await instance.client.post("/v1/providers", body).status == 201)
      }
      #expect(try await slugs(instance, "verdict=unknown") == ["alpha", "beta", "gamma"])
      #expect(try await slugs(instance, "verdict=block") == [])
      // A concern that is declared broken blocks.
      let incident = #"{"concern":"encryption","summary":"S"}"#
      let opened = try await instance.client.post("/v1/providers/beta/incidents", incident)
      #expect(opened.status == 201)
      #expect(try await instance.client.get("/v1/providers/beta/score").json["verdict"].string == "block")
      #expect(try await slugs(instance, "verdict=block") == ["beta"])
      #expect(try await slugs(instance, "verdict=unknown&q=a&limit=1") == ["alpha"])
      #expect(try await slugs(instance, "verdict=block&status=retired") == [])
    }
  }

  @Test func pagesGoThroughEveryProviderOnceWhileOthersComeAndGo() async throws {
    try await withInstance { instance in
      // More than are taken from memory at a time.
      let count = 2 * Registry.runCount + 7
      let lines = (0..<count).map { #"{"slug":"p\#($0)","name":"P","hosts":["p\#($0).example"]}"# }
      let sent = try await instance.client.send(
        "POST", "/v1/providers/import", headers: ["Content-Type": "application/x-ndjson"],
        body: .init(lines.joined(separator: "\n").utf8))
      #expect(sent.json["accepted"].integer == count)
      var seen: [String] = []
      var target = "/v1/providers?limit=100"
      while true {
        let page = try await instance.client.get(target).json
        seen += page["items"].array.compactMap { $0["slug"].string }
        guard let next = page["next_cursor"].string else { break }
        // One goes that was shown, and one comes before what was shown: neither moves what follows.
        if seen.count == 100 {
          _ = try await instance.client.patch("/v1/providers/\(seen[0])", #"{"slug":"a"}"#)
          _ = try await instance.client.post("/v1/providers", #"{"slug":"b","name":"B","hosts":["b.example"]}"#)
        }
        target = "/v1/providers?limit=100&cursor=\(next)"
      }
      #expect(seen == (0..<count).map { "p\($0)" }.sorted())
      #expect(try await slugs(instance, "q=P\(count - 1)") == ["p\(count - 1)"])
      let export = try await instance.client.get("/v1/providers/export").text.split(separator: "\n")
      #expect(export.count == count + 1)
    }
  }

  @Test func slugsStayInOrderWhateverComesAndGoes() {
    var generator = SystemRandomNumberGenerator()
    var ordered = OrderedSlugs()
    var oracle: Set<String> = []
    for _ in 0..<6_000 {
      let slug = String(Int.random(in: 0..<3_000, using: &generator))
      if Int.random(in: 0..<3, using: &generator) == 0 {
        ordered.remove(slug)
        oracle.remove(slug)
      } else {
        ordered.insert(slug)
        oracle.insert(slug)
      }
    }
    let sorted = oracle.sorted()
    #expect(ordered.slugs(after: nil, countMax: 10_000) == sorted)
    for after in ["", "0", "1500", sorted[700], "2", "9999"] {
      #expect(ordered.slugs(after: after, countMax: 600) == Array(sorted.filter { $0 > after }.prefix(600)), "\(after)")
    }
    for slug in sorted { ordered.remove(slug) }
    #expect(ordered.slugs(after: nil, countMax: 1) == [])
  }

  /// A page looks through a bounded number of providers; what few pass is found all the same, further on.
  @Test func whatFewPassIsFoundInBoundedSteps() async throws {
    try await withInstance { instance in
      let lines = (100..<700).map { #"{"slug":"p-\#($0)","name":"P","hosts":["p-\#($0).example"]}"# }
      let imported = try await instance.client.post(
        "/v1/providers/import", lines.joined(separator: "\n"), headers: ["Content-Type": "application/x-ndjson"])
      #expect(imported.json["accepted"].integer == 600)
      let routes = ProviderRoutes(service: instance.service)
      var query = QueryFields(try Parameters([QueryItem(name: "q", value: "p-69")], known: ["q"]))
      let filter = ProviderFilter(&query)
      var (found, steps, after) = ([String](), 0, nil as String?)
      repeat {
        let step = await routes.providers(filter, after: after, count: 20, runsCountMax: 1)
        found += step.found.map(\.slug.text)
        steps += 1
        after = step.end?.text
      } while after != nil
      #expect(steps == 3)
      #expect(found == (690..<700).map { "p-\($0)" })
    }
  }
}
