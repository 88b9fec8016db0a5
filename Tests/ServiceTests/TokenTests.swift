import Crypto
import Foundation
import Testing

@testable import Service
@testable import SingleSignOn

/// What is a token, and what only looks like one.
@Suite struct TokenTests {
  private static let now = Instant(rfc3339: "2026-11-23T08:00:10.000Z")!
  private static let keys = Result { [try SigningKey.rsa("r"), SigningKey.p256("p"), SigningKey.ed25519("e")] }

  private func keySet(_ entries: [[String: Any]]? = nil) async throws -> KeySet {
    try await KeySet(Array(TestIssuer.document(entries ?? Self.keys.get().map { $0.entry() })))
  }

  private func verify(_ token: String, with keys: KeySet? = nil, rolesClaim: String = "roles") async throws
    -> String
  {
    let keys = if let keys { keys } else { try await keySet() }
    let demands = TokenVerifier.Demands(
      issuer: TestIssuer.name, audience: TestIssuer.audience, rolesClaim: rolesClaim)
    switch TokenVerifier(demands).verify(token, with: keys, now: Self.now.milliseconds) {
    case .valid(let token): return "valid: \(token.subject) \(token.name ?? "-") \(token.roles.joined(separator: ","))"
    case .invalid(let fault): return fault.description
    case .unknownKey: return "unknown key"
    }
  }

  private func claims(_ members: [String: Any] = [:]) -> [String: Any] {
    TestIssuer.claims(["reader"], at: Self.now, members)
  }

