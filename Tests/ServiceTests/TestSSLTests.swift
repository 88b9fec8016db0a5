import Foundation
import JSON
import Testing

@testable import Service

/// Whole reports of real scans: what each must come to, check by check.
struct TestSSLTests {
  /// One report and what it must come to.
  struct Expected: Sendable, CustomTestStringConvertible {
    let file: String
    var version: String?
    /// For each target its address and then `check outcome`, without the concern.
    let targets: [(address: String, conclusions: [String])]

    var testDescription: String { file }
  }

  private static let allPass = [
    "hsts-missing pass", "legacy-tls-protocol pass", "weak-cipher-suites pass", "certificate-invalid pass",
    "weak-certificate-key pass", "known-tls-vulnerability pass",
  ]
  /// As `allPass`, but scanned without being told of the private CA.
  private static let privateCA = [
    "hsts-missing pass", "legacy-tls-protocol pass", "weak-cipher-suites pass", "certificate-invalid fail",
    "weak-certificate-key pass", "known-tls-vulnerability pass",
  ]
  /// The weak server has every fault that Debian's OpenSSL can still be made to show; no attack works on it.
  private static let weak = [
    "hsts-missing fail", "legacy-tls-protocol fail", "weak-cipher-suites fail", "certificate-invalid fail",
    "weak-certificate-key fail", "known-tls-vulnerability pass",
  ]
  /// No certificate was seen and no HTTP was spoken, so those are not filed; the rest says "OK" and counts nothing.
  private static let noTLS = [
    "legacy-tls-protocol inconclusive", "weak-cipher-suites inconclusive", "known-tls-vulnerability inconclusive",
  ]
  private static let twoCertificates = [
    "hsts-missing fail", "legacy-tls-protocol pass", "certificate-invalid fail", "weak-certificate-key pass",
  ]
  private static let good = "relay-good.test:28441"
  private static let weakAddress = "127.0.0.1:28442"

  static let expected: [Expected] =
    ["3.0.8", "3.3dev"].flatMap { (version: String) in
      [
        Expected(file: "\(version)-closed-flat", targets: [("127.0.0.1:28445", [])]),
        Expected(file: "\(version)-good-flat", targets: [(good, allPass)]),
        Expected(file: "\(version)-ipv6-flat", targets: [("[::1]:28441", Array(allPass.prefix(2)))]),
        Expected(file: "\(version)-plain-http-flat", targets: [("127.0.0.1:28444", noTLS)]),
        Expected(
          file: "\(version)-two-certificates-pretty", version: version,
          targets: [("relay-good.test:28443", twoCertificates)]),
        Expected(
          file: "\(version)-two-targets-flat",
          targets: [(good, ["legacy-tls-protocol pass"]), (weakAddress, ["legacy-tls-protocol fail"])]),
        Expected(
          file: "\(version)-two-targets-pretty", version: version,
          targets: [(good, ["legacy-tls-protocol pass"]), (weakAddress, ["legacy-tls-protocol fail"])]),
        Expected(file: "\(version)-weak-flat", targets: [(weakAddress, weak)]),
      ]
    } + [
      Expected(file: "3.0.8-good-pretty", version: "3.0.8", targets: [(good, allPass)]),
      Expected(file: "3.0.8-plain-http-pretty", version: "3.0.8", targets: [("127.0.0.1:28444", noTLS)]),
      Expected(file: "3.0.8-weak-pretty", version: "3.0.8", targets: [(weakAddress, weak)]),
      Expected(file: "real-good-flat", targets: [("127.0.0.1:18442", privateCA)]),
      Expected(file: "real-plainhttp-flat", targets: [("127.0.0.1:18443", noTLS)]),
      Expected(file: "real-weak-flat", targets: [("127.0.0.1:18441", weak)]),
      Expected(file: "real-weak-pretty", version: "3.0.8", targets: [("127.0.0.1:18441", weak)]),
      Expected(
        file: "real33dev-good-pretty", version: "3.3dev",
        targets: [
          (
            "relay-good.test:18442",
            ["hsts-missing pass", "legacy-tls-protocol pass", "certificate-invalid fail", "weak-certificate-key pass"]
          )
        ]),
    ]

