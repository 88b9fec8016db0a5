import Crypto
import Foundation
import TestHarness
import Testing

@testable import Service

/// Results that their source signed. What is signed is written out here, as who knows the guide alone would write it.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SignedResultTests {
  private struct Fixture {
    let instance: TestInstance
    /// Of the source `lab`, as is the key.
    var signer = TestSigner()
    let scanner: APIClient
  }

  private func withFixture(_ body: @Sendable (Fixture) async throws -> Void) async throws {
    try await withRegisteredRelay { instance in
      var fixture = Fixture(
        instance: instance, scanner: try await instance.key(.resultsWrite, source: "lab"))
      try await fixture.signer.register(of: "lab", with: instance.client)
      try await body(fixture)
    }
  }

  private static func sha256(_ text: String) -> String {
    SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined()
  }

  /// A result without a signature: as it is sent, and what is signed of it.
  private static func result(_ id: String, evidence: Int = 1) -> (sent: String, signed: String) {
    (
      #"{"provider":"acme","outcome":"fail","check":"encryption.legacy-tls-protocol","evidence":{"n":\#(evidence)},"#
        + #""observed_at":"2026-11-20T08:00:00Z","external_id":"\#(id)"}"#,
      #"{"check":"encryption.legacy-tls-protocol","evidence":"\#(sha256(#"{"n":\#(evidence)}"#))","#
        + #""external_id":"\#(id)","observed_at":"2026-11-20T08:00:00Z","outcome":"fail","provider":"acme"}"#
    )
  }

  /// The text of an object with another member.
  private static func adding(_ member: String, to object: String) -> String { object.dropLast() + ",\(member)}" }

  private static func signed(_ result: (sent: String, signed: String), by signer: TestSigner) throws -> String {
    adding(#""signature":\#(try signer.signature(of: result.signed))"#, to: result.sent)
  }

  /// What anybody does who trusts the public key, with nothing but what is shown.
  private static func isVerified(_ signature: JSON) throws -> Bool {
    let pem = try #require(signature["public_key"].string).split(separator: "\n")
    let der = try #require(Data(base64Encoded: pem.dropFirst().dropLast().joined()))
    let key = try Curve25519.Signing.PublicKey(rawRepresentation: der.suffix(32))
    let value = try #require(signature["value"].string.flatMap { Data(base64Encoded: $0) })
    let signed = try #require(signature["signed"].string)
    return key.isValidSignature(value, for: Data(signed.utf8))
  }

  // MARK: - What is right

  @Test func aSignatureIsShownWithAllThatVerifiesItAlsoWithoutTheEvidence() async throws {
    try await withFixture { fixture in
      let (instance, signer) = (fixture.instance, fixture.signer)
      // Spelled in ways that are not stored, with a secret that is replaced.
      let sent = #"""
        {"provider": "api.acme.example", "check": "encryption.legacy-tls-protocol", "outcome": "fail", "run_id": null,
         "observed_at": "2026-11-20T09:00:00.5+01:00", "target": "HTTPS://Api.Acme.Example:443/v1/?q",
         "confidence": 0.50, "external_id": "1", "note": "\u00e4\u0008/", "vantage": {"country": "SG", "asn": 64500},
         "evidence": {"z": 1E21, "\u20ac": null, "mail": "alice@acme.example", "a": {"c": [], "b": [1.0, 1e-7]}}}
        """#
      let evidence = #"{"a":{"b":[1,1e-7],"c":[]},"mail":"alice@acme.example","z":1e+21,"€":null}"#
      let signed =
        #"{"check":"encryption.legacy-tls-protocol","confidence":0.5,"evidence":"\#(Self.sha256(evidence))","#
        + #""external_id":"1","note":"ä\b/","observed_at":"2026-11-20T09:00:00.5+01:00","outcome":"fail","#
        + #""provider":"api.acme.example","run_id":null,"target":"HTTPS://Api.Acme.Example:443/v1/?q","#
        + #""vantage":{"asn":64500,"country":"SG"}}"#
      let text = try Self.signed((sent, signed), by: signer)
      let posted = try await fixture.scanner.post("/v1/probe-results", text)
      #expect(posted.status == 201, "\(posted.text)")
      #expect(posted.json["evidence"]["mail"].string?.hasPrefix("[redacted:email:") == true)
      let path = "/v1/probe-results/\(try #require(posted.json["id"].string))"
      let reader = try await instance.key(.evidenceRead)
      func shown() async throws -> [JSON] {
        let list = try await reader.get("/v1/providers/acme/probe-results")
        return [try await reader.get(path).json, try await fixture.scanner.get(path).json, list.json["items"][0]]
      }
      for result in [posted.json] + (try await shown()) {
        let signature = result["signature"]
        #expect(signature.keys == ["keyid", "value", "signed", "public_key"])
        #expect(signature["signed"].string == signed && signature["keyid"].string == signer.id)
        #expect(signature["public_key"].string == signer.pem)
        #expect(try Self.isVerified(signature))
      }
      // Who may not read the result does not see it.
      let other = try await instance.client.post("/v1/sources", #"{"slug":"two","name":"Two"}"#)
      #expect(other.status == 201)
      #expect(try await instance.key(.resultsWrite, source: "two").get(path).status == 404)
      #expect(try await instance.key(.scoresRead).get(path).status == 403)

      // The evidence is gone, and the key no longer signs.
      try await instance.database.execute("delete from result_evidence")
      #expect(
        try await instance.client.send("DELETE", "/v1/sources/lab/signing-keys/\(signer.id)").status == 204)
      for result in try await shown() {
        #expect(result["evidence"].isNull && result["signature"]["signed"].string == signed)
        #expect(try Self.isVerified(result["signature"]))
      }
    }
  }

  @Test func aRepetitionKeepsTheFirstSignature() async throws {
    try await withFixture { fixture in
      let result = Self.result("1")
      let text = try Self.signed(result, by: fixture.signer)
      let keyed = ["Idempotency-Key": "one"]
      let first = try await fixture.scanner.post("/v1/probe-results", text, headers: keyed)
      #expect(first.status == 201, "\(first.text)")
      #expect(try await fixture.scanner.post("/v1/probe-results", text, headers: keyed).body == first.body)
      var second = TestSigner()
      try await second.register(of: "lab", with: fixture.instance.client)
      for again in [text, result.sent, try Self.signed(result, by: second)] {
        let answer = try await fixture.scanner.post("/v1/probe-results", again)
        #expect(answer.status == 200 && answer.body == first.body, "\(answer.text)")
      }
      let unsigned = Self.result("2")
      for again in [unsigned.sent, try Self.signed(unsigned, by: second)] {
        let answer = try await fixture.scanner.post("/v1/probe-results", again)
        #expect(answer.json["external_id"].string == "2" && answer.json["signature"].isNull, "\(answer.text)")
      }
      // Null is as good as nothing, and says nothing of what is signed.
      let null = try await fixture.scanner.post(
        "/v1/probe-results", Self.adding(#""signature":null"#, to: Self.result("3").sent))
      #expect(null.status == 201 && null.json["signature"].isNull, "\(null.text)")
      // An admin's key names the source, and the source's key signs that too.
      let named = Self.result("4")
      let (sent, signed) = (
        Self.adding(#""source":"lab""#, to: named.sent), Self.adding(#""source":"lab""#, to: named.signed)
      )
      let byAdmin = try await fixture.instance.client.post(
        "/v1/probe-results", try Self.signed((sent, signed), by: second))
      #expect(byAdmin.status == 201, "\(byAdmin.text)")
      #expect(try Self.isVerified(byAdmin.json["signature"]))
    }
  }

  @Test func ofManyOneThatIsWronglySignedIsRejectedAlone() async throws {
    try await withFixture { fixture in
      let texts = try (1...4).map { try Self.signed(Self.result("\($0)"), by: fixture.signer) }
      let wrong = texts[1].replacing(#""n":1"#, with: #""n":2"#)
      let lines = [texts[0], wrong, texts[2], Self.result("5").sent]
      let batch = #"{"results":[\#(lines.joined(separator: ","))]}"#
      let atomic = try await fixture.scanner.post("/v1/probe-results?atomic=true", batch)
      #expect(atomic.json["rejected"].integer == 4, "\(atomic.text)")
      let many = try await fixture.scanner.post("/v1/probe-results", batch)
      let statuses = many.json["results"].array.map { $0["status"].string }
      #expect(statuses == ["accepted", "rejected", "accepted", "accepted"])
      #expect(many.json["results"][1]["problem"]["status"].integer == 422)
      #expect(many.json["results"][1]["problem"].pointers == ["/signature/value"])
      let stream = try await fixture.scanner.send(
        "POST", "/v1/probe-results", headers: ["Content-Type": "application/x-ndjson"],
        body: Data((lines + [texts[3]]).joined(separator: "\n").utf8))
      #expect(["accepted", "duplicates", "rejected"].map { stream.json[$0].integer } == [1, 3, 1], "\(stream.text)")
      let list = try await fixture.scanner.get("/v1/providers/acme/probe-results").json["items"].array
      #expect(list.map { $0["external_id"].string } == ["4", "5", "3", "1"])
      #expect(list.map { $0["signature"].isNull } == [false, true, false, false])
      for result in list where !result["signature"].isNull { #expect(try Self.isVerified(result["signature"])) }
    }
  }

  // MARK: - What is wrong

  @Test func everyFaultOfASignatureIsNamed() async throws {
    try await withFixture { fixture in
      let client = fixture.instance.client
      _ = try await client.post("/v1/sources", #"{"slug":"two","name":"Two"}"#)
      var (revoked, foreign) = (TestSigner(), TestSigner())
      try await revoked.register(of: "lab", with: client)
      try await foreign.register(of: "two", with: client)
      #expect(try await client.send("DELETE", "/v1/sources/lab/signing-keys/\(revoked.id)").status == 204)
      var impostor = TestSigner()
      impostor.id = fixture.signer.id
      let result = Self.result("1")
      let right = try Self.signed(result, by: fixture.signer)
      let unsigned = "is not the key's signature of what is signed of this result, which has the SHA-256 "
      let noKey = "is the id of no signing key of the source"
      func with(_ signature: String) -> String { Self.adding(#""signature":\#(signature)"#, to: result.sent) }
      let id = fixture.signer.id
      for (text, faults) in [
        (right.replacing(#""fail""#, with: #""pass""#), [("/signature/value", unsigned)]),
        (right.replacing(#""n":1"#, with: #""n":1.5"#), [("/signature/value", unsigned)]),
        (right.replacing(#""evidence":{"n":1},"#, with: ""), [("/signature/value", unsigned)]),
        (right.replacing("08:00:00Z", with: "08:00:00.0Z"), [("/signature/value", unsigned)]),
        (Self.adding(#""note":null"#, to: right), [("/signature/value", unsigned)]),
        (try Self.signed(result, by: impostor), [("/signature/value", unsigned)]),
        (try Self.signed(result, by: foreign), [("/signature/keyid", noKey)]),
        (try Self.signed(result, by: TestSigner()), [("/signature/keyid", noKey)]),
        (try Self.signed(result, by: revoked), [("/signature/keyid", "is the id of a signing key that was revoked")]),
        (with(#""x""#), [("/signature", "must be an object, not a string")]),
        (with("{}"), [("/signature/keyid", "is required"), ("/signature/value", "is required")]),
        (
          with(#"{"keyid":"\#(id)","value":"AAAA","alg":1}"#),
          [
            ("/signature/value", "must be the 64 bytes of an Ed25519 signature in base64"),
            ("/signature/alg", "is not a known field"),
          ]
        ),
        (
          right.replacing(#""fail""#, with: #""failed""#),
          [("/outcome", "must be one of "), ("/signature/value", unsigned)]
        ),
      ] as [(String, [(String, String)])] {
        let answer = try await fixture.scanner.post("/v1/probe-results", text)
        let named = answer.json["errors"].array.map { ($0["pointer"].string ?? "", $0["detail"].string ?? "") }
        #expect(answer.status == 422 && named.map(\.0) == faults.map(\.0), "\(text): \(answer.text)")
        for (fault, expected) in zip(named, faults) { #expect(fault.1.hasPrefix(expected.1), "\(answer.text)") }
      }
      // The hash is that of what the service verified, for who made another text of the same result.
      let other = try await fixture.scanner.post("/v1/probe-results", try Self.signed(result, by: impostor))
      #expect(other.json["errors"][0]["detail"].string == unsigned + Self.sha256(result.signed))
      let stored = try await fixture.instance.database.query("select count(*) from result") { try $0.next(Int.self) }
      #expect(stored == [0])
    }
  }

  /// What is signed is kept as it was sent, so nothing may be in it that would not be stored.
  @Test func whatIsSignedHoldsNoSecretAndNoNumberThatIsNotSigned() async throws {
    try await withFixture { fixture in
      for (member, pointer) in [
        (#""note":"ask bob@acme.example""#, "/note"),
        (#""target":"https://acme.example/?mail=bob@acme.example""#, "/target"),
      ] {
        let (sent, signed) = Self.result("1")
        // Both names come after all others but one, and `provider` before them.
        let text = Self.adding(member, to: sent)
        let place = pointer == "/note" ? #","observed_at""# : "}"
        let canonical = signed.replacing(place, with: ",\(member)\(place)")
        let answer = try await fixture.scanner.post(
          "/v1/probe-results", try Self.signed((text, canonical), by: fixture.signer))
        #expect(answer.status == 422 && answer.json.pointers == [pointer], "\(answer.text)")
        #expect(try await fixture.scanner.post("/v1/probe-results", text).status == 201)
        try await fixture.instance.database.execute("delete from result_identity")
      }
      for (number, isSigned) in [("9007199254740991", true), ("-9007199254740993", false), ("1e400", false)] {
        let (sent, signed) = Self.result("2")
        let text = sent.replacing(#""n":1"#, with: #""n":[{"a/b":\#(number)}]"#)
        let hash = Self.sha256(#"{"n":[{"a/b":\#(number)}]}"#)
        let canonical = signed.replacing(Self.sha256(#"{"n":1}"#), with: hash)
        let answer = try await fixture.scanner.post(
          "/v1/probe-results", try Self.signed((text, canonical), by: fixture.signer))
        #expect(answer.status == (isSigned ? 201 : 422), "\(number): \(answer.text)")
        if !isSigned { #expect(answer.json.pointers.allSatisfy { $0 == "/evidence/n/0/a~1b" }, "\(answer.text)") }
      }
    }
  }
}
