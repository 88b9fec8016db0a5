import EventLoop
import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// PostgreSQL goes away under load and comes back: reads from memory never notice, writes are refused whole, and
/// nobody has to do anything afterwards.
@Suite(.serialized) struct OutageTests {
  /// A PostgreSQL that a test may harm.
  private struct OwnPostgres {
    let directory: String
    let configuration: DatabaseConfiguration

    init() async throws {
      directory = TemporaryDirectory.make()
      ExitCleanup.add(directory)
      configuration = DatabaseConfiguration(connectionString: try await Self.start(directory))
      let loop = EventLoop(name: "test-migrating")
      loop.start()
      let database = Database(configuration, loop: loop, logger: quietLogger)
      try await Migrator(migrations: RiskService.migrations).migrate(database)
      try await RiskService.makePartitions(in: database)
      await database.close()
      loop.stop()
    }

    /// The server outlives the object that started it.
    @discardableResult
    static func start(_ directory: String) async throws -> String {
      try await PrivateCluster(dataDirectory: directory, logger: quietLogger).start()
    }

    /// Ends all of its processes at once, as `pg_ctl stop -m immediate` does.
    func stop() throws {
      let file = try String(contentsOfFile: "\(directory)/postgres/postmaster.pid", encoding: .utf8)
      #expect(kill(try #require(pid_t(file.split(separator: "\n")[0])), SIGQUIT) == 0)
    }
  }

  /// What readers met: how many answers, and those that were not as before.
  private struct Reading {
    var count = 0
    var wrong: [String] = []
  }

  /// What became of numbered batches, each of three results that stand or fall together.
  private struct Writing {
    var batches = 0
    var refused = 0
    var wrong: [String] = []
  }

  @Test(.timeLimit(.minutes(60))) func readsGoOnAndNothingIsHalfWritten() async throws {
    let postgres = try await OwnPostgres()
    let instance = try await TestInstance.start(on: postgres.configuration)
    try await registerRelay(with: instance.client)
    let probe = try await RouteProbe(instance)
    let stopped = Flag()
    async let reading = read(probe, until: stopped)
    async let writing = write(to: instance.client.unrecorded, until: stopped)
    try await Task.sleep(for: .seconds(1))

    try postgres.stop()
    let begin = ContinuousClock.now
    let open = instance.client.with(key: nil)
    try await eventually { try await open.get("/readyz?writes").status == 503 }
    // A scanner's report of nothing stores nothing.
    for request in try probe.requests where request.endpoint.takesIdempotencyKey && request.route.report == nil {
      let answer = try await request.send(instance.client)
      #expect(answer.status == 503 && answer.headers["retry-after"] != nil, "\(request.name): \(answer.text)")
    }
    try await eventually { try await open.get("/readyz").json["status"].string == "stale" }
    let ready = try await open.get("/readyz")
    #expect(ready.status == 200 && ready.json["writes"].bool == false)
    while ContinuousClock.now - begin < Soak.seconds(short: 5) { try await Task.sleep(for: .milliseconds(100)) }

    try await OwnPostgres.start(postgres.directory)
    try await eventually { try await open.get("/readyz?writes").json["status"].string == "ready" }
    stopped.set()
    let (read, written) = try await (reading, writing)
    #expect(read.wrong.isEmpty, "\(read.wrong.prefix(10))")
    #expect(written.wrong.isEmpty, "\(written.wrong.prefix(10))")
    #expect(read.count > 100 && written.refused > 0 && written.refused < written.batches, "\(read.count) \(written)")
    try await expectAllOrNothing(of: written.batches, instance, postgres.configuration)
    await instance.stop()
  }

  /// Reads everything that is answered from memory, over and over.
  private func read(_ probe: RouteProbe, until stopped: Flag) async throws -> Reading {
    let requests = try probe.requests.filter(\.isAnsweredFromMemory)
    var reading = Reading()
    let names = Set(requests.map(\.name))
    for path in ["/healthz", "/readyz", "/v1/providers", "/v1/providers/{p}/score", "/v1/scores", "/v1/lookup"] {
      if !names.contains("GET \(path)") { reading.wrong.append("GET \(path) is not read from memory") }
    }
    while !stopped.isSet {
      for request in requests {
        let status = try? await request.send(request.client.unrecorded).status
        reading.count += 1
        if status != 200 { reading.wrong.append("\(request.name): \(status.map(String.init) ?? "no answer")") }
      }
    }
    return reading
  }

  private static func batch(_ number: Int) -> [String: Any] {
    let results = VerificationTests.checks.prefix(3).map { check in
      Posting.result(
        check: check, ["source": "lab", "observed_at": "2026-01-01T00:00:00Z", "external_id": "\(number)-\(check)"])
    }
    return ["results": results]
  }

  private func write(to client: APIClient, until stopped: Flag) async -> Writing {
    var writing = Writing()
    while !stopped.isSet {
      let answer = try? await client.post("/v1/probe-results?atomic=true", object: Self.batch(writing.batches))
      writing.batches += 1
      switch answer?.status {
      case 200: break
      case 503 where answer?.headers["retry-after"] != nil: writing.refused += 1
      default: writing.wrong.append("\(answer?.status ?? 0) \(answer?.text ?? "no answer")")
      }
      try? await Task.sleep(for: .milliseconds(5))
    }
    return writing
  }

  /// Posts every batch again. One whose answer was lost with the connection may have been stored, but not a part of it.
  private func expectAllOrNothing(
    of batches: Int, _ instance: TestInstance, _ configuration: DatabaseConfiguration
  ) async throws {
    for number in 0..<batches {
      let again = try await instance.client.unrecorded.post(
        "/v1/probe-results?atomic=true", object: Self.batch(number))
      #expect(again.status == 200 && [0, 3].contains(again.json["accepted"].integer), "\(again.text)")
      #expect(again.json["rejected"].integer == 0, "\(again.text)")
    }
    let (summary, found) = try await VerificationTests.verify(instance)
    // One result more is the one that every probe of routes registers.
    #expect(found.isEmpty && summary.results == batches * 3 + 1, "\(summary) \(found)")
    // What memory came to over all this is what a fresh instance reads.
    let fresh = try await TestInstance.start(on: configuration, adminKey: instance.adminKey)
    try await eventually {
      let score = "/v1/providers/acme/score?detail=full"
      return try await instance.client.get(score).body == fresh.client.get(score).body
    }
    await fresh.stop()
  }
}

extension RouteRequest {
  /// Whether the route answers at once, so that it cannot ask the database, or is one of the lists and figures that are
  /// made in tasks because they take longer.
  fileprivate var isAnsweredFromMemory: Bool {
    if endpoint.takesIdempotencyKey { return false }
    switch endpoint.handler {
    case .direct, .directWithout: return true
    case .async:
      return ["/v1/providers", "/v1/providers/export", "/v1/scores", "/metrics"].contains(endpoint.pattern)
    }
  }
}
