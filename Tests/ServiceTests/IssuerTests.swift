import EventLoop
import Foundation
import TestHarness
import Testing

@testable import Service
@testable import SingleSignOn

/// Where an issuer's keys come from, and what happens when they change or cannot be had.
@Suite(.serialized, .timeLimit(.minutes(5))) struct IssuerTests {
  private struct Fixture {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    let loop = EventLoop(name: "test-issuer")

    init() { loop.start() }

    func issuer(_ location: KeySetLocation) -> Issuer {
      Issuer(
        TestIssuer.demands, keysAt: location, loop: loop, now: { [clock] in clock.now.milliseconds },
        logger: quietLogger)
    }

    func verdict(_ issuer: Issuer, _ key: SigningKey) throws -> String {
      switch issuer.verify(try key.token(TestIssuer.claims(["reader"], at: clock.now))) {
      case .valid: "valid"
      case .invalid(let fault): fault.description
      case .unknownKey: "unknown key"
      }
    }
  }

  @Test func anUnknownKeyIsAskedForOnceAMinute() async throws {
    let fixture = Fixture()
    let (first, second) = (SigningKey.p256("1"), SigningKey.ed25519("2"))
    let server = try TestIssuer(first)
    let issuer = fixture.issuer(try KeySetLocation(server.url))
    #expect(try fixture.verdict(issuer, first) == "unknown key")
    try await issuer.refresh()
    #expect(try fixture.verdict(issuer, first) == "valid" && server.readsCount == 1)
    let generation = issuer.generation
    // The issuer changes its keys.
    try server.show([first, second])
    for _ in 0..<3 { try await issuer.refresh() }
    fixture.clock.advance(milliseconds: 59_999)
    try await issuer.refresh()
    #expect(try fixture.verdict(issuer, second) == "unknown key" && server.readsCount == 1)
    #expect(issuer.generation == generation)
    fixture.clock.advance(milliseconds: 1)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<20 { group.addTask { try await issuer.refresh() } }
      try await group.waitForAll()
    }
    #expect(try fixture.verdict(issuer, second) == "valid" && server.readsCount == 2)
    #expect(issuer.generation > generation)
    // The same again is no change, and what was withdrawn ends.
    let changed = issuer.generation
    fixture.clock.advance(milliseconds: 60_000)
    try await issuer.refresh()
    #expect(issuer.generation == changed && server.readsCount == 3)
    try server.show([second])
    fixture.clock.advance(milliseconds: 60_000)
    try await issuer.refresh()
    #expect(try fixture.verdict(issuer, first) == "unknown key" && fixture.verdict(issuer, second) == "valid")
    // A clock that was set back does not keep it from asking.
    fixture.clock.advance(milliseconds: -3_600_000)
    try await issuer.refresh()
    #expect(server.readsCount == 5)
    await server.stop()
    fixture.loop.stop()
  }

  @Test func whileTheIssuerIsAwayItsKeysGoOn() async throws {
    let fixture = Fixture()
    let (first, second) = (SigningKey.p256("1"), SigningKey.p256("2"))
    let server = try TestIssuer(first)
    let issuer = fixture.issuer(try KeySetLocation(server.url))
    try await issuer.refresh()
    try server.show([second])
    server.answer(with: 500)
    fixture.clock.advance(milliseconds: 60_000)
    await #expect(throws: KeySetFault("it was answered with status 500")) { try await issuer.refresh() }
    // Nor is it asked again so soon, and what it said stays known.
    await #expect(throws: KeySetFault("it was answered with status 500")) { try await issuer.refresh() }
    #expect(server.readsCount == 2)
    #expect(try fixture.verdict(issuer, first) == "valid" && fixture.verdict(issuer, second) == "unknown key")
    server.answer(with: 200)
    fixture.clock.advance(milliseconds: 60_000)
    try await issuer.refresh()
    #expect(try fixture.verdict(issuer, second) == "valid" && fixture.verdict(issuer, first) == "unknown key")
    await server.stop()
    fixture.clock.advance(milliseconds: 60_000)
    await #expect(throws: KeySetFault.self) { try await issuer.refresh() }
    #expect(try fixture.verdict(issuer, second) == "valid")
    fixture.loop.stop()
  }

  /// An answer that is no key set leaves what was read before.
  @Test func nonsenseIsNoKeySet() async throws {
    let fixture = Fixture()
    let key = SigningKey.p256("1")
    let server = try TestIssuer(key)
    let issuer = fixture.issuer(try KeySetLocation(server.url))
    try await issuer.refresh()
    try server.show([])
    fixture.clock.advance(milliseconds: 60_000)
    await #expect(throws: KeySetFault.self) { try await issuer.refresh() }
    #expect(try fixture.verdict(issuer, key) == "valid")
    try server.show((0..<100).map { _ in SigningKey.p256(String(repeating: "x", count: 20_000)) })
    fixture.clock.advance(milliseconds: 60_000)
    await #expect(throws: KeySetFault.self) { try await issuer.refresh() }
    #expect(try fixture.verdict(issuer, key) == "valid")
    await server.stop()
    fixture.loop.stop()
  }

  @Test func aFileIsReadAgainWhenItChanged() async throws {
    let fixture = Fixture()
    let (first, second) = (SigningKey.p256("1"), try SigningKey.rsa("2"))
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    let path = directory + "/keys.json"
    let issuer = fixture.issuer(try KeySetLocation(path))
    await #expect(throws: KeySetFault("No such file or directory")) { try await issuer.refresh() }
    try TestIssuer.document([first.entry()]).write(to: URL(filePath: path))
    let following = Task { await issuer.follow() }
    try await eventually { try fixture.verdict(issuer, first) == "valid" }
    let generation = issuer.generation
    try TestIssuer.document([second.entry()]).write(to: URL(filePath: path), options: .atomic)
    try await eventually { try fixture.verdict(issuer, second) == "valid" }
    #expect(try fixture.verdict(issuer, first) == "unknown key" && issuer.generation > generation)
    // Half written, or gone.
    try Data("{\"keys\":".utf8).write(to: URL(filePath: path))
    await #expect(throws: KeySetFault.self) { try await issuer.refresh() }
    try FileManager.default.removeItem(atPath: path)
    await #expect(throws: KeySetFault("No such file or directory")) { try await issuer.refresh() }
    #expect(try fixture.verdict(issuer, second) == "valid")
    following.cancel()
    await following.value
    fixture.loop.stop()
  }

  @Test func aFileThatIsTooLongOrNoneIsRefused() async throws {
    let fixture = Fixture()
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    let path = directory + "/keys.json"
    try Data(repeating: 0x20, count: KeySetLocation.documentBytesMax + 1).write(to: URL(filePath: path))
    await #expect(throws: KeySetFault("it is longer than 1048576 bytes")) {
      try await fixture.issuer(.file(path)).refresh()
    }
    await #expect(throws: KeySetFault("Is a directory")) { try await fixture.issuer(.file(directory)).refresh() }
    fixture.loop.stop()
  }
}
