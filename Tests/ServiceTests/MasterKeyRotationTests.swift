import Foundation
import Postgres
import Synchronization
import TestHarness
import Testing

@testable import Service

/// The master key is changed while instances post and read.
@Suite(.serialized) struct MasterKeyRotationTests {
  private static let former = testMasterKey
  private static let next = MasterKey(base64: String(repeating: "B", count: 43) + "=")!
  private static let foreign = MasterKey(base64: String(repeating: "C", count: 43) + "=")!

  /// Runs `body` with an instance that has these keys, on the database of another.
  private func with(
    _ keys: MasterKeyRing, beside instance: TestInstance, clock: Service.Clock = .system,
    _ body: (TestInstance) async throws -> Void
  ) async throws {
    let second = try await TestInstance.start(
      on: instance.configuration, clock: clock, adminKey: instance.adminKey, masterKeys: keys)
    let result: Result<Void, any Error>
    do { result = .success(try await body(second)) } catch { result = .failure(error) }
    await second.stop()
    try result.get()
  }

  /// The ids of the master keys that keys of evidence are wrapped by.
  private func wrapping(in instance: TestInstance) async throws -> Set<String> {
    Set(
      try await instance.database.query("select distinct encode(master_key_id, 'hex') from evidence_key") {
        try $0.next(String.self)
      })
  }

  private func rows(_ instance: TestInstance) async throws -> [String] {
    try await instance.database.query("select k::text from evidence_key k order by day") { try $0.next(String.self) }
  }

  // MARK: - While it is served

  @Test func postingAndReadingGoOnOnEveryInstance() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { registered in
      var posted: [String] = []
      for number in 0..<5 {
        posted.append(try #require(try await post(registered, "before-\(number)").json["id"].string))
        clock.advance(milliseconds: 86_400_000)
      }
      let early = posted
      // The second learns of the key to come by reading its file again, and has unwrapped nothing yet.
      let file = KeyFile([Self.former])
      let reading = MasterKeyRing([Self.former]) { file.keys.withLock { $0 } }
      try await with(MasterKeyRing([Self.former, Self.next]), beside: registered, clock: clock.clock) { first in
        try await with(reading, beside: registered, clock: clock.clock) { second in
          // Whoever has the key to come does not use it before it is in force.
          #expect(try await post(first, "day").status == 201)
          #expect(try await wrapping(in: first) == [Self.former.name])
          file.keys.withLock { $0 = [Self.former, Self.next] }

          let load = RotationLoad(reading: early, clock: clock)
          try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, instance) in [first, second, first, second].enumerated() {
              group.addTask { try await load.run(on: instance, "load-\(index)") }
            }
            try await eventually { load.posts > 20 }
            let (count, id) = try await first.service.rotateMasterKey()
            #expect(count > early.count && id == Self.next.name)
            let before = load.posts
            try await eventually { load.posts > before + 40 }
            load.stop()
            try await group.waitForAll()
          }
          #expect(load.wrong == [])
          #expect(try await wrapping(in: first) == [Self.next.name])
          #expect(try await second.service.rotateMasterKey().count == 0)
        }
      }
      try await onlyTheNextKeyOpens(registered, early[0], clock: clock.clock)
    }
  }

  private func onlyTheNextKeyOpens(
    _ registered: TestInstance, _ early: String, clock: Service.Clock
  ) async throws {
    let shown = try await registered.client.get("/v1/providers/acme/probe-results?limit=500").json["items"].array.count
    for (key, status) in [(Self.former, "unreadable"), (Self.next, "stored")] {
      try await with(MasterKeyRing([key]), beside: registered, clock: clock) { instance in
        #expect(try await instance.client.get("/v1/probe-results/\(early)").json["evidence_status"].string == status)
        let all = try await instance.client.get("/v1/providers/acme/probe-results?limit=500").json["items"].array
        #expect(all.count == shown && all.allSatisfy { $0["evidence_status"].string == status })
        #expect(try await post(instance, "after-\(status)").status == (status == "stored" ? 201 : 503))
      }
    }
    let entry = try await registered.auditEntries().filter { $0["action"].string == "master_key.rotate" }
    #expect(entry.count == 1 && entry[0]["object"]["id"].string == Self.next.name)
    #expect(entry[0]["before"]["ids"][0].string == Self.former.name && entry[0]["actor"]["kind"].string == "command")
    #expect(try await registered.auditFaults() == [])
  }

  // MARK: - What is refused

  @Test func withoutTheFormerKeyNothingIsChanged() async throws {
    try await withRegisteredRelay { instance in
      #expect(try await post(instance, "1").status == 201)
      let before = try await rows(instance)
      try await with(MasterKeyRing([Self.foreign, Self.next]), beside: instance) { wrong in
        let fault = await #expect(throws: RiskService.CommandFault.self) { try await wrong.service.rotateMasterKey() }
        let text = try #require(fault?.description)
        #expect(text.contains(Self.former.name) && text.contains(Self.foreign.name) && text.contains(Self.next.name))
      }
      // One that is damaged stops all of it.
      try await instance.database.execute(
        "update evidence_key set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) where day = -1")
      let damaged = try await rows(instance)
      try await with(MasterKeyRing([Self.former, Self.next]), beside: instance) { right in
        await #expect(throws: RiskService.CommandFault.self) { try await right.service.rotateMasterKey() }
      }
      #expect(try await rows(instance) == damaged && damaged.count == before.count)
      #expect(try await instance.auditEntries().allSatisfy { $0["action"].string != "master_key.rotate" })
    }
  }

  @Test func onlyTheOwnerOfTheTablesMayChangeIt() async throws {
    try await withServingRole { instance in
      try await registerRelay(with: instance.client)
      #expect(try await post(instance, "1").status == 201)
      try await with(MasterKeyRing([Self.former, Self.next]), beside: instance) { second in
        let fault = await #expect(throws: RiskService.CommandFault.self) { try await second.service.rotateMasterKey() }
        #expect(fault?.description.contains("owner") == true)
      }
      #expect(try await wrapping(in: instance) == [Self.former.name])
    }
  }

  @Test func aKeyIsWrappedAsAllOthersAreWhoeverMakesIt() async throws {
    let clock = TestClock("2026-11-23T08:00:00.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      // A day begins, and who comes first has another key: it makes none that nobody else could read.
      try await with(MasterKeyRing([Self.foreign]), beside: instance, clock: clock.clock) { other in
        let refused = try await post(other, "1")
        #expect(refused.status == 503)
      }
      #expect(try await post(instance, "1").status == 201)
      #expect(try await wrapping(in: instance) == [Self.former.name])
    }
  }

  @Test func severalKeysAreReadOrNone() {
    let (one, other) = (String(repeating: "A", count: 43) + "=", String(repeating: "B", count: 43) + "=")
    for text in ["\(one)\n\(other)\n", " \(one),\(other)", "\n\(one) \(other)"] {
      #expect(MasterKey.list(text)?.map(\.name) == [Self.former.name, Self.next.name])
    }
    #expect(MasterKey.list(one)?.count == 1)
    for text in ["", "\n", "\(one)\nnone", "AAAA \(one)"] { #expect(MasterKey.list(text) == nil, "\(text)") }
  }
}

