import Crypto
import Foundation
import TestHarness
import Testing

@testable import HTTPServer
@testable import Service

/// Posts that their source signed, over sockets.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SignedPostTests {
  private struct Fixture {
    let instance: TestInstance
    var signer = TestSigner()

    func send(
      _ request: TestSigner.Request, sent: Data? = nil, _ headers: [String: String] = [:]
    ) async throws -> Answer {
      // The record of exchanges holds texts; a packed body is none.
      let client = request.contentCoding == nil ? instance.client : instance.client.unrecorded
      return try await signer.send(request, to: client, sent: sent, headers: headers)
    }

    func count() async throws -> Int {
      try await instance.database.query("select count(*) from result") { try $0.next(Int.self) }[0]
    }
  }

  private func withFixture(_ body: @Sendable (Fixture) async throws -> Void) async throws {
    try await withRegisteredRelay { instance in
      var fixture = Fixture(instance: instance)
      try await fixture.signer.register(of: "lab", with: instance.client)
      try await body(fixture)
    }
  }

  private static func one(_ id: String = "1", _ fields: [String: Any?] = [:]) throws -> Data {
    let fields = ["external_id": id, "observed_at": "2026-11-20T08:00:00Z"].merging(fields) { $1 }
    return try JSONSerialization.data(withJSONObject: Posting.result(fields), options: [.sortedKeys])
  }

  @Test func aSignedPostIsThatOfItsSource() async throws {
    try await withFixture { fixture in
      let request = TestSigner.Request(body: try Self.one())
      let first = try await fixture.send(request)
      #expect(first.status == 201 && first.json["source"].string == "lab", "\(first.text)")
      // To the byte the same, as somebody would who got hold of it.
      let again = try await fixture.send(request)
      #expect(again.status == 200 && again.json["id"].string == first.json["id"].string)
      #expect(try await fixture.count() == 1)
      // The source is the signer's, and no other can be named.
      let other = try await fixture.send(TestSigner.Request(body: try Self.one("2", ["source": "other"])))
      #expect(other.status == 422 && other.json.pointers == ["/source"])
      let read = try await fixture.send(
        TestSigner.Request(method: "GET", target: "/v1/probe-results/\(first.json["id"].string!)", body: Data()))
      #expect(read.status == 401 && read.json["type"].string == "/problems/unauthorized")
    }
  }

  @Test func everyFormOfABodyMayBeSigned() async throws {
    try await withFixture { fixture in
      let batch = Data("{\"results\":[\(String(decoding: try Self.one("a"), as: UTF8.self))]}".utf8)
      let sha512 = "sha-512=:\(Data(SHA512.hash(data: batch)).base64EncodedString()):"
      let many = try await fixture.send(TestSigner.Request(body: batch, digest: sha512))
      #expect(many.status == 200 && many.json["accepted"].integer == 1, "\(many.text)")
      // The digest is of what is sent, not of what it unpacks to.
      let packed = Data(try #require(Gzip.compressed(Array(try Self.one("b")))))
      let zipped = try await fixture.send(TestSigner.Request(body: packed, contentCoding: "gzip"))
      #expect(zipped.status == 201, "\(zipped.text)")
      let wrong = try await fixture.send(
        TestSigner.Request(body: try Self.one("c"), contentCoding: "gzip"), sent: packed)
      #expect(wrong.status == 401 && wrong.json.pointers == ["Content-Digest"])
      let lines = try Self.one("d") + Data("\n".utf8) + (try Self.one("e"))
      let stream = try await fixture.send(TestSigner.Request(contentType: "application/x-ndjson", body: lines))
      #expect(stream.status == 200 && stream.json["accepted"].integer == 2, "\(stream.text)")
      // Nothing of a stream is stored before all of it is known to be the source's.
      let stored = try await fixture.count()
      let cut = try await fixture.send(
        TestSigner.Request(contentType: "application/x-ndjson", body: try Self.one("f") + Data("\n".utf8) + lines),
        sent: try Self.one("f"))
      #expect(cut.status == 401 && cut.json.pointers == ["Content-Digest"])
      #expect(try await fixture.count() == stored)
      let target = "/v1/probe-results?atomic=true"
      let atomic = try await fixture.send(
        TestSigner.Request(
          target: target, body: batch, components: ["@method", "@query", "@path", "content-digest", "@authority"]))
      #expect(atomic.status == 200 && atomic.json["duplicates"].integer == 1, "\(atomic.text)")
      let keyed = try await fixture.send(TestSigner.Request(body: try Self.one("g")), ["Idempotency-Key": "k"])
      #expect(keyed.status == 201, "\(keyed.text)")
    }
  }

  @Test func aReportMayBeSigned() async throws {
    try await withFixture { fixture in
      let report = try Data(
        contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(
          path: "Fixtures/testssl/real-weak-flat.json"))
      let request = TestSigner.Request(
        target: "/v1/probe-results/import?format=testssl&provider=acme", body: report,
        components: ["content-digest", "@path", "@query", "@method", "content-type"])
      let answer = try await fixture.send(request)
      #expect(answer.status == 200 && (answer.json["accepted"].integer ?? 0) > 0, "\(answer.text)")
      let changed = try await fixture.send(request, sent: report + Data(" ".utf8))
      #expect(changed.status == 401 && changed.json.pointers == ["Content-Digest"])
    }
  }

  @Test func everyFaultOfASignatureIsNamed() async throws {
    try await withFixture { fixture in
      let body = try Self.one()
      let now = Clock.system.now().milliseconds / 1000
      func expect(
        _ request: TestSigner.Request, headers: [String: String] = [:], _ faults: [(String, String)],
        at location: SourceLocation = #_sourceLocation
      ) async throws {
        let answer = try await fixture.send(request, headers)
        #expect(answer.status == 401, "\(answer.text)", sourceLocation: location)
        #expect(answer.json["type"].string == "/problems/invalid-signature", sourceLocation: location)
        #expect(answer.headers["www-authenticate"] == "Bearer realm=\"relayrisk\"", sourceLocation: location)
        let named = answer.json["errors"].array.map { "\($0["pointer"].string!) \($0["detail"].string!)" }
        #expect(named == faults.map { "\($0.0) \($0.1)" }, sourceLocation: location)
      }
      let input = "Signature-Input"
      try await expect(
        .init(body: body, components: []),
        [
          (input, "does not cover @method"), (input, "does not cover @path"), (input, "does not cover content-digest"),
        ])
      try await expect(
        .init(target: "/v1/probe-results?atomic=false", body: body), [(input, "does not cover @query")])
      try await expect(
        .init(
          body: body, components: ["@method", "@path", "content-digest", "@target-uri", "x-none", "Content-Type"],
          created: nil, keyID: "K", furtherParameters: ";alg=\"rsa-v1_5-sha256\";expires=\(now);other;nonce=7"),
        [
          (input, "covers @target-uri, which is no component that is known here"),
          (input, "covers x-none, which is no field of the request"),
          (input, "covers Content-Type, which is no field of the request"),
          (input, "has a keyid that is not the id of a signing key"), (input, "has another alg than ed25519"),
          (input, "has expired"), (input, "has a parameter that is not known here or of another type: ;other"),
          (input, "has a parameter that is not known here or of another type: ;nonce=7"), (input, "has no created"),
        ])
      try await expect(
        .init(body: body), headers: ["Content-Digest": "md5=:AAAA:", "Signature": "sig2=:AAAA:"],
        [
          ("Signature", "has no signature named sig1"),
          ("Content-Digest", "must hold a digest by sha-256 or sha-512"),
        ])
      try await expect(
        .init(body: body), headers: [input: "sig1=(\"@path\";sf \"a\" \"a\" tok)", "Signature": "sig1=1"],
        [
          (input, "covers \"@path\";sf, which is no component that is known here"), (input, "covers a twice"),
          (input, "covers tok, which is no component that is known here"),
          ("Signature", "must be a sequence of bytes"),
        ])
      for (value, fault) in [
        ("sig1=(", "cannot be read at byte 6: a value is missing"), ("sig1", "must list what is covered"),
        ("", "must be there with exactly one signature"), ("a=(), b=()", "must be there with exactly one signature"),
      ] {
        let answer = try await fixture.send(.init(body: body), [input: value])
        #expect(answer.json["errors"].array.contains { $0["detail"].string == fault }, "\(value): \(answer.text)")
      }
      try await expect(
        .init(body: body, keyID: "0190a000-0000-7000-8000-000000000000"),
        [(input, "names a key that is not known or was revoked")])
      try await expect(
        .init(body: body), headers: ["Signature": "sig1=:AAAA:"],
        [("Signature", "is not the key's signature of this request")])
      #expect(try await fixture.count() == 0)
    }
  }

  @Test func theClocksMayBeFiveMinutesApart() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { instance in
      var signer = TestSigner()
      try await signer.register(of: "lab", with: instance.client)
      let now = clock.now.milliseconds / 1000
      let body = try Self.one()
      for (offset, status) in [(-301, 401), (-300, 201), (0, 200), (300, 200), (301, 401)] as [(Int64, Int)] {
        let answer = try await signer.send(.init(body: body, created: now + offset), to: instance.client)
        #expect(answer.status == status, "\(offset): \(answer.text)")
      }
      for (offset, status) in [(-1, 401), (0, 401), (1, 200)] as [(Int64, Int)] {
        let request = TestSigner.Request(
          body: body, created: now, furtherParameters: ";alg=\"ed25519\";expires=\(now + offset);nonce=\"n\";tag=\"t\"")
        #expect(try await signer.send(request, to: instance.client).status == status, "\(offset)")
      }
    }
  }

  @Test func aRevokedKeyIsRefusedEverywhere() async throws {
    try await withFixture { fixture in
      let (first, signer) = (fixture.instance, fixture.signer)
      let second = try await TestInstance.start(on: first.configuration, adminKey: first.adminKey)
      defer { Task { await second.stop() } }
      // Registered here, known there at once, since an unknown key is asked for.
      var later = TestSigner()
      try await later.register(of: "lab", with: first.client)
      #expect(try await later.send(.init(body: try Self.one("1")), to: second.client).status == 201)
      #expect(try await signer.send(.init(body: try Self.one("2")), to: second.client).status == 201)
      let path = "/v1/sources/lab/signing-keys"
      #expect(try await first.client.send("DELETE", "\(path)/\(signer.id)").status == 204)
      let refused = try await signer.send(.init(body: try Self.one("3")), to: first.client)
      #expect(refused.status == 401 && refused.json["type"].string == "/problems/invalid-signature")
      try await eventually { try await signer.send(.init(body: try Self.one("2")), to: second.client).status == 401 }
      #expect(try await later.send(.init(body: try Self.one("4")), to: second.client).status == 201)
      // Revoked again: nothing changes. Another source has no such key.
      let list = try await first.client.get(path)
      let listed = list.json["items"].array
      #expect(listed.map { $0["id"].string } == [signer.id, later.id])
      #expect(listed[0]["revoked_at"].string != nil && listed[1]["revoked_at"].string == nil)
      #expect(listed[0]["public_key"].string == signer.pem && listed[0]["name"].string == "scanner")
      #expect(try await first.client.send("DELETE", "\(path)/\(signer.id.uppercased())").status == 204)
      #expect(try await first.client.get(path).text == list.text)
      _ = try await first.client.post("/v1/sources", #"{"slug":"two","name":"Two"}"#)
      #expect(try await first.client.send("DELETE", "/v1/sources/two/signing-keys/\(later.id)").status == 404)
      // A key that was revoked does not come back, and another source may have the same.
      let key: [String: Any] = ["name": "again", "public_key": signer.pem]
      #expect(try await first.client.post(path, object: key).status == 409)
      #expect(try await first.client.post("/v1/sources/two/signing-keys", object: key).status == 201)
      let page = try await first.client.get("\(path)?limit=1")
      let next = try #require(page.json["next_cursor"].string)
      let rest = try await first.client.get("\(path)?limit=1&cursor=\(next)").json["items"].array
      #expect(rest.map { $0["id"].string } == [later.id])
    }
  }

  @Test func aSuspendedSourceSignsInVain() async throws {
    try await withFixture { fixture in
      let client = fixture.instance.client
      let suspension = try await client.send(
        "PATCH", "/v1/sources/lab", headers: ["Content-Type": "application/merge-patch+json"],
        body: Data(#"{"status":"suspended"}"#.utf8))
      #expect(suspension.status == 200)
      let answer = try await fixture.send(.init(body: try Self.one()))
      #expect(answer.status == 403 && answer.json["type"].string == "/problems/forbidden")
      // With a key the key is what counts, whatever else is sent.
      let keyed = try await client.post(
        "/v1/probe-results", object: Posting.result(["source": "lab"]), headers: ["Signature": "x"])
      #expect(keyed.status != 401, "\(keyed.text)")
    }
  }
}
