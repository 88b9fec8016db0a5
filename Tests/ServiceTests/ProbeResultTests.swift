import Foundation
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct ProbeResultTests {
  @Test func oneResultIsStoredAnsweredAndReadBack() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let body: [String: Any] = Posting.result([
        "target": "https://API.acme.example:443/", "model": "gpt-5.5", "confidence": 0.9, "external_id": "x-1",
        "run_id": "r-1", "vantage": ["country": "SG", "asn": 64500], "scanner": ["name": "own", "version": "1.0"],
        "note": "seen twice", "evidence": ["b": [1, 2.5, "é"], "a": NSNull()],
      ])
      let created = try await scanner.post("/v1/probe-results", object: body)
      #expect(created.status == 201)
      let stored = created.json
      #expect(stored["provider"].string == "acme")
      #expect(stored["source"].string == "lab")
      #expect(stored["target"].string == "api.acme.example")
      #expect(stored["evidence"]["b"][1].double == 2.5)
      #expect(created.headers["location"] == "/v1/probe-results/\(stored["id"].string!)")
      let read = try await scanner.get(created.headers["location"]!)
      #expect(read.body == created.body)
      #expect(read.headers["etag"] == created.headers["etag"])
      let again = try await scanner.get(created.headers["location"]!, headers: ["If-None-Match": read.headers["etag"]!])
      #expect(again.status == 304)
      #expect(again.body.isEmpty)
    }
  }

  @Test func aVantageThatSaysNothingIsNone() async throws {
    try await withRegisteredRelay { instance in
      let body = Posting.result(["source": "lab", "vantage": [String: Any]()])
      let created = try await instance.client.post("/v1/probe-results", object: body)
      let read = try await instance.client.get(created.headers["location"]!)
      #expect(created.status == 201)
      #expect(read.body == created.body)
      let without = try await instance.client.post(
        "/v1/probe-results", object: body.filter { $0.key != "vantage" })
      #expect(without.status == 200)
    }
  }

  @Test func theSameAgainIsTheOneStoredBeforeAndOtherContentAConflict() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"Soc","trust":1}"#)
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let body = Posting.result(["evidence": ["a": 1.0, "b": 2]])
      let first = try await scanner.post("/v1/probe-results", object: body)
      #expect(first.status == 201)
      let observed = body["observed_at"] as! String
      // The same said otherwise: by host, with the defaults written out, members in another order, another offset.
      let same = """
        {"evidence":{"b":2.0,"a":1},"observed_at":"\(observed.dropLast())+00:00","outcome":"fail","confidence":1.0,
         "check":"encryption.legacy-tls-protocol","target":"https://acme.example/","provider":"api.acme.example"}
        """
      let second = try await scanner.post("/v1/probe-results", same)
      #expect(second.status == 200)
      #expect(second.body == first.body)

      for change: [String: Any] in [
        ["outcome": "pass"], ["confidence": 0.5], ["note": "x"], ["evidence": ["a": 1.0, "b": 3]],
        ["scanner": ["name": "s"]], ["vantage": ["country": "SG"]], ["evidence": NSNull()],
      ] {
        let answer = try await scanner.post("/v1/probe-results", object: body.merging(change) { $1 })
        #expect(answer.status == 409, "\(change)")
        #expect(answer.json["detail"].string?.contains(first.json["id"].string!) == true)
      }
      for other: [String: Any] in [
        ["target": "acme.example:8443"], ["model": "gpt-5.5"], ["run_id": "2"], ["external_id": "2"],
        ["check": "encryption.hsts-missing"],
      ] {
        let answer = try await scanner.post("/v1/probe-results", object: body.merging(other) { $1 })
        #expect(answer.status == 201, "\(other)")
      }
      // Another source is another witness.
      let other = try await instance.key(.resultsWrite, source: "soc")
      #expect(try await other.post("/v1/probe-results", object: body).status == 201)
      #expect(try await other.get(first.headers["location"]!).status == 404)
      #expect(try await instance.client.get(first.headers["location"]!).status == 200)
    }
  }

  @Test func everyWrongFieldIsNamedAndNothingIsStored() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let future = (Service.Clock.system.now() + 6 * 60_000).rfc3339
      let table: [([String: Any?], [String])] = [
        (["provider": "nobody"], ["/provider"]), (["provider": nil], ["/provider"]), (["provider": 5], ["/provider"]),
        (["check": "no.such"], ["/check"]), (["outcome": "maybe"], ["/outcome"]),
        (["observed_at": future], ["/observed_at"]), (["observed_at": "1999-12-31T23:59:59Z"], ["/observed_at"]),
        (["observed_at": "yesterday"], ["/observed_at"]), (["observed_at": nil], ["/observed_at"]),
        (["confidence": 0], ["/confidence"]), (["confidence": 1.1], ["/confidence"]),
        (["confidence": "1"], ["/confidence"]),
        (["target": "a b"], ["/target"]), (["target": "ftp://a.example"], ["/target"]),
        (["target": "https://user:pw@a.example"], ["/target"]),
        (["model": String(repeating: "é", count: 65)], ["/model"]), (["model": ""], ["/model"]),
        (["external_id": String(repeating: "x", count: 201)], ["/external_id"]),
        (["vantage": ["country": "ZZ", "asn": -1, "x": 1]], ["/vantage/country", "/vantage/asn", "/vantage/x"]),
        (["scanner": ["version": "1"]], ["/scanner/name"]), (["evidence": [1]], ["/evidence"]),
        (["evidence": ["x": String(repeating: "y", count: 65 * 1024)]], ["/evidence"]),
        (["evidence": ["x": "\u{0}"]], ["/evidence/x"]), (["source": "soc"], ["/source"]),
        (["surprise": 1], ["/surprise"]),
        (["check": "no", "outcome": 1, "target": "::x", "zz": 0], ["/check", "/outcome", "/target", "/zz"]),
      ]
      for (fields, pointers) in table {
        let answer = try await scanner.post("/v1/probe-results", object: Posting.result(fields))
        #expect(answer.status == 422, "\(fields): \(answer.text)")
        #expect(answer.json.pointers.sorted() == pointers.sorted(), "\(fields): \(answer.text)")
      }
      let stored = try await instance.database.query(
        "select (select count(*) from result) + (select count(*) from result_identity)"
      ) { try $0.next(Int.self) }
      #expect(stored == [0])
    }
  }

  @Test func bodiesThatAreNoJSONAreRefusedWithTheByte() async throws {
    try await withRegisteredRelay { instance in
      let table: [([UInt8], Int, String)] = [
        (Array(#"{"provider":"acme","check":"enc"#.utf8), 400, "malformed-json"),
        (Array(#"{"provider":"acme","note":""#.utf8) + [0xFF] + Array(#""}"#.utf8), 400, "malformed-json"),
        (
          Array((String(repeating: #"{"a":"#, count: 40) + "1" + String(repeating: "}", count: 40)).utf8), 400,
          "malformed-json"
        ),
        (Array(#"{"note":"\ud800"}"#.utf8), 400, "malformed-json"), ([], 400, "malformed-json"),
        (Array(#"{"check":"a","check":"b"}"#.utf8), 422, "invalid-request"),
        (Array(#"{"confidence":1e999}"#.utf8), 422, "invalid-request"),
        (Array("\"x\"".utf8), 422, "invalid-request"),
        (Array((#"{"note":""# + String(repeating: " ", count: 130 * 1024) + "\"}").utf8), 413, "body-too-large"),
      ]
      for (body, status, code) in table {
        let answer = try await instance.client.send(
          "POST", "/v1/probe-results", headers: ["Content-Type": "application/json"], body: Data(body))
        #expect(answer.status == status, "\(String(decoding: body.prefix(60), as: UTF8.self))")
        #expect(answer.json["type"].string == "/problems/\(code)")
        #expect(answer.headers["content-type"] == "application/problem+json")
        #expect(answer.json["instance"].string == "urn:uuid:\(answer.headers["x-request-id"] ?? "")")
      }
      let truncated = try await instance.client.post("/v1/probe-results", #"{"provider":"acme","ch"#)
      #expect(truncated.json["detail"].string?.contains("byte 22") == true)
      let wrongType = try await instance.client.send(
        "POST", "/v1/probe-results", headers: ["Content-Type": "text/plain"], body: Data("{}".utf8))
      #expect(wrongType.status == 415)
    }
  }

  @Test func ofManyAWrongOneIsRejectedAlone() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let good = Posting.result(["external_id": "1"])
      let body: [String: Any] = [
        "results": [
          good, Posting.result(["external_id": "2", "check": "no.such", "confidence": 0]), good,
          good.merging(["note": "other"]) { $1 }, 5, Posting.result(["external_id": "3"]),
        ]
      ]
      let answer = try await scanner.post("/v1/probe-results", object: body)
      #expect(answer.status == 200)
      #expect(answer.json["accepted"].integer == 2)
      #expect(answer.json["duplicates"].integer == 1)
      #expect(answer.json["rejected"].integer == 3)
      let results = answer.json["results"].array
      #expect(results.map { $0["index"].integer } == [0, 1, 2, 3, 4, 5])
      #expect(
        results.map { $0["status"].string }
          == ["accepted", "rejected", "duplicate", "rejected", "rejected", "accepted"])
      #expect(results[2]["id"].string == results[0]["id"].string)
      #expect(results[1]["problem"].pointers == ["/check", "/confidence"])
      #expect(results[3]["problem"]["status"].integer == 409)
      #expect(results[0]["problem"].isNull)

      let again = try await scanner.post("/v1/probe-results", object: body)
      #expect(again.json["duplicates"].integer == 3)
      #expect(again.json["accepted"].integer == 0)
    }
  }

  @Test func anAtomicBatchIsStoredWholeOrNotAtAll() async throws {
    try await withRegisteredRelay { instance in
      let scanner = try await instance.key(.resultsWrite, source: "lab")
      let first = Posting.result(["external_id": "1"])
      let invalid: [String: Any] = ["results": [first, Posting.result(["confidence": 2])]]
      let refused = try await scanner.post("/v1/probe-results?atomic=true", object: invalid)
      #expect(refused.status == 200)
      #expect(refused.json["rejected"].integer == 2)
      #expect(try await scanner.post("/v1/probe-results", object: first).status == 201)
      let conflicting: [String: Any] = [
        "results": [Posting.result(["external_id": "2"]), first.merging(["note": "x"]) { $1 }]
      ]
      let rolledBack = try await scanner.post("/v1/probe-results?atomic=true", object: conflicting)
      #expect(rolledBack.json["accepted"].integer == 0)
      #expect(rolledBack.json["rejected"].integer == 2)
      let stored = try await instance.database.query("select count(*) from result") { try $0.next(Int.self) }
      #expect(stored == [1])
      #expect(try await scanner.post("/v1/probe-results?atomic=true", object: first).status == 422)
      #expect(try await scanner.post("/v1/probe-results?atomic=1", object: ["results": []]).status == 422)
    }
  }

  @Test func batchesHaveTheirLimit() async throws {
    try await withRegisteredRelay { instance in
      let body = #"{"results":["# + Array(repeating: "1", count: 1_001).joined(separator: ",") + "]}"
      let answer = try await instance.client.post("/v1/probe-results", body)
      #expect(answer.status == 422)
      #expect(answer.json.pointers == ["/results"])
      #expect(try await instance.client.post("/v1/probe-results", #"{"results":[],"x":1}"#).json.pointers == ["/x"])
      let empty = try await instance.client.post("/v1/probe-results", #"{"results":[]}"#)
      #expect(empty.json["results"].array.isEmpty && empty.status == 200)
    }
  }

  /// The reader names a hundred faults of a document; of what is behind them nobody knows whether it has any.
  @Test func whatIsBehindAHundredFaultsIsNotTakenForRight() async throws {
    try await withRegisteredRelay { instance in
      let faulty = "{\(Array(repeating: #""x":1"#, count: 102).joined(separator: ","))}"
      let twice =
        #"{"provider":"acme","source":"lab","check":"encryption.hsts-missing","outcome":"fail","#
        + #""observed_at":"2026-11-20T08:00:00Z","evidence":{"a":1,"a":2}}"#
      let answer = try await instance.client.post("/v1/probe-results", #"{"results":[\#(faulty),\#(twice)]}"#)
      #expect(answer.status == 422 && answer.json.pointers.count == 100, "\(answer.text)")
      #expect(answer.json.pointers.allSatisfy { $0 == "/results/0/x" })
      let stored = try await instance.client.get("/v1/providers/acme/probe-results")
      #expect(stored.json["items"].array.isEmpty, "\(stored.text)")
    }
  }

  @Test func aKeyBoundToNoSourceNamesOne() async throws {
    try await withRegisteredRelay { instance in
      let without = try await instance.client.post("/v1/probe-results", object: Posting.result())
      #expect(without.json.pointers == ["/source"])
      let with = try await instance.client.post("/v1/probe-results", object: Posting.result(["source": "lab"]))
      #expect(with.status == 201)
    }
  }

  @Test func simultaneousRepeatsOnTwoInstancesAreOneResultAndTheCellsAreItsFold() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    _ = try await first.client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    _ = try await first.client.post("/v1/sources", #"{"slug":"lab","name":"L"}"#)
    // The source was registered last, so the provider is there with it.
    try await eventually { try await second.client.get("/v1/sources/lab").status == 200 }
    let check = "substitution.fingerprint-distribution"
    let batches = (0..<20).map { batch in
      (0..<5).map { Posting.result(check: check, ["external_id": "\(batch)-\($0)", "source": "lab"]) }
    }
    let statuses = try await withThrowingTaskGroup(of: [String].self) { group in
      for batch in batches {
        for instance in [first, second] {
          let body = try JSONSerialization.data(withJSONObject: ["results": batch])
          group.addTask {
            let answer = try await instance.client.send(
              "POST", "/v1/probe-results", headers: ["Content-Type": "application/json"], body: body)
            return answer.json["results"].array.compactMap { $0["status"].string }
          }
        }
      }
      return try await group.reduce(into: [String]()) { $0 += $1 }
    }
    #expect(statuses.filter { $0 == "accepted" }.count == 100)
    #expect(statuses.filter { $0 == "duplicate" }.count == 100)
    // A hundred equal fails at almost one time weigh almost a hundred.
    let weights = try await first.database.query("select fail_weight from evidence_cell") { try $0.next(Double.self) }
    #expect(weights.count == 1 && abs(weights[0] - 100) < 0.01)
    try await eventually {
      let one = try await first.client.get("/v1/providers/acme/score?detail=full")
      let other = try await second.client.get("/v1/providers/acme/score?detail=full")
      return one.body == other.body
    }
    await first.stop()
    await second.stop()
  }
}