private func post(_ instance: TestInstance, _ id: String) async throws -> Answer {
  try await instance.client.post(
    "/v1/probe-results",
    object: Posting.result([
      "source": "lab", "external_id": id, "observed_at": "2026-11-23T07:00:00Z", "evidence": ["of": id],
    ]))
}

/// Clients that post results with evidence and read that of days before, until they are stopped.
private final class RotationLoad: Sendable {
  private let state = Mutex((posts: 0, isStopped: false, wrong: [String]()))
  private let early: [String]
  private let clock: TestClock

  init(reading early: [String], clock: TestClock) { (self.early, self.clock) = (early, clock) }

  var posts: Int { state.withLock { $0.posts } }
  var wrong: [String] { state.withLock { $0.wrong } }
  func stop() { state.withLock { $0.isStopped = true } }

  func run(on instance: TestInstance, _ name: String) async throws {
    var number = 0
    while !state.withLock({ $0.isStopped }) {
      number += 1
      // A day of its own now and then, whose key has to be made.
      if number % 5 == 0, posts < 100 { clock.advance(milliseconds: 86_400_000) }
      let answer = try await post(instance, "\(name)/\(number)")
      let read = try await instance.client.get("/v1/probe-results/\(early[number % early.count])")
      let isRight =
        answer.status == 201 && answer.json["evidence_status"].string == "stored"
        && read.json["evidence_status"].string == "stored"
      let text = isRight ? "" : "\(answer.text) \(read.text)"
      state.withLock { state in
        state.posts += 1
        if !isRight { state.wrong.append(text) }
      }
    }
  }
}

/// What a file of master keys holds.
private final class KeyFile: Sendable {
  let keys: Mutex<[MasterKey]>
  init(_ keys: [MasterKey]) { self.keys = Mutex(keys) }
}
