import Testing

@testable import HTTPServer

@Suite struct NegotiationTests {
  @Test func acceptDecidesBeforeTheBodyAndAfterTheAdmission() async throws {
    let handled = Collected<String>()
    let route = Route(.post, "/x", contentTypes: ["application/json"], produces: ["application/json"]) { head in
      if head.headers["Authorization"] == nil { return .refuse(Problem(.notFound, "who are you?")) }
      return .direct { request in
        handled.append(String(decoding: request.body, as: UTF8.self))
        return .json([0x7b, 0x7d])
      }
    }
    try await TestServer.run([route]) { server in
      let client = try server.client()
      let refused = try client.exchange("POST", "/x", ["Accept: text/html", "Authorization: k"], body: "1")
      #expect(refused.status == 406 && refused["Content-Type"] == "application/problem+json")
      #expect(refused.body.contains("/problems/not-acceptable") && refused.body.contains("application/json"))
      #expect(handled.values.isEmpty)
      #expect(try client.exchange("POST", "/x", ["Accept: text/html"], body: "2").status == 404)
      // A body that would be refused itself: what is acceptable is asked first.
      #expect(
        try client.post(
          "/x", ["Accept: text/html", "Authorization: k", "Content-Encoding: br"], bytes: [0]
        ).status == 406)
      #expect(try client.exchange("POST", "/x", ["Accept: */*", "Authorization: k"], body: "3").status == 200)
      #expect(handled.values == ["3"])
    }
  }

  @Test func theMostSpecificRangeDecides() {
    for (accept, isTaken) in [
      ([], true), (["*/*"], true), (["application/*"], true), (["application/json"], true),
      (["Application/JSON; charset=utf-8"], true), (["text/html, application/json;q=0.1"], true),
      (["text/html", "application/*;q=0.5"], true), (["text/html,*/*;q=0.8"], true), ([""], true), ([", ,"], true),
      (["application/json;profile=\"a,b;q=0\""], true), (["*/*;q=0, application/json"], true),
      (["text/html"], false), (["application/json;q=0"], false), (["application/json;q=0, */*"], false),
      (["application/*;q=0, */*"], false), (["*/*;q=0"], false), (["application/problem+json"], false),
      (["application/jsonx"], false), (["application/xml, text/*"], false),
    ] { #expect(MediaRanges.accept(["application/json"], accept) == isTaken, "\(accept)") }
    let types = ["application/json", "application/x-ndjson", "text/csv"]
    for (accept, preferred) in [
      ([], types[0]), (["*/*"], types[0]), (["text/csv"], types[2]), (["text/*, application/json;q=0.9"], types[2]),
      (["text/csv", "application/x-ndjson"], types[1]), (["text/csv;q=0.2, application/*;q=0.1"], types[2]),
      (["application/x-ndjson, */*;q=0.1"], types[1]), (["application/json;q=0, */*"], types[1]),
      (["text/html, */*;q=0.8"], types[0]), (["text/html"], nil), (["text/csv;q=0"], nil),
    ] as [([String], String?)] { #expect(MediaRanges.preferred(types, accept) == preferred, "\(accept)") }
  }

  @Test func aLanguageIsLookedUp() {
    for (accept, language) in [
      ([], .english), (["zh"], .chinese), (["zh-CN"], .chinese), (["ZH-hans-CN"], .chinese), (["zh-TW"], .chinese),
      (["en"], .english), (["en-GB, zh;q=0.9"], .english), (["zh;q=0.9, en-GB"], .english),
      (["en;q=0.5, zh;q=0.6"], .chinese), (["en;q=0.5", "zh-CN;q=0.5"], .english), (["fr, zh;q=0.2"], .chinese),
      (["fr"], .english), (["*"], .english), (["*, zh;q=0.1"], .chinese), (["zh;q=0"], .english),
      (["en;q=0, zh;q=0.001"], .chinese), (["zhx"], .english), (["zh;q=7"], .english), ([""], .english),
    ] as [([String], Language)] { #expect(Language(acceptedBy: accept) == language, "\(accept)") }
  }

  @Test func aTraceOfTheCallerIsKeptWhenItIsValid() async throws {
    let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    let later = valid.replacing("00-4", with: "cc-4") + "-more"
    try await TestServer.run([.hello]) { server in
      let client = try server.client()
      let sent = [
        valid, later, valid + "-more", valid.uppercased(), valid.replacing("00-4", with: "ff-4"), "",
        valid.replacing("4bf92f3577b34da6a3ce929d0e0e4736", with: String(repeating: "0", count: 32)),
        valid.replacing("00f067aa0ba902b7", with: "0000000000000000"), valid.replacing("-01", with: "-1"),
      ]
      for trace in sent { _ = try client.exchange("GET", "/hello", ["traceparent: \(trace)"]) }
      _ = try client.exchange("GET", "/hello", ["traceparent: \(valid)", "traceparent: \(valid)"])
      #expect(eventually { server.summaries.values.count == sent.count + 1 })
      #expect(server.summaries.values.map(\.traceParent) == [valid, later] + Array(repeating: nil, count: 8))
    }
  }
}
