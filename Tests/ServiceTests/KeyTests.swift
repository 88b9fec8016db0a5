import Crypto
import Foundation
import HTTPServer
import TestHarness
import Testing

@testable import Service

/// Keys that expire, are used up by rotation, or may be used from some addresses alone.
@Suite(.serialized, .timeLimit(.minutes(5))) struct KeyTests {
  private static let time = "2026-11-23T08:00:10.000Z"

  private struct Fixture {
    let clock: TestClock
    let first: TestInstance
    let second: TestInstance

    var admin: APIClient { first.client }

    /// A key as the API makes it, for the other instance too.
    func key(_ members: [String: Any] = [:]) async throws -> Made {
      let body = ["name": "K", "scopes": ["scores:read"]].merging(members) { $1 }
      return try made(try await admin.post("/v1/keys", object: body))
    }

    func made(_ answer: Answer) throws -> Made {
      #expect(answer.status == 201 && answer.headers["cache-control"] == "no-store", "\(answer.text)")
      return Made(
        id: try #require(answer.json["id"].string), text: try #require(answer.json["key"].string), json: answer.json)
    }

    /// What both instances answer to a read with the key, more often than once, since repeated reads go another way.
    func statuses(_ key: Made) async throws -> [Int] {
      var statuses: [Int] = []
      for instance in [first, second] {
        for _ in 0..<3 { statuses.append(try await read(key, on: instance).status) }
      }
      return statuses
    }

    func read(_ key: Made, on instance: TestInstance? = nil) async throws -> Answer {
      try await (instance ?? first).client.with(key: key.text).get("/v1/providers/acme/score")
    }

    func listed(_ key: Made) async throws -> JSON {
      try #require(try await admin.get("/v1/keys").json["items"].array.first { $0["id"].string == key.id })
    }
  }

  private struct Made {
    let id: String
    let text: String
    let json: JSON
  }

  private func withFixture(_ body: @Sendable (Fixture) async throws -> Void) async throws {
    let clock = TestClock(Self.time)
    try await withRegisteredRelay(clock: clock.clock) { first in
      let second = try await TestInstance.start(on: first.configuration, clock: clock.clock, adminKey: first.adminKey)
      let outcome: Result<Void, any Error>
      do { outcome = .success(try await body(Fixture(clock: clock, first: first, second: second))) } catch {
        outcome = .failure(error)
      }
      await second.stop()
      try outcome.get()
    }
  }

  private static func all(_ status: Int) -> [Int] { Array(repeating: status, count: 6) }

  // MARK: - The text

  @Test func aKeyIsFoundByWhatTheGuideForAdminsSays() throws {
    let guide = try String(
      contentsOf: URL(filePath: #filePath).appending(path: "../../../docs/admins.md").standardized, encoding: .utf8)
    let pattern = try #require(guide.firstMatch(of: /`(rr_[^`]*\{72\})`/)).1
    let text = PresentedKey.make(id: IdentifierGenerator().next(at: Clock.system.now())).text
    #expect(try Regex(String(pattern)).wholeMatch(in: text) != nil, "\(pattern)")
    // The checksum is that of gzip and zip, over all that stands before it.
    #expect(text.hasSuffix(Self.checksum(of: text.dropLast(8))))
  }

  private static func checksum(of text: Substring) -> String {
    var table = (UInt32(0)..<256).map { $0 }
    for index in table.indices {
      for _ in 0..<8 { table[index] = table[index] & 1 == 1 ? table[index] >> 1 ^ 0xEDB8_8320 : table[index] >> 1 }
    }
    var sum = UInt32.max
    for byte in text.utf8 { sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
    return String(format: "%08x", ~sum)
  }

  @Test func aMistypedKeyIsToldWithoutTheDatabase() async throws {
    try await withInstance { instance in
      let good = try await instance.service.createKey(name: "K", scopes: [.scoresRead], source: nil)
      // Nobody can be asked from here on: a key that may exist gets 503.
      await instance.database.close()
      let unknown = PresentedKey.make(id: IdentifierGenerator().next(at: Clock.system.now())).text
      #expect(try await instance.client.with(key: unknown).get("/v1/concerns").status == 503)
      for position in stride(from: 3, to: good.count, by: 4) {
        var typed = Array(good)
        guard typed[position].isHexDigit else { continue }
        typed[position] = typed[position] == "7" ? "8" : "7"
        let answer = try await instance.client.with(key: String(typed)).get("/v1/concerns")
        #expect(answer.status == 401 && answer.json["detail"].string?.contains("checksum") == true, "\(position)")
        #expect(answer.headers["www-authenticate"]?.contains("error=\"invalid_token\"") == true)
      }
    }
  }

  @Test func keysFromBeforeTheChecksumGoOnAndNoneLosesIt() async throws {
    try await withFixture { fixture in
      let secret = String(repeating: "0123456789abcdef", count: 4)
      let id = IdentifierGenerator().next(at: fixture.clock.now)
      try await fixture.first.database.execute(
        """
        insert into api_key (id, name, scopes, secret_hash, created_at)
        values (\(id), 'old', \(["scores:read"]), \(Array(SHA256.hash(data: Data(secret.utf8)))), now())
        """)
      // Whose making says that keys changed.
      let fresh = try await fixture.key()
      let old = Made(id: id.description, text: "rr_\(id)_\(secret)", json: JSON(nil))
      #expect(try await fixture.statuses(old) == Self.all(200))
      #expect(
        try await fixture.statuses(Made(id: fresh.id, text: String(fresh.text.dropLast(8)), json: JSON(nil)))
          == Self.all(401))
    }
  }

  // MARK: - Expiry

  @Test func aKeyExpiresOnEveryInstanceAtItsInstant() async throws {
    try await withFixture { fixture in
      let key = try await fixture.key(["expires_at": "2026-11-23T09:00:10.5+01:00"])
      #expect(key.json["expires_at"].string == "2026-11-23T08:00:10.500Z")
      #expect(try await fixture.statuses(key) == Self.all(200))
      fixture.clock.advance(milliseconds: 499)
      #expect(try await fixture.statuses(key) == Self.all(200))
      fixture.clock.advance(milliseconds: 1)
      #expect(try await fixture.statuses(key) == Self.all(401))
      let refused = try await fixture.read(key)
      #expect(refused.json["detail"].string == "The key expired at 2026-11-23T08:00:10.500Z.")
      // What an expired key asks for is not done.
      let patched = try await fixture.admin.patch("/v1/keys/\(key.id)", #"{"expires_at":null,"name":"other"}"#)
      #expect(patched.status == 422 && patched.json.pointers == ["/name"])
      #expect(try await fixture.admin.patch("/v1/keys/\(key.id)", #"{"requests_per_minute":600}"#).status == 200)
      #expect(try await fixture.listed(key)["expires_at"].string == "2026-11-23T08:00:10.500Z")
      #expect(try await fixture.admin.patch("/v1/keys/\(key.id)", #"{"expires_at":null}"#).status == 200)
      try await eventually { try await fixture.statuses(key) == Self.all(200) }
    }
  }

  @Test func aStreamEndsWhenItsKeyExpires() async throws {
    try await withFixture { fixture in
      let key = try await fixture.key(["expires_at": "2026-11-23T08:00:11Z"])
      async let stream = fixture.first.client.with(key: key.text).get("/v1/events")
      try await eventually { fixture.first.service.parts.events.streamsCount == 1 }
      fixture.clock.advance(milliseconds: 1_000)
      try await eventually {
        fixture.first.service.parts.events.beat()
        return fixture.first.service.parts.events.streamsCount == 0
      }
      #expect(try await stream.text.hasPrefix("retry: 2000\nid: "))
    }
  }

  // MARK: - Addresses

  @Test func aKeyIsRefusedFromElsewhere() async throws {
    try await withFixture { fixture in
      let key = try await fixture.key(["address_ranges": ["203.0.113.0/24", "127.0.0.1", "2001:db8::/32"]])
      #expect(
        key.json["address_ranges"].array.map(\.string) == ["203.0.113.0/24", "127.0.0.1/32", "2001:db8::/32"])
      #expect(try await fixture.statuses(key) == Self.all(200))
      #expect(
        try await fixture.admin.patch("/v1/keys/\(key.id)", #"{"address_ranges":["203.0.113.0/24"]}"#).status == 200)
      try await eventually { try await fixture.statuses(key) == Self.all(403) }
      let refused = try await fixture.read(key)
      #expect(refused.json["type"].string == "/problems/forbidden")
      #expect(refused.json["detail"].string == "The key may not be used from 127.0.0.1.")
      #expect(try await fixture.admin.patch("/v1/keys/\(key.id)", #"{"address_ranges":null}"#).status == 200)
      try await eventually { try await fixture.statuses(key) == Self.all(200) }
      #expect(try await fixture.listed(key)["address_ranges"].array.isEmpty)
    }
  }

  @Test func behindAProxyTheClientsAddressCounts() async throws {
    let clock = TestClock(Self.time)
    let proxies = TrustedProxies([try AddressRange("127.0.0.0/8")])
    let instance = try await TestInstance.start(
      on: try await TestPostgres.shared.value.makeDatabase(), clock: clock.clock, trustedProxies: proxies)
    try await registerRelay(with: instance.client)
    let made = try await instance.client.post(
      "/v1/keys", #"{"name":"K","scopes":["scores:read"],"address_ranges":["203.0.113.0/24"]}"#)
    let client = instance.client.with(key: made.json["key"].string)
    for _ in 0..<2 {
      for (forwarded, status) in [
        ("203.0.113.7", 200), ("203.0.114.7", 403), ("203.0.113.7, 198.51.100.1", 403), ("203.0.113.8", 200),
        ("198.51.100.1, 203.0.113.7", 200), ("?", 403), ("203.0.113.7, 127.0.0.5", 200), ("127.0.0.1", 403),
      ] {
        for _ in 0..<2 {
          let answer = try await client.get("/v1/providers/acme/score", headers: ["X-Forwarded-For": forwarded])
          #expect(answer.status == status, "\(forwarded)")
        }
      }
      #expect(try await client.get("/v1/providers/acme/score").status == 403)
    }
    // What comes through the proxy is not from this machine, whatever it says.
    let anyone = instance.client.with(key: nil)
    #expect(try await anyone.get("/metrics").status == 200)
    for forwarded in ["127.0.0.1", "::1", "203.0.113.7", "?"] {
      let answer = try await anyone.get("/metrics", headers: ["X-Forwarded-For": forwarded])
      #expect(answer.status == 401, "\(forwarded)")
    }
    await instance.stop()
  }

  // MARK: - Rotation

  @Test func aRotatedKeyEndsAfterTheOverlapAndItsSuccessorHasItsRights() async throws {
    try await withFixture { fixture in
      let former = try await fixture.key([
        "name": "scanner", "scopes": ["results:write", "scores:read"], "source": "lab", "requests_per_minute": 600,
        "results_per_minute": 900, "address_ranges": ["127.0.0.0/8"], "expires_at": "2026-11-24T08:00:10Z",
      ])
      fixture.clock.advance(milliseconds: 3_600_000)
      let successor = try fixture.made(
        try await fixture.admin.post("/v1/keys/\(former.id.uppercased())/rotate", #"{"overlap_seconds":60}"#))
      func rights(_ key: JSON) -> [String?] {
        ["name", "source"].map { key[$0].string }
          + ["requests_per_minute", "results_per_minute"].map { key[$0].integer.map(String.init) }
          + ["scopes", "address_ranges"].flatMap { key[$0].array.map(\.string) }
      }
      #expect(rights(successor.json) == rights(former.json) && rights(former.json).count == 7)
      // As long as the former was made for.
      #expect(successor.json["expires_at"].string == "2026-11-24T09:00:10.000Z")
      let listed = try await fixture.listed(former)
      #expect(listed["successor"].string == successor.id && listed["revoked_at"].isNull)
      #expect(listed["expires_at"].string == "2026-11-23T09:01:10.000Z")
      try await eventually { try await fixture.statuses(successor) == Self.all(200) }
      #expect(try await fixture.statuses(former) == Self.all(200))
      fixture.clock.advance(milliseconds: 60_000)
      #expect(try await fixture.statuses(former) == Self.all(401))
      #expect(try await fixture.statuses(successor) == Self.all(200))
      let again = try await fixture.admin.post("/v1/keys/\(former.id)/rotate", "{}")
      #expect(again.status == 409 && again.json["detail"].string?.contains(successor.id) == true)
    }
  }

  @Test func aRotationWithoutOverlapEndsTheFormerAtOnce() async throws {
    try await withFixture { fixture in
      let former = try await fixture.key()
      let body = #"{"overlap_seconds":0,"expires_at":"2026-12-01T00:00:00Z"}"#
      let successor = try fixture.made(try await fixture.admin.post("/v1/keys/\(former.id)/rotate", body))
      #expect(successor.json["expires_at"].string == "2026-12-01T00:00:00.000Z")
      #expect(try await fixture.read(former).status == 401)
      try await eventually { try await fixture.statuses(former) == Self.all(401) }
      #expect(try await fixture.statuses(successor) == Self.all(200))
    }
  }

  @Test func anOverlapNeverPutsAnExpiryOff() async throws {
    try await withFixture { fixture in
      let former = try await fixture.key(["expires_at": "2026-11-23T08:00:11Z"])
      // Without a body: a day of overlap.
      let answer = try await fixture.admin.with(key: fixture.first.adminKey).send(
        "POST", "/v1/keys/\(former.id)/rotate")
      let successor = try fixture.made(answer)
      #expect(try await fixture.listed(former)["expires_at"].string == "2026-11-23T08:00:11.000Z")
      #expect(successor.json["expires_at"].string == "2026-11-23T08:00:11.000Z")
      let endless = try await fixture.key()
      _ = try fixture.made(try await fixture.admin.send("POST", "/v1/keys/\(endless.id)/rotate"))
      #expect(try await fixture.listed(endless)["expires_at"].string == "2026-11-24T08:00:10.000Z")
    }
  }

  @Test func whatIsNoLongerValidIsNotRotated() async throws {
    try await withFixture { fixture in
      let expired = try await fixture.key(["expires_at": "2026-11-23T08:00:11Z"])
      let revoked = try await fixture.key()
      fixture.clock.advance(milliseconds: 1_000)
      #expect(try await fixture.admin.send("DELETE", "/v1/keys/\(revoked.id)").status == 204)
      for (id, status, word) in [
        (expired.id, 409, "expired"), (revoked.id, 409, "revoked"), ("x", 404, "x"),
        ("0190a000-0000-7000-8000-000000000000", 404, "0190a000"),
      ] {
        let answer = try await fixture.admin.post("/v1/keys/\(id)/rotate", "{}")
        #expect(answer.status == status && answer.json["detail"].string?.contains(word) == true, "\(answer.text)")
      }
      #expect(try await fixture.admin.get("/v1/keys").json["items"].array.count == 3)
    }
  }

  // MARK: - Last use

  @Test func theLastUseIsStoredNowAndThenAndNeverMovesBack() async throws {
    try await withFixture { fixture in
      let key = try await fixture.key(["address_ranges": ["127.0.0.1"]])
      let unused = try await fixture.key()
      func store(_ instance: TestInstance) async throws {
        let parts = instance.service.parts
        try await KeyUseWriter(keys: parts.keyRing, store: parts.keys, logger: quietLogger).store(parts.keyRing.uses)
      }
      #expect(try await fixture.listed(key)["last_used_at"].isNull)
      #expect(try await fixture.statuses(key) == Self.all(200))
      try await store(fixture.second)
      #expect(try await fixture.listed(key)["last_used_at"].string == Self.time)
      fixture.clock.advance(milliseconds: 5_000)
      #expect(try await fixture.read(key, on: fixture.second).status == 200)
      try await store(fixture.second)
      #expect(try await fixture.listed(key)["last_used_at"].string == "2026-11-23T08:00:15.000Z")
      // This one's is older.
      try await store(fixture.first)
      #expect(try await fixture.listed(key)["last_used_at"].string == "2026-11-23T08:00:15.000Z")
      #expect(try await fixture.listed(unused)["last_used_at"].isNull)
      // Nothing to store, nothing asked.
      await fixture.second.database.close()
      try await store(fixture.second)
    }
  }
}
