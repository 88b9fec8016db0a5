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
        ("verdict=allow", ["?verdict"]),
      ] {
        let answer = try await instance.client.get("/v1/providers?\(query)")
        #expect(answer.status == 422, "\(query)")
        #expect(answer.json.pointers == pointers, "\(query)")
      }
      let nul = try await instance.client.get("/v1/providers?q=a%00b")
      #expect([400, 422].contains(nul.status))
    }
  }
}
