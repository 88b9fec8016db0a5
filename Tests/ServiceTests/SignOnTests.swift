import EventLoop
import Foundation
import TestHarness
import Testing

@testable import Service
@testable import SingleSignOn

/// Tokens of an issuer in the place of keys, over real sockets.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SignOnTests {
  private static let scopes: [String: Set<Scope>] = [
    "reader": [.scoresRead], "clerk": [.registryWrite, .scoresRead], "chief": [.admin],
  ]

  private struct Fixture {
    let clock: TestClock
    let key: SigningKey
    let issuer: TestIssuer
    let instance: TestInstance

    func client(_ roles: [String], by key: SigningKey? = nil, _ members: [String: Any] = [:]) throws -> APIClient {
      instance.client.with(key: try (key ?? self.key).token(TestIssuer.claims(roles, at: clock.now, members)))
    }
  }

  private func withFixture(_ body: @Sendable (Fixture) async throws -> Void) async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    let key = SigningKey.p256("1")
    let server = try TestIssuer(key)
    let loop = EventLoop(name: "test-issuer")
    loop.start()
    let issuer = Issuer(
      TestIssuer.demands, keysAt: try KeySetLocation(server.url), loop: loop, now: { clock.now.milliseconds },
      logger: quietLogger)
    let instance = try await TestInstance.start(
      on: try await TestPostgres.shared.value.makeDatabase(), clock: clock.clock,
      signOn: SignOn(issuer, scopes: Self.scopes))
    let outcome: Result<Void, any Error>
    do {
      try await registerRelay(with: instance.client)
      outcome = .success(
        try await body(Fixture(clock: clock, key: key, issuer: server, instance: instance)))
    } catch {
      outcome = .failure(error)
    }
    await instance.stop()
    await server.stop()
    loop.stop()
    try outcome.get()
  }

  @Test func rolesGiveTheirScopes() async throws {
    try await withFixture { fixture in
      for (roles, score, sources, keys) in [
        (["reader"], 200, 403, 403), (["clerk"], 200, 403, 403), (["chief"], 200, 200, 200),
        (["reader", "nobody", "chief"], 200, 200, 200),
      ] {
        let client = try fixture.client(roles)
        for _ in 0..<2 {
          #expect(try await client.get("/v1/providers/acme/score").status == score, "\(roles)")
          #expect(try await client.get("/v1/sources").status == sources, "\(roles)")
          #expect(try await client.get("/v1/keys").status == keys, "\(roles)")
          #expect(try await client.get("/v1/concerns").status == 200)
        }
      }
      let provider = #"{"slug":"other","name":"O","hosts":["other.example"]}"#
      #expect(try await fixture.client(["reader"]).post("/v1/providers", provider).status == 403)
      #expect(try await fixture.client(["clerk"]).post("/v1/providers", provider).status == 201)
      for roles in [[], ["nobody"], ["Reader"]] {
        let refused = try await fixture.client(roles).get("/v1/concerns")
        #expect(refused.status == 403 && refused.json["type"].string == "/problems/forbidden", "\(roles)")
        #expect(refused.json["detail"].string == "None of the token's roles gives a scope.")
      }
      // Nobody signed on posts for a source that he does not name.
      let result = Posting.result(["observed_at": "2026-11-23T07:00:00Z"])
      #expect(try await fixture.client(["clerk"]).post("/v1/probe-results", object: result).status == 403)
      #expect(
        try await fixture.client(["chief"]).post("/v1/probe-results", object: result).json.pointers == ["/source"])
    }
  }

  @Test func whatIsDoneIsRecordedUnderTheSubject() async throws {
    try await withFixture { fixture in
      let incident = #"{"concern":"controls","summary":"S"}"#
      let client = try fixture.client(["chief"])
      let named = try await client.post("/v1/providers/acme/incidents", incident)
      #expect(named.status == 201 && named.json["recorded_by"].string == "oidc:u-1 (alice)")
      let plain = try await fixture.client(["chief"], ["sub": "batch", "preferred_username": NSNull()])
        .post("/v1/providers/acme/incidents", incident)
      #expect(plain.json["recorded_by"].string == "oidc:batch")
      // Repeated by another token of the same person, and by somebody else.
      let header = ["Idempotency-Key": "once"]
      let body = #"{"slug":"twice","name":"T","hosts":["twice.example"]}"#
      let first = try await client.post("/v1/providers", body, headers: header)
      fixture.clock.advance(milliseconds: 1_000)
      let again = try await fixture.client(["clerk"]).post("/v1/providers", body, headers: header)
      #expect(first.status == 201 && again.status == 201 && again.json["id"].string == first.json["id"].string)
      let other = try await fixture.client(["clerk"], ["sub": "u-2"]).post("/v1/providers", body, headers: header)
      #expect(other.status == 409)
    }
  }

  @Test func aTokenEndsAtItsInstantAlsoForWhatIsAnsweredAgain() async throws {
    try await withFixture { fixture in
      let end = fixture.clock.now.milliseconds / 1000 + 5
      let client = try fixture.client(["reader"], ["exp": end])
      async let stream = client.get("/v1/events")
      try await eventually { fixture.instance.service.parts.events.streamsCount == 1 }
      fixture.clock.advance(milliseconds: end * 1000 - fixture.clock.now.milliseconds - 1)
      for _ in 0..<5 { #expect(try await client.get("/v1/providers/acme/score").status == 200) }
      let reads = fixture.issuer.readsCount
      fixture.clock.advance(milliseconds: 1)
      for _ in 0..<2 {
        let refused = try await client.get("/v1/providers/acme/score")
        #expect(refused.status == 401 && refused.json["type"].string == "/problems/unauthorized")
        #expect(refused.json["detail"].string == "The token has expired.")
        #expect(refused.headers["www-authenticate"] == #"Bearer realm="relayrisk", error="invalid_token""#)
      }
      #expect(fixture.issuer.readsCount == reads)
      try await eventually {
        fixture.instance.service.parts.events.beat()
        return fixture.instance.service.parts.events.streamsCount == 0
      }
      #expect(try await stream.status == 200)
    }
  }

  @Test func wrongTokensAreRefusedAndKeysGoOn() async throws {
    try await withFixture { fixture in
      for (client, detail) in [
        (try fixture.client(["reader"], ["aud": "other"]), "The token is for another audience."),
        (try fixture.client(["reader"], by: .p256("1")), "The token has a wrong signature."),
        (
          try fixture.client(["reader"], by: .p256("2")),
          "The token is signed with a key that the issuer does not have."
        ),
        (fixture.instance.client.with(key: "a.b.c"), "The token cannot be read."),
        (fixture.instance.client.with(key: "nonsense"), "The token cannot be read."),
        (
          fixture.instance.client.with(key: String(repeating: "a", count: 10_000)),
          "The token is longer than 8192 bytes."
        ),
      ] {
        let refused = try await client.get("/v1/providers/acme/score")
        #expect(refused.status == 401 && refused.json["detail"].string == detail, "\(refused.text)")
      }
      #expect(try await fixture.instance.client.get("/v1/keys").status == 200)
      #expect(
        try await fixture.instance.client.with(key: "rr_x").get("/v1/keys").json["detail"].string
          == "The key is not valid.")
    }
  }

  @Test func whatTheIssuerWithdrawsEndsAndWhatItAddsBegins() async throws {
    try await withFixture { fixture in
      let second = SigningKey.ed25519("2")
      let former = try fixture.client(["reader"])
      for _ in 0..<3 { #expect(try await former.get("/v1/providers/acme/score").status == 200) }
      try fixture.issuer.show([second])
      fixture.clock.advance(milliseconds: 60_000)
      #expect(try await fixture.client(["reader"], by: second).get("/v1/providers/acme/score").status == 200)
      for _ in 0..<3 { #expect(try await former.get("/v1/providers/acme/score").status == 401) }
    }
  }

  @Test func whileTheIssuerIsAwayOnlyUnknownKeysAreUndecided() async throws {
    try await withFixture { fixture in
      let known = try fixture.client(["reader"])
      #expect(try await known.get("/v1/concerns").status == 200)
      fixture.issuer.answer(with: 503)
      fixture.clock.advance(milliseconds: 60_000)
      let undecided = try await fixture.client(["reader"], by: .p256("2")).get("/v1/concerns")
      #expect(undecided.status == 503 && undecided.json["type"].string == "/problems/issuer-unavailable")
      #expect(undecided.headers["retry-after"] == "60")
      #expect(try await fixture.client(["reader"]).get("/v1/concerns").status == 200)
      #expect(try await known.get("/v1/concerns").status == 200)
      #expect(try await fixture.instance.client.get("/v1/concerns").status == 200)
    }
  }

  @Test func withoutAnIssuerATokenIsNoKey() async throws {
    try await withInstance { instance in
      let token = try SigningKey.p256("1").token(TestIssuer.claims(["chief"], at: Clock.system.now()))
      let refused = try await instance.client.with(key: token).get("/v1/concerns")
      #expect(refused.status == 401 && refused.json["detail"].string == "The key is not valid.")
    }
  }
}
