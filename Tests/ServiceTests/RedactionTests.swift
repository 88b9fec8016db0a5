import Crypto
import Foundation
import JSON
import RiskModel
import TestHarness
import Testing

@testable import Service

struct RedactionTests {
  private static let redactor = Redactor(key: SymmetricKey(data: [UInt8](repeating: 7, count: 32)))

  /// What is stored of evidence, as it is written.
  private static func stored(_ evidence: String, by redactor: Redactor = redactor) throws -> String {
    let result = ProbeResult(
      provider: .least, source: .least, check: 0, checkID: "a", outcome: .fail,
      observedAt: Instant(milliseconds: 0), target: Target(address: "a.example"), confidence: 1, externalID: nil,
      runID: nil, vantage: nil, scanner: nil, note: nil, evidence: try JSONReader.read(Array(evidence.utf8)).value)
    var json = JSONWriter()
    json.value(redactor.redacted(result).evidence!)
    return String(decoding: json.bytes, as: UTF8.self)
  }

  private static func quoted(_ text: String) -> String {
    var json = JSONWriter()
    json.value(text)
    return String(decoding: json.bytes, as: UTF8.self)
  }

  /// A text within an object, after redaction.
  private static func stored(text: String) throws -> String {
    let object = try JSONReader.read(Array(try stored(#"{"seen":\#(quoted(text))}"#).utf8)).value
    guard case .object(let object) = object, case .string(let seen)? = object["seen"] else { return "" }
    return seen
  }

  /// Made up, put together here so that no scanner of repositories takes them for real ones.
  private static func random(_ count: Int, _ alphabet: String = "aB3dE5gH7jK9mN2pQ4rS6tU8vW") -> String {
    String(repeating: alphabet, count: count / alphabet.count + 1).prefix(count).description
  }
  private static let hex = "0123456789abcdef"
  private static let uuid = "01933a2b-7c4d-7e5f-8a6b-9c0d1e2f3a4b"

  static let secrets: [(kind: SecretKind, text: String)] = [
    (.openAI, "sk-proj-" + random(60) + "_" + random(60)), (.openAI, "sk-svcacct-" + random(80)),
    (.openAI, "sk-admin-" + random(80)), (.openAI, "sk-" + random(20) + "T3BlbkFJ" + random(20)),
    (.openAI, "sess-" + random(40)), (.anthropic, "sk-ant-api03-" + random(90) + "-" + random(8) + "AA"),
    (.openRouter, "sk-or-v1-" + random(64, hex)), (.deepSeek, "sk-" + random(32, hex)),
    (.apiKey, "sk-" + random(48)), (.googleAPI, "AIza" + random(30) + "-_x1z"), (.googleToken, "ya29." + random(60)),
    (.googleToken, "GOCSPX-" + random(28)), (.groq, "gsk_" + random(52)), (.xAI, "xai-" + random(80)),
    (.huggingFace, "hf_" + random(34)), (.huggingFace, "api_org_" + random(34)), (.perplexity, "pplx-" + random(48)),
    (.replicate, "r8_" + random(37)), (.nvidia, "nvapi-" + random(64)), (.cerebras, "csk-" + random(48)),
    (.awsKeyID, "AKIA" + random(16, "ABCDEFGH234567")), (.awsKeyID, "ASIA" + random(16, "ABCDEFGH234567")),
    (.alibabaKeyID, "LTAI" + random(20)), (.tencentKeyID, "AKID" + random(32)),
    (.azureStorage, random(76) + "+ASt" + random(6) + "=="), (.github, "ghp_" + random(36)),
    (.github, "gho_" + random(36)), (.github, "ghu_" + random(36)), (.github, "ghs_" + random(36)),
    (.github, "ghr_" + random(36)), (.github, "github_pat_" + random(22) + "_" + random(59)),
    (.gitlab, "glpat-" + random(20)), (.gitlab, "gldt-" + random(20)), (.gitlab, "glrt-" + random(20)),
    (.gitlab, "glptt-" + random(40)), (.gitlab, "gloas-" + random(64)), (.gitlab, "glcbt-" + random(20)),
    (.slack, "xoxb-1234567890-" + random(24)), (.slack, "xoxp-1234567890-" + random(24)),
    (.slack, "xoxa-2-" + random(24)), (.slack, "xoxe-1-" + random(24)), (.slack, "xoxr-" + random(24)),
    (.slack, "xoxs-" + random(24)), (.slack, "xapp-1-" + random(24)), (.stripe, "sk_live_" + random(24)),
    (.stripe, "rk_live_" + random(24)), (.stripe, "sk_test_" + random(24)),
    (.relayrisk, "rr_\(uuid)_" + random(64, hex)),
    (.jsonWebToken, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + random(43)),
    (.jsonWebToken, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
    (.privateKey, "-----BEGIN PRIVATE KEY-----\nMIIE\(random(64))\n-----END PRIVATE KEY-----"),
    (.privateKey, "-----BEGIN EC PRIVATE KEY-----\\nMIIE\(random(64))\\n-----END EC PRIVATE KEY-----"),
    (.privateKey, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn"),
    (.privateKey, "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ\(random(64))\n-----END PGP PRIVATE KEY BLOCK-----"),
    (.email, "mei.lin+relay@example.com"), (.email, "a@b.cd"), (.chineseID, "11010519491231002X"),
    (.chineseID, "11010519491231002x"), (.chineseID, "440308199901101512"), (.chineseMobile, "13800138000"),
    (.chineseMobile, "+8613800138000"), (.chineseMobile, "+86 13800138000"), (.chineseMobile, "+86-19912345678"),
    (.chineseMobile, "8613800138000"), (.chineseMobile, "008613800138000"),
  ]

  @Test func aSecretIsReplacedWhereverItStands() throws {
    for (kind, secret) in Self.secrets {
      let alone = try Self.stored(text: secret)
      #expect(alone.wholeMatch(of: /\[redacted:([a-z-]+):[0-9a-f]{16}\]/)?.1 == kind.rawValue[...], "\(secret)")
      // A key that was cut off reaches to the end.
      if kind == .privateKey, !secret.contains("END") { continue }
      for (before, after) in [
        ("got ", " back"), ("key=", "&x=1"), ("(", ")"), ("\"", "\""), ("密钥：", "。"), ("a\\n", ", b"), ("?k%3D", "&"),
        ("https://x.example/", "?a"), ("", "\n"),
      ] {
        // An address takes in what may be a part of it, and of a number in a path nobody can know what it is.
        if kind == .email, before.hasSuffix("D") || before.hasSuffix("n") || before.hasSuffix("=") { continue }
        #expect(try Self.stored(text: before + secret + after) == before + alone + after, "\(before)\(secret)\(after)")
      }
      let name = try Self.stored(#"{"a":{\#(Self.quoted(secret)):[null,\#(Self.quoted(secret))]}}"#)
      #expect(name == #"{"a":{"\#(alone)":[null,"\#(alone)"]}}"#)
    }
    #expect(Set(Self.secrets.map(\.kind)).union(Self.labelled.map(\.kind)) == Set(SecretKind.allCases))
  }

  /// Texts in which `secret` is one by what stands before it.
  static let labelled: [(kind: SecretKind, before: String, secret: String)] = [
    (.bearerToken, "Bearer ", random(24)), (.bearerToken, "Authorization: bearer ", random(24) + "-" + random(8)),
    (.bearerToken, #"{\"authorization\": \"Bearer "#, random(24)),
    (.authorization, "Authorization: Basic ", "dXNlcjpwYXNz"),
    (.authorization, "proxy-authorization: ", random(40)), (.authorization, "Authorization: Token ", random(40, hex)),
    (.apiKey, "x-api-key: ", random(32, hex)), (.apiKey, "api_key=", random(32)),
    (.apiKey, "X-Goog-Api-Key: ", random(39)),
    (.azureStorage, "AccountName=x;AccountKey=", random(86) + "=="),
    (.awsSecret, "aws_secret_access_key = ", random(30) + "/+" + random(8)),
    (.awsSecret, #"SecretAccessKey": ""#, random(40)), (.alibabaSecret, "accessKeySecret: ", random(30)),
    (.tencentSecret, "TENCENTCLOUD_SECRET_KEY=", random(32)),
  ]

  @Test func whatALabelAnnouncesIsReplaced() throws {
    for (kind, before, secret) in Self.labelled {
      let stored = try Self.stored(text: before + secret + " x")
      #expect(stored.hasPrefix("\(before)[redacted:\(kind.rawValue):") && stored.hasSuffix("] x"), "\(before)\(secret)")
    }
    for evidence in [
      #"{"headers":{"X-Api-Key":"\#(Self.random(32))"}}"#,
      #"{"headers":{"authorization":["Basic dXNlcjpwYXNz"]}}"#,
      #"{"headers":[{"name":"api-key","value":"\#(Self.random(32, Self.hex))"}]}"#,
    ] {
      let stored = try Self.stored(evidence)
      #expect(stored.contains("[redacted:"), "\(evidence)")
      #expect(!stored.contains("dXNlcjpwYXNz") && !stored.contains("aB3dE5") && !stored.contains("01234"))
    }
  }

  @Test func theKeyBesideAnIdIsReplacedOnBothSides() throws {
    for (id, secret, kind) in [
      ("AKIA" + Self.random(16, "ABCDEFGH234567"), Self.random(38) + "/+", "aws-secret-key"),
      ("LTAI" + Self.random(20), Self.random(30), "alibaba-secret-key"),
      ("AKID" + Self.random(32), Self.random(32), "tencent-secret-key"),
    ] {
      #expect(try Self.stored(text: secret) == secret)
      for evidence in [#"{"a":"\#(id)","b":["\#(secret)"]}"#, #"{"a":"x \#(secret) y","b":"\#(id)"}"#] {
        let stored = try Self.stored(evidence)
        #expect(!stored.contains(secret) && stored.contains("[redacted:\(kind):"), "\(stored)")
      }
    }
  }

  @Test func aSecretHasOneFingerprintWhereverItStandsAndAnotherUnderAnotherKey() throws {
    let key = "sk-ant-api03-" + Self.random(90)
    let alone = try Self.stored(text: key)
    #expect(try Self.stored(text: "Authorization: Bearer \(key)") == "Authorization: Bearer \(alone)")
    #expect(try Self.stored(#"{"x-api-key":"\#(key)"}"#) == #"{"x-api-key":"\#(alone)"}"#)
    #expect(try Self.stored(text: "+86 13800138000") == Self.stored(text: "13800138000"))
    #expect(try Self.stored(text: "11010519491231002x") == Self.stored(text: "11010519491231002X"))
    #expect(try Self.stored(text: key + "b") != alone)
    let other = Redactor(key: SymmetricKey(data: [UInt8](repeating: 8, count: 32)))
    #expect(try Self.stored(#"{"seen":"\#(key)"}"#, by: other) != #"{"seen":"\#(alone)"}"#)
    // What is sent with what replaced a secret before is left.
    #expect(try Self.stored(text: alone) == alone)
    // Two names that become the same one stay two.
    let names = try Self.stored(#"{"13800138000":1,"+8613800138000":2}"#)
    #expect(try JSONReader.read(Array(names.utf8)).faults.isEmpty)
    #expect(names.hasSuffix(#" (2)":2}"#))
  }

  static let lookAlikes = [
    random(64, hex), "sha256:" + random(64, hex), random(40, hex), random(32, hex), uuid, "claude-3-5-sonnet-20241022",
    "gpt-4o-2024-08-06", "Qwen2.5-72B-Instruct", "sk-learn", "sk-learn-contrib-imbalanced-learn-0.12.3",
    "task-" + random(40), "2026-11-23T08:00:00.000Z", "1764136000", "1764136000123", "1764136000123456",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "chacha20-poly1305@openssh.com",
    "curve25519-sha256@libssh.org", "git@github.com:acme/relay.git", "icon@2x.png", "npm:@types/node@20.1.0", "a@b",
    "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD", "sha512-" + random(86) + "==", random(88),
    "-----BEGIN CERTIFICATE-----\nMIID\(random(64))\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\(random(64))\n-----END PUBLIC KEY-----", "Bearer realm=\"relay\"",
    "Bearer authentication is needed", "WWW-Authenticate: Basic realm=\"x\"", "Authorization: required",
    "Authorization: Bearer <token>", "x-api-key: your-key-goes-here", "api_key: missing", "eyJhbGciOiJIUzI1NiJ9",
    "AKIA", "AKIAshort", "xai-grok-beta", "hf_hub_download", "pplx-70b-online", "rr_\(uuid)_short", "ghp_short",
    "12345678901", "10800138000", "138001380001", "0.13800138000", "13800138000.5", "a13800138000", "13800138000b",
    "11010519491231002", "110105194912310021", "110105194913310028", "990105194912310021", "440308199902301513",
    "SHA256withRSA", "v1.2.3-rc.1+build.20241022", "203.0.113.7", "2001:db8::8:800:200c:417a", "[redacted]",
    "63072000 seconds", "AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384", "req_" + random(24), "chatcmpl-" + random(29),
    "msg_" + random(24), "fp_" + random(10, hex),
  ]

  @Test func whatOnlyLooksLikeASecretIsLeft() throws {
    for text in Self.lookAlikes {
      #expect(try Self.stored(text: text) == text)
      #expect(try Self.stored(text: "x: \(text), y") == "x: \(text), y")
    }
    let numbers = #"{"a":13800138000,"b":110105194912310021,"c":true,"d":null,"e":{}}"#
    #expect(try Self.stored(numbers) == numbers)
  }

  @Test func inReportsOfScannersNothingIsReplaced() throws {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/testssl")
    let reports = try FileManager.default.contentsOfDirectory(at: fixtures, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "json" }
    #expect(reports.count > 20)
    for report in reports {
      // As one text, too, for the one that is cut off.
      let text = try String(contentsOf: report, encoding: .utf8)
      #expect(try Self.stored(text: text) == text, "\(report.lastPathComponent)")
      guard let value = try? JSONReader.read(Array(text.utf8)).value else { continue }
      var json = JSONWriter()
      json.value(value)
      let whole = #"{"report":\#(String(decoding: json.bytes, as: UTF8.self))}"#
      #expect(try Self.stored(whole) == whole, "\(report.lastPathComponent)")
    }
  }

  /// Each makes a careless reader look again and again at the same bytes.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: [
      "sk-", "sk-proj-", "eyJ-", "eyJhbGciOiJub25lIn0.", "@a.", "a@", "a.a@", "-----BEGIN ", "-----BEGIN PRIVATE KEY",
      "1", "+86", "authorization: ", "Bearer ", "AccountKey=", "a_", "x-api-key", "AIza", "/", "%20", "\\",
    ]) func noTextTakesLongerThanItsLength(_ piece: String) throws
  {
    let length = ProbeResult.evidenceBytesMax
    let text = String(repeating: piece, count: length / piece.utf8.count) + "."
    #expect(try !Self.stored(text: text).isEmpty)
    #expect(try !Self.stored(text: String(text.reversed())).isEmpty)
  }

  @Test func whatIsStoredAndAnsweredHasNoSecretAndARepetitionIsRecognised() async throws {
    try await withRegisteredRelay { instance in
      let key = "sk-ant-api03-" + Self.random(90)
      let body = Posting.result([
        "source": "lab", "observed_at": "2026-01-05T07:00:00Z", "note": "asked with \(key)",
        "evidence": ["request": ["x-api-key": key], "status": 200],
      ])
      let posted = try await instance.client.post("/v1/probe-results", object: body)
      #expect(posted.status == 201 && !posted.text.contains(key), "\(posted.text)")
      let mark = try #require(posted.json["evidence"]["request"]["x-api-key"].string)
      #expect(mark.hasPrefix("[redacted:anthropic-key:"))
      #expect(posted.json["note"].string == "asked with \(mark)")
      let again = try await instance.client.post("/v1/probe-results", object: body)
      #expect(again.status == 200 && again.body == posted.body)
      #expect(try await instance.client.get("/v1/probe-results/\(posted.json["id"].string!)").body == posted.body)
      // Another key under the same identity is another result, though both are redacted.
      var other = body
      other["note"] = "asked with \(key)b"
      #expect(try await instance.client.post("/v1/probe-results", object: other).status == 409)
    }
  }
}
