import Foundation
import TestHarness
import Testing

/// The service itself is ended, hard or gently.
@Suite(.serialized) struct FaultTests {
  @Test(.timeLimit(.minutes(60))) func killedUnderLoadAgainAndAgainItKeepsWhatItAcknowledged() async throws {
    let service = RunningService()
    try await service.start()
    let load = try await PostingLoad(service.client(key: try await service.createKey()).unrecorded)
    let postmaster = try #require(service.postmaster)
    let stopped = Flag()
    async let posting: Void = load.run(until: stopped)
    for _ in 0..<Soak.count(short: 3, long: 20) {
      try await load.waitForOneMore()
      try await Task.sleep(for: .milliseconds(.random(in: 0...400)))
      #expect(await service.end(SIGKILL) == -SIGKILL)
      try await service.start()
      // It outlives its service and is adopted, not replaced.
      #expect(service.postmaster == postmaster)
    }
    try await load.waitForOneMore()
    stopped.set()
    await posting
    #expect(load.told.unanswered > 0)
    try await load.expectEachOnce(in: service)
    #expect(await service.end(SIGTERM) == 0)
    #expect(service.postmaster == nil)
  }

  @Test func sigtermUnderLoadCutsNoAcceptedRequest() async throws {
    let service = RunningService()
    try await service.start()
    let load = try await PostingLoad(service.client(key: try await service.createKey()).unrecorded)
    let stopped = Flag()
    async let posting: Void = load.run(until: stopped)
    try await load.waitForOneMore()
    #expect(await service.end(SIGTERM) == 0)
    stopped.set()
    await posting
    // What was answered was done or plainly refused.
    try await service.start()
    try await load.expectEachOnce(in: service)
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func theStandardPortTakenIsSaid() async throws {
    let service = RunningService()
    try await service.start()
    let port = service.address.split(separator: ":").last!
    let outcome = try await Program.run(
      ["serve", "--listen", "127.0.0.1:\(port)", "--data-dir", service.dataDirectory])
    #expect(outcome.status != 0)
    #expect(outcome.errors.contains("127.0.0.1:\(port)"))
    // The one that runs is unharmed, and so is the cluster that both used.
    #expect(try await service.client(key: nil).get("/readyz?writes").status == 200)
    await service.end(SIGTERM)
  }
}