  @Test("a real report comes to exactly its conclusions", arguments: expected)
  func conclusions(of expected: Expected) throws {
    let report = try TestSSLReport(testSSLFixture(expected.file))
    #expect(report.version == expected.version)
    #expect((report.startTime != nil) == (expected.version != nil), "the pretty form alone tells when it was made")
    #expect(report.targets.map(\.address) == expected.targets.map(\.address))
    for (target, (address, conclusions)) in zip(report.targets, expected.targets) {
      #expect(
        target.conclusions().map { "\($0.check) \($0.outcome.rawValue)" } == conclusions.map { "encryption." + $0 },
        "\(address)")
    }
  }

  @Test("every fixture is expected to come to something")
  func noFixtureIsForgotten() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: testSSLFixtures)
      .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
    let others = [
      "3.0.8-closed-pretty", "3.3dev-closed-pretty", "3.3dev-plain-http-pretty", "real33dev-killed-truncated",
    ]
    #expect(names.sorted() == (Self.expected.map(\.file) + others).sorted())
  }

  @Test("the start of a pretty report is in milliseconds")
  func startTime() throws {
    #expect(try TestSSLReport(testSSLFixture("real33dev-good-pretty")).startTime == 1_795_394_237_000)
  }

  @Test("a pretty report of a closed port has no target and says why", arguments: ["3.0.8", "3.3dev"])
  func closedPort(version: String) throws {
    let error = #expect(throws: TestSSLError.self) { try TestSSLReport(testSSLFixture("\(version)-closed-pretty")) }
    let description = try #require(error).description
    #expect(description.hasPrefix("This is not a testssl.sh report: it names no target, it says: Can't connect to"))
    #expect(description.contains("127.0.0.1:28445"))
  }

  @Test("a scan that was killed leaves an error at the byte where the report stops")
  func killedScan() throws {
    let bytes = try testSSLFixture("real33dev-killed-truncated")
    let error = #expect(throws: TestSSLError.self) { try TestSSLReport(bytes) }
    #expect(
      error?.description == """
        The testssl.sh report cannot be read: the document ends at byte 3396, before it is complete. \
        Was the scan stopped before its end?
        """)
  }

  /// Seen in 3.3dev: a note on DNS lands inside the object of the target.
  @Test("a pretty report that testssl.sh itself wrote wrong is an error at its byte")
  func brokenByItsWriter() throws {
    let error = #expect(throws: TestSSLError.self) { try TestSSLReport(testSSLFixture("3.3dev-plain-http-pretty")) }
    #expect(
      error?.description == """
        The testssl.sh report cannot be read: a member name expected at byte 1425. \
        Some versions write the pretty form wrong; the flat one (--jsonfile) is sound.
        """)
  }

  @Test(
    "a report cut at any byte is an error there", arguments: ["3.0.8-two-targets-flat", "3.0.8-two-targets-pretty"])
  func truncation(file: String) throws {
    let whole = try testSSLFixture(file)
    let end = try #require(whole.lastIndex { $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: "}") })
    for length in 0...end {
      do {
        _ = try TestSSLReport(Array(whole[..<length]))
        Issue.record("\(length) bytes of \(file) were read as a report")
      } catch {
        guard case .notJSON(let syntax) = error else {
          Issue.record("\(length) bytes of \(file): \(error)")
          continue
        }
        #expect(syntax.reason == .endOfInput && syntax.offset == length)
      }
    }
  }

  @Test("each conclusion of a real report carries its evidence as a JSON object", arguments: expected)
  func evidence(of expected: Expected) throws {
    let report = try TestSSLReport(testSSLFixture(expected.file))
    for conclusion in report.targets.flatMap({ $0.conclusions() }) {
      let (value, faults) = try JSONReader.read(conclusion.evidence(version: report.version))
      #expect(faults.isEmpty)
      guard case .object(let object) = value, case .array(let findings)? = object["findings"] else {
        Issue.record("no object with findings for \(conclusion.check)")
        continue
      }
      #expect(object["report"] == .string("testssl.sh"))
      #expect(object["version"] == report.version.map(JSONValue.string))
      #expect(object["omitted"] == nil)
      #expect(!findings.isEmpty && findings.count == conclusion.findings.count)
    }
  }
}

let testSSLFixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures/testssl"

func testSSLFixture(_ name: String) throws -> [UInt8] {
  try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(testSSLFixtures)/\(name).json")))
}
