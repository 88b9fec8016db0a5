import Foundation
import HTTPServer
import TestHarness
import Testing

@testable import Service

@Suite(.serialized) struct OperationsTests {
  @Test func healthReadinessAndTheContractAreOpen() async throws {
    try await withInstance { instance in
      let open = instance.client.with(key: nil)
      #expect(try await open.get("/healthz").status == 200)
      let ready = try await open.get("/readyz")
      #expect(ready.status == 200)
      #expect(ready.json.keys == ["status", "writes", "evidence_as_of"])
      #expect(ready.json["status"].string == "ready" && ready.json["writes"].bool == true)
      #expect(try await open.get("/readyz?writes").status == 200)
      let contract = try await open.get("/openapi.yaml")
      #expect(contract.headers["content-type"] == "application/yaml")
      #expect(contract.text.hasPrefix("openapi: 3.1"))
      let again = try await open.get("/openapi.yaml", headers: ["If-None-Match": contract.headers["etag"]!])
      #expect(again.status == 304)
    }
  }

  @Test func everyKindOfProblemIsExplainedUnderItsType() async throws {
    try await withInstance { instance in
      for kind in Problem.Kind.served {
        let answer = try await instance.client.with(key: nil).get("/problems/\(kind.code)")
        #expect(answer.status == 200)
        #expect(answer.json["status"].integer == kind.status)
        #expect(answer.json["explanation"].string?.isEmpty == false)
      }
      #expect(Set(Problem.Kind.served.map(\.code)).count == Problem.Kind.served.count)
      #expect(try await instance.client.get("/problems/none").status == 404)
    }
  }

  @Test func beforeEverythingIsLoadedOnlyOperationsAnswer() async throws {
    let postgres = try await TestPostgres.shared.value
    let name = try await postgres.makeDatabase()
    try await postgres.onDatabase(name) { database in
      let service = try RiskService(database: database, reader: .init(name: "unused"), logger: quietLogger)
      let server = Server(
        router: try service.router(), listen: ListenAddress(host: "127.0.0.1", port: 0), loops: 1,
        logger: quietLogger, problem: RiskService.problem)
      let client = APIClient(base: "http://\(try server.start())", key: "x")
      let starting = try await client.get("/readyz")
      #expect(starting.status == 503 && starting.json["status"].string == "starting")
      #expect(try await client.get("/healthz").status == 200)
      let refused = try await client.get("/v1/providers/acme/score")
      #expect(refused.status == 503 && refused.headers["retry-after"] != nil)
      await server.stop()
    }
  }

  @Test func aRequestIdOfTheClientsComesBack() async throws {
    try await withInstance { instance in
      let id = "0195b2f0-0000-7000-8000-000000000001"
      let good = try await instance.client.get("/v1/concerns", headers: ["X-Request-Id": id])
      #expect(good.headers["x-request-id"] == id)
      let bad = try await instance.client.get("/v1/concerns?x=1", headers: ["X-Request-Id": id.uppercased()])
      #expect(bad.json["instance"].string == "urn:uuid:\(id)")
      #expect(try await instance.client.get("/v1/concerns").headers["x-request-id"] == nil)
    }
  }

  @Test func headAndOptionsAreAnsweredForEveryRoute() async throws {
    try await withInstance { instance in
      let head = try await instance.client.send("HEAD", "/v1/concerns")
      #expect(head.status == 200 && head.body.isEmpty)
      let options = try await instance.client.send("OPTIONS", "/v1/providers")
      #expect(options.status == 204)
      #expect(options.headers["allow"] == "GET, HEAD, POST, OPTIONS")
      let wrong = try await instance.client.send("PUT", "/v1/providers")
      #expect(wrong.status == 405 && wrong.headers["allow"] == "GET, HEAD, POST, OPTIONS")
    }
  }

  @Test func everyShippedFileIsThatOfTheRepository() throws {
    let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..").standardized
    let shipped = ShippedFiles.all()
    #expect(shipped.count >= 6)
    for file in shipped {
      #expect(try Data(contentsOf: top.appendingPathComponent(file.path)) == Data(file.bytes), "\(file.path)")
    }
    let migrations = try FileManager.default.contentsOfDirectory(atPath: top.appendingPathComponent("migrations").path)
    #expect(Set(migrations.map { "migrations/\($0)" }).isSubset(of: Set(shipped.map(\.path))))
    #expect(ShippedFiles.migrations.map(\.version) == Array(1...migrations.count))
  }
}
