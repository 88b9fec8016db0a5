import Crypto
import Foundation
import HTTPServer
import JSON
import Testing

@testable import Service

/// HTTP message signatures (RFC 9421) without sockets.
@Suite struct MessageSignatureTests {
  /// The request of appendix B.2, and its signature of B.2.6.
  private static let fields = [
    ("Host", "example.com"), ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("Content-Type", "application/json"),
    (
      "Content-Digest",
      "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
    ), ("Content-Length", "18"),
    (
      "Signature-Input",
      #"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");"#
        + #"created=1618884473;keyid="test-key-ed25519""#
    ),
    ("Signature", "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"),
  ]
  /// `test-key-ed25519` of B.1.4.
  private static let key = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
    -----END PUBLIC KEY-----

    """

  private typealias Fields = [(String, String)]

  private func head(target: String = "/foo?param=Value&Pet=dog", _ change: (Fields) -> Fields = { $0 }) -> RequestHead {
    RequestHead(method: .post, target: target, headers: Headers(change(Self.fields).map { ($0, $1) }))
  }

  private func isValid(_ head: RequestHead) throws -> Bool {
    let key = try Service.SigningKey.PublicKey(JSONField(value: .string(Self.key), pointer: "/public_key"))
    #expect(key.pem == Self.key)
    let signature = try MessageSignature(head.headers)
    return key.isValid(signature.value, of: try signature.base(of: head))
  }

  @Test func theVectorOfTheRFCIsValid() throws {
    #expect(try isValid(head()))
    // What is not covered may change, and how it is written does not matter.
    #expect(try isValid(head(target: "/foo?other")))
    #expect(try isValid(head { $0.map { ($0.0, $0.1.replacing("(\"date\" ", with: "(  \"date\"   ")) } }))
    #expect(try isValid(head { $0.map { ($0.0, $0.1.replacing("example.com", with: "EXAMPLE.com")) } }))
    // What is covered may not.
    #expect(try !isValid(head(target: "/Foo")))
    for (name, value) in [
      ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"), ("Host", "example.org"), ("Content-Length", "19"),
      ("Content-Type", "application/json; charset=utf-8"),
      ("Signature-Input", Self.fields[5].1.replacing("1618884473", with: "1618884474")),
      ("Signature-Input", Self.fields[5].1 + ";tag=\"x\""),
      ("Signature", "sig-b26=:" + Self.fields[6].1.dropFirst("sig-b26=:x".count)),
    ] {
      let changed = head { $0.map { $0.0 == name ? (name, value) : $0 } }
      #expect((try? isValid(changed)) != true, "\(name): \(value)")
    }
  }

  @Test func theDigestsOfTheRFCAreThoseOfTheBody() throws {
    let body = Array(#"{"hello": "world"}"#.utf8)
    for value in [
      Self.fields[3].1, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
      "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, \(Self.fields[3].1)",
      "md5=:AAAA:, sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "unixsum=7, \(Self.fields[3].1)",
    ] {
      let digest = try ContentDigest(Headers([("Content-Digest", value)]))
      #expect(digest.matches(body), "\(value)")
      #expect(!digest.matches(body + [0x0A]) && !digest.matches([]), "\(value)")
    }
    // Each that is there has to be right.
    let mixed = "sha-256=:\(Base64.encode(Array(repeating: 0, count: 32))):, \(Self.fields[3].1)"
    #expect(try !ContentDigest(Headers([("Content-Digest", mixed)])).matches(body))
    for value in [
      "", "md5=:AAAA:", "sha-256=?1", "sha-256", "sha-256=:AAAA:", "sha-256=\"x\"", "sha-256=(1)", "sha-512=:AAAA:",
      "sha-256=:\(Base64.encode(Array(repeating: 0, count: 33))):", "sha-256", "SHA-256=:AAAA:",
    ] {
      #expect(throws: JSONFault.self, "\(value)") { try ContentDigest(Headers([("Content-Digest", value)])) }
    }
  }

  @Test(arguments: [
    ("PUBLIC KEY", ""), ("PUBLIC KEY", "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0b=="),
    ("PUBLIC KEY", "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="),
    // X25519, which signs nothing.
    ("PUBLIC KEY", "MCowBQYDK2VuAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="),
    ("PRIVATE KEY", "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="),
    ("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"),
  ])
  func whatIsNoPublicKeyIsRefused(label: String, content: String) {
    let text = "-----BEGIN \(label)-----\n\(content)\n-----END \(label)-----\n"
    #expect(throws: JSONFault.self) {
      try Service.SigningKey.PublicKey(JSONField(value: .string(text), pointer: "/public_key"))
    }
  }
}
