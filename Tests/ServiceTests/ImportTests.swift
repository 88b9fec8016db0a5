import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ImportTests {
  private func fixture(_ name: String) throws -> Data {
    try Data(
      contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/testssl/\(name)"))
  }

  private func send(_ data: Data, _ client: APIClient, query: String = "") async throws -> Answer {
    try await client.send(
      "POST", "/v1/probe-results/import?format=testssl&provider=acme\(query)",
      headers: ["Content-Type": "application/json"], body: data)
  }

  @Test(arguments: ["real-weak-flat.json", "real-weak-pretty.json"])
  func aWeakServersReportRaisesTheScoreOnce(name: String) async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let before = try await instance.client.get("/v1/providers/acme/score").json["provisional_score"].double!
      let report = try fixture(name)
      let first = try await send(report, scanner, query: "&target=acme.example")
      #expect(first.status == 200)
      #expect(first.json["accepted"].integer == 6)
      #expect(first.json["rejected"].integer == 0)
      let outcomes = Dictionary(
        uniqueKeysWithValues: first.json["results"].array.map { ($0["check"].string!, $0["outcome"].string!) })
      #expect(outcomes["encryption.legacy-tls-protocol"] == "fail")
      #expect(outcomes["encryption.known-tls-vulnerability"] == "pass")
      let after = try await instance.client.get("/v1/providers/acme/score").json
      #expect(after["provisional_score"].double! > before + 10)

      let second = try await send(report, scanner, query: "&target=acme.example")
      #expect(second.json["duplicates"].integer == 6)
      #expect(second.json["accepted"].integer == 0)

      let id = first.json["results"][0]["id"].string!
      let stored = try await instance.client.get("/v1/probe-results/\(id)").json
      #expect(stored["scanner"]["name"].string == "testssl.sh")
      #expect(stored["evidence"]["findings"][0]["id"].string?.isEmpty == false)
      #expect(stored["external_id"].string?.hasPrefix("testssl:") == true)
    }
  }

  @Test func aForeignTargetIsTakenWithAWarningAndNothingOfAPlainPortPasses() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let answer = try await send(try fixture("real-plainhttp-flat.json"), scanner)
      #expect(answer.status == 200)
      #expect(answer.json["warnings"].array.count == 1)
      #expect(answer.json["warnings"][0].string?.contains("is not a host of acme") == true)
      #expect(!answer.json["results"].array.contains { $0["outcome"].string == "pass" })
    }
  }

  @Test func aCutReportIsRefusedWithTheByteAndStoresNothing() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let cut = try fixture("real33dev-killed-truncated.json")
      let answer = try await send(cut, scanner)
      #expect(answer.status == 400)
      #expect(answer.json["detail"].string?.contains("\(cut.count)") == true, "\(answer.text)")
      let whole = try fixture("real-weak-flat.json")
      #expect(try await send(whole.dropLast(whole.count / 2), scanner).status == 400)
      let stored = try await instance.database.query("select count(*) from result") { try $0.next(Int.self) }
      #expect(stored == [0])
    }
  }

  @Test func everyWrongParameterIsNamed() async throws {
    try await withRegisteredRelay { instance in
      let answer = try await instance.client.send(
        "POST", "/v1/probe-results/import?format=nessus&provider=none&observed_at=x&target=a%20b",
        headers: ["Content-Type": "application/json"], body: Data("[]".utf8))
      #expect(answer.status == 422)
      #expect(answer.json.pointers == ["?format", "?provider", "?source", "?observed_at", "?target"])
      for body in [#"{"runs":[]}"#, "[1]", "[]"] {
        let other = try await send(Data(body.utf8), instance.client, query: "&source=lab")
        #expect(other.status == 422, "\(body)")
      }
      let future = (Service.Clock.system.now() + 3_600_000).rfc3339
      #expect(
        try await send(try fixture("real-good-flat.json"), instance.client, query: "&source=lab&observed_at=\(future)")
          .status == 422)
    }
  }
}