  @Test(arguments: [0, 1, 2]) func tokensOfAllThreeAlgorithmsAreGood(index: Int) async throws {
    let key = try Self.keys.get()[index]
    #expect(try await verify(try key.token(claims())) == "valid: u-1 alice reader")
    // A key that does not say what it is for, and one that says so in another way.
    for entry in [
      key.jwk.merging(["kid": key.id]) { $1 }, key.jwk.merging(["kid": key.id, "alg": key.algorithm]) { $1 },
    ] as [[String: Any]] {
      #expect(try await verify(try key.token(claims()), with: try await keySet([entry])) == "valid: u-1 alice reader")
    }
    let operations = key.entry(["key_ops": ["verify"], "use": "sig"])
    #expect(
      try await verify(try key.token(claims()), with: try await keySet([operations])) == "valid: u-1 alice reader")
  }

  @Test func whatMayDifferInAGoodToken() async throws {
    let key = try Self.keys.get()[1]
    for (members, header, expected) in [
      (["aud": ["other", "relayrisk"]], [:], "valid: u-1 alice reader"),
      (["exp": Double(Self.now.milliseconds) / 1000 + 0.5], [:], "valid: u-1 alice reader"),
      (
        ["nbf": Self.now.milliseconds / 1000 + 60, "iat": Self.now.milliseconds / 1000 + 60], [:],
        "valid: u-1 alice reader"
      ),
      (
        ["iat": NSNull(), "preferred_username": NSNull(), "email": "a@b.example"], [:], "valid: u-1 a@b.example reader"
      ),
      (["preferred_username": "a\u{1B}[2J"], [:], "valid: u-1 - reader"),
      (["roles": NSNull()], [:], "valid: u-1 alice "),
      (["roles": "reader writer"], [:], "valid: u-1 alice reader,writer"),
      (["roles": ["reader", 1, ["x"]]], [:], "valid: u-1 alice reader"), (["roles": 7], [:], "valid: u-1 alice "),
      ([:], ["typ": NSNull()], "valid: u-1 alice reader"), ([:], ["typ": "at+JWT"], "valid: u-1 alice reader"),
      ([:], ["jku": "https://attacker.example/keys", "x5u": "https://attacker.example"], "valid: u-1 alice reader"),
    ] as [([String: Any], [String: Any], String)] {
      #expect(try await verify(try key.token(claims(members), header: header)) == expected, "\(members) \(header)")
    }
    let nested = claims(["realm_access": ["roles": ["admin"]], "a/b": ["x"]])
    #expect(try await verify(try key.token(nested), rolesClaim: "/realm_access/roles") == "valid: u-1 alice admin")
    #expect(try await verify(try key.token(nested), rolesClaim: "/a~1b") == "valid: u-1 alice x")
    #expect(try await verify(try key.token(nested), rolesClaim: "a/b") == "valid: u-1 alice x")
    #expect(try await verify(try key.token(nested), rolesClaim: "/none/there") == "valid: u-1 alice ")
  }

  @Test func everyCheckRefusesByItself() async throws {
    let key = try Self.keys.get()[1]
    let now = Self.now.milliseconds / 1000
    for (members, header, expected) in [
      (["iss": "https://sign-on.example/"], [:], "is of another issuer"),
      (["iss": NSNull()], [:], "is of another issuer"),
      (["iss": ["https://sign-on.example"]], [:], "is of another issuer"),
      (["aud": "other"], [:], "is for another audience"), (["aud": NSNull()], [:], "is for another audience"),
      (["aud": [["relayrisk"]]], [:], "is for another audience"),
      (["aud": ["relayrisk2"]], [:], "is for another audience"),
      (["exp": NSNull()], [:], "does not say when it expires"), (["exp": now], [:], "has expired"),
      (["exp": now - 1], [:], "has expired"), (["exp": "\(now + 60)"], [:], "has no time in exp"),
      (["exp": 1e300], [:], "has no time in exp"), (["exp": now * 1000], [:], "has no time in exp"),
      (["nbf": now + 61], [:], "is not valid yet"), (["nbf": "soon"], [:], "has no time in nbf"),
      (["iat": now + 61], [:], "was issued in the future"),
      (["sub": NSNull()], [:], "does not name its subject"), (["sub": ""], [:], "does not name its subject"),
      (["sub": 7], [:], "does not name its subject"), (["sub": "a\nb"], [:], "does not name its subject"),
      (["sub": String(repeating: "x", count: 256)], [:], "does not name its subject"),
      ([:], ["alg": "none"], "is not signed with one of RS256, ES256, EdDSA"),
      ([:], ["alg": "HS256"], "is not signed with one of RS256, ES256, EdDSA"),
      ([:], ["alg": "es256"], "is not signed with one of RS256, ES256, EdDSA"),
      ([:], ["alg": "ES384"], "is not signed with one of RS256, ES256, EdDSA"),
      ([:], ["alg": NSNull()], "is not signed with one of RS256, ES256, EdDSA"),
      ([:], ["alg": ["ES256"]], "is not signed with one of RS256, ES256, EdDSA"),
      ([:], ["kid": NSNull()], "does not name its key"), ([:], ["kid": ""], "does not name its key"),
      ([:], ["kid": "x"], "unknown key"), ([:], ["kid": "../p"], "unknown key"),
      ([:], ["crit": ["exp"]], "demands extensions"), ([:], ["crit": []], "demands extensions"),
      ([:], ["typ": "logout+jwt"], "is of another type"), ([:], ["typ": 7], "is of another type"),
    ] as [([String: Any], [String: Any], String)] {
      #expect(try await verify(try key.token(claims(members), header: header)) == expected, "\(members) \(header)")
    }
  }

  /// A token that names a key under an algorithm that is not the key's own.
  @Test func algorithmsAreNotConfused() async throws {
    let keys = try Self.keys.get()
    let (rsa, p256, ed25519) = (keys[0], keys[1], keys[2])
    for (key, other) in [(rsa, p256), (p256, rsa), (ed25519, p256), (p256, ed25519), (rsa, ed25519), (ed25519, rsa)] {
      #expect(
        try await verify(try key.token(claims(), header: ["kid": other.id]))
          == "names a key that is not for \(key.algorithm)"
      )
      #expect(
        try await verify(try key.token(claims(), header: ["alg": other.algorithm, "kid": other.id]))
          == "has a wrong signature")
    }
    // The public key as the secret of an HMAC, which everybody has.
    for secret in [rsa.jwk["n"]!, p256.jwk["x"]!] {
      let hmac = SigningKey(id: rsa.id, algorithm: "HS256", jwk: [:]) { message in
        Data(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: Data(secret.utf8))))
      }
      #expect(try await verify(try hmac.token(claims())).hasPrefix("is not signed with one of"))
      #expect(try await verify(try hmac.token(claims(), header: ["alg": "RS256"])) == "has a wrong signature")
    }
    let unsigned = SigningKey(id: p256.id, algorithm: "none", jwk: [:]) { _ in Data() }
    #expect(try await verify(try unsigned.token(claims())).hasPrefix("is not signed with one of"))
    #expect(try await verify(try unsigned.token(claims(), header: ["alg": "ES256"])) == "cannot be read")
    // A key of the issuer's whose id another key has, too.
    let shared = [rsa.entry(["kid": "s"]), p256.entry(["kid": "s"])]
    for key in [rsa, p256] {
      let token = try key.token(claims(), header: ["kid": "s"])
      #expect(try await verify(token, with: try await keySet(shared)) == "valid: u-1 alice reader")
    }
    #expect(
      try await verify(try ed25519.token(claims(), header: ["kid": "s"]), with: try await keySet(shared))
        == "names a key that is not for EdDSA")
    // Somebody else's key under the same id.
    #expect(try await verify(try SigningKey.p256(p256.id).token(claims())) == "has a wrong signature")
    #expect(try await verify(try SigningKey.ed25519(ed25519.id).token(claims())) == "has a wrong signature")
  }

  @Test(arguments: [0, 1, 2]) func aChangedTokenIsRefused(index: Int) async throws {
    let key = try Self.keys.get()[index]
    let token = try key.token(claims())
    let parts = token.split(separator: ".").map(String.init)
    let elevated = try key.token(claims(["roles": ["admin"]])).split(separator: ".")[1]
    #expect(try await verify("\(parts[0]).\(elevated).\(parts[2])") == "has a wrong signature")
    let signature = Array(try #require(Data(base64Encoded: padded(parts[2]))))
    for position in [0, signature.count / 2, signature.count - 1] {
      var changed = signature
      changed[position] ^= 1
      #expect(try await verify("\(parts[0]).\(parts[1]).\(base64URL(changed))") == "has a wrong signature")
    }
    for changed in [Array(signature.dropLast()), signature + [0], [0], Array(repeating: 0, count: signature.count)] {
      #expect(try await verify("\(parts[0]).\(parts[1]).\(base64URL(changed))") == "has a wrong signature")
    }
    for text in [
      "", ".", "..", "...", "a.b.c", parts[0], "\(parts[0]).\(parts[1])", "\(parts[0]).\(parts[1]).", token + ".x",
      token + "=", " \(token)", "\(token)\n", "\(parts[0])=.\(parts[1]).\(parts[2])",
    ] {
      let verdict = try await verify(text)
      #expect(verdict == "cannot be read", "\(text)")
    }
    #expect(try await verify(String(repeating: "a", count: 8_193)) == "is longer than 8192 bytes")
  }

  private func padded(_ text: String) -> String {
    let plain = text.replacing("-", with: "+").replacing("_", with: "/")
    return plain + String(repeating: "=", count: (4 - plain.count % 4) % 4)
  }

  /// What two readers could read differently.
  @Test func aClaimThatIsThereTwiceIsNoClaim() async throws {
    let key = try Self.keys.get()[1]
    func signed(_ header: String, _ payload: String) throws -> String {
      let message = "\(base64URL(Data(header.utf8))).\(base64URL(Data(payload.utf8)))"
      return message + "." + base64URL(try key.sign(Data(message.utf8)))
    }
    let header = #"{"alg":"ES256","kid":"p"}"#
    let payload = String(decoding: try JSONSerialization.data(withJSONObject: claims()), as: UTF8.self)
    #expect(try await verify(try signed(header, payload)) == "valid: u-1 alice reader")
    #expect(try await verify(try signed(header, payload.dropLast() + #","sub":"u-2"}"#)) == "cannot be read")
    #expect(try await verify(try signed(#"{"alg":"ES256","kid":"p","kid":"q"}"#, payload)) == "cannot be read")
    #expect(try await verify(try signed("[]", payload)) == "cannot be read")
    #expect(try await verify(try signed(header, "[]")) == "cannot be read")
    #expect(try await verify(try signed(header, "{\"sub\":\"\u{FFFD}\"")) == "cannot be read")
  }

  // MARK: - Keys

  @Test func keysThatAreNoneOfOursArePassedOver() async throws {
    let keys = try Self.keys.get()
    let (rsa, p256, ed25519) = (keys[0], keys[1], keys[2])
    let short = try SigningKey.rsa("short", bits: 1024)
    let others: [[String: Any]] = [
      rsa.entry(["use": "enc"]), rsa.entry(["alg": "RS512"]), rsa.entry(["alg": "PS256"]), short.entry(),
      p256.entry(["key_ops": ["sign"]]), p256.entry(["crv": "P-384"]), p256.entry(["alg": "EdDSA"]),
      p256.entry(["x": "AA"]), p256.entry(["y": p256.jwk["x"]!]), p256.entry(["y": NSNull()]),
      ed25519.entry(["crv": "X25519"]), ed25519.entry(["x": "AA"]), ed25519.entry(["alg": "ES256"]),
      ["kty": "oct", "k": "AAAA", "kid": "h", "alg": "HS256"], rsa.jwk, ["kid": 7], [:],
    ]
    for other in others {
      await #expect(throws: KeySetFault.self, "\(other)") { try await keySet([other]) }
      // Beside one that is.
      let set = try await keySet([other, ed25519.entry(["kid": "good"])])
      #expect(
        try await verify(try ed25519.token(claims(), header: ["kid": "good"]), with: set) == "valid: u-1 alice reader")
      for key in [rsa, p256, short] { #expect(set.keys(key.id).isEmpty, "\(other)") }
    }
  }

  @Test(arguments: [
    "", "{", "[]", "{}", #"{"keys":{}}"#, #"{"keys":[]}"#, #"{"keys":[1]}"#, #"{"keys":[],"keys":[]}"#, "null",
  ])
  func whatIsNoKeySetIsRefused(document: String) async {
    await #expect(throws: KeySetFault.self) { try await KeySet(Array(document.utf8)) }
  }

  @Test func aKeySetIsUnambiguousAndBounded() async throws {
    let p256 = try Self.keys.get()[1]
    await #expect(throws: KeySetFault.self) { try await keySet([p256.entry(), SigningKey.p256(p256.id).entry()]) }
    await #expect(throws: KeySetFault.self) { try await keySet((0..<101).map { p256.entry(["kid": "\($0)"]) }) }
    #expect(try await keySet((0..<100).map { p256.entry(["kid": "\($0)"]) }).keys("99").count == 1)
  }

  @Test func keysComeFromAFileOrOverHTTPSOrFromThisMachine() throws {
    for text in [
      "https://sign-on.example/keys", "https://sign-on.example", "https://127.0.0.1:8443/keys", "http://127.0.0.1/keys",
      "http://127.0.0.1:8080/keys?a=b", "http://localhost:1/keys", "http://[::1]/keys", "http://[::1]:8080/keys",
    ] { #expect(try KeySetLocation(text) == .url(text)) }
    for text in ["/etc/relayrisk/keys.json", "keys.json"] { #expect(try KeySetLocation(text) == .file(text)) }
    for text in [
      "http://sign-on.example/keys", "http://127.0.0.1.example/keys", "http://127.0.0.1@evil.example/",
      "http://localhost:x@evil.example/", "https://a@evil.example/", "http://[::2]/", "ftp://127.0.0.1/",
      "file:///etc/passwd",
      "https://", "http:///keys", "://", "HTTP://127.0.0.1/", "http://evil.example#127.0.0.1", "http://127.0.0.2/",
    ] { #expect(throws: KeySetFault.self, "\(text)") { try KeySetLocation(text) } }
  }
}
