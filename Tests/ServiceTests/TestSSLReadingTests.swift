import JSON
import Testing

@testable import Service

/// The two forms of a report, and what is no report.
struct TestSSLReadingTests {
  /// A flat report of one finding of this place and port.
  private static func flat(ip: String, port: String = #""443""#) -> String {
    #"[{"id": "TLS1_2", "ip": "\#(ip)", "port": \#(port), "severity": "OK", "finding": "offered"}]"#
  }

  /// A pretty report of one target with these members in front of its sections.
  private static func pretty(target: String, others: String = "") -> String {
    #"{\#(others) "scanResult": [{\#(target), "protocols": [{"id": "TLS1", "severity": "LOW", "finding": "x"}]}]}"#
  }

  private static func read(_ text: String) throws(TestSSLError) -> TestSSLReport {
    try TestSSLReport(Array(text.utf8))
  }

  // MARK: - Addresses

  @Test(
    "a target's address",
    arguments: [
      ("relay.example/192.0.2.1", "relay.example", "192.0.2.1", "relay.example:443"),
      ("192.0.2.1/192.0.2.1", nil, "192.0.2.1", "192.0.2.1:443"),
      ("relay.example/[2001:db8::1]", "relay.example", "2001:db8::1", "relay.example:443"),
      ("2001:db8::1/[2001:db8::1]", nil, "2001:db8::1", "[2001:db8::1]:443"),
      ("[2001:db8::1]/2001:db8::1", nil, "2001:db8::1", "[2001:db8::1]:443"),
      ("::1/", nil, "::1", "[::1]:443"),
      ("relay.example/", "relay.example", "", "relay.example:443"),
      ("/192.0.2.1", nil, "192.0.2.1", "192.0.2.1:443"),
      ("192.0.2.1", nil, "192.0.2.1", "192.0.2.1:443"),
    ] as [(String, String?, String, String)])
  func addresses(place: String, host: String?, ip: String, address: String) throws {
    let target = try #require(try Self.read(Self.flat(ip: place)).targets.first)
    #expect(target.host == host)
    #expect(target.ip == ip)
    #expect(target.port == 443)
    #expect(target.address == address)
  }

  @Test("flat: findings go to their own target, in the order of the report, however they are mixed")
  func severalTargets() throws {
    func entry(_ id: String, _ ip: String, _ port: Int) -> String {
      #"{"id": "\#(id)", "ip": "\#(ip)", "port": "\#(port)", "severity": "OK", "finding": "x"}"#
    }
    let entries = [
      entry("engine_problem", "/", 443), entry("A", "b.example/192.0.2.2", 443), entry("B", "a.example/192.0.2.1", 443),
      entry("C", "b.example/192.0.2.2", 8443), entry("D", "b.example/192.0.2.2", 443),
      entry("E", "b.example/192.0.2.3", 443),
    ]
    let targets = try Self.read("[" + entries.joined(separator: ",") + "]").targets
    #expect(targets.map(\.address) == ["b.example:443", "a.example:443", "b.example:8443", "b.example:443"])
    #expect(targets.map { $0.findings.map(\.id) } == [["A", "D"], ["B"], ["C"], ["E"]])
  }

  // MARK: - Members

  @Test("pretty: every section is read, notes between the targets and unknown members are not")
  func prettyForm() throws {
    let report = try Self.read(
      """
      {"clientProblem1": [{"id": "engine_problem", "severity": "WARN", "finding": "no"}], "version": "3.0.8  from ",
       "startTime": "1795394237", "new": {"a": [1]}, "scanTime": 5, "scanResult": [
        {"id": "optimal_proto", "severity": "WARN", "finding": "seems to speak no TLS"},
        {"targetHost": "relay.example", "ip": "192.0.2.1", "port": "443", "service": "HTTP", "new": ["x", {"y": 1}],
         "pfs": [], "later": [{"id": "Z", "severity": "", "finding": "", "hint": "h", "cwe": "CWE-310", "new": 1}],
         "vulnerabilities": [{"id": "CCS", "severity": "OK", "cve": "CVE-2014-0224", "finding": "not vulnerable"}]}]}
      """)
    #expect(report.version == "3.0.8")
    #expect(report.startTime == 1_795_394_237_000)
    #expect(report.targets.count == 1)
    #expect(
      report.targets.first?.findings == [
        TestSSLReport.Finding(id: "service", severity: "INFO", finding: "HTTP"),
        TestSSLReport.Finding(id: "Z", severity: "", finding: "", cwe: "CWE-310"),
        TestSSLReport.Finding(id: "CCS", severity: "OK", finding: "not vulnerable", cve: "CVE-2014-0224"),
      ])
  }

  @Test("a version is its first word", arguments: [("3.2.0 (1a2b3c4 2025-01-01)", "3.2.0"), (" ", nil)])
  func version(text: String, version: String?) throws {
    let target = #""targetHost": "a", "ip": "192.0.2.1", "port": "443""#
    #expect(try Self.read(Self.pretty(target: target, others: #""version": "\#(text)","#)).version == version)
  }

  // MARK: - What is no report

  private static let long = String(repeating: "ü", count: 100_000)

  @Test(
    "another document is not a report, and the error says what it is",
    arguments: [
      ("[1, 2, 3]", "it is an array, but not of objects with id, severity and finding"),
      (#"[{"template-id": "x", "host": "y"}]"#, "it is an array, but not of objects with id, severity and finding"),
      (#"{"version": "2.1.0", "runs": []}"#, "it is an object without the array scanResult"),
      (#"{"server_scan_results": [], "sslyze_version": "6.3.1"}"#, "it is an object without the array scanResult"),
      (#"{"scanResult": {}}"#, "it is an object without the array scanResult"),
      ("\"A+\"", "it is a string, not an array of findings or an object with scanResult"),
      ("[]", "it names no target"),
      (#"{"scanResult": []}"#, "it names no target"),
      (
        #"[{"id": "scanProblem", "ip": "/", "port": "443", "severity": "FATAL", "finding": "No IPv4 address"}]"#,
        "it names no target, it says: No IPv4 address"
      ),
      (
        #"[{"id": "scanProblem", "ip": "/", "port": "443", "severity": "FATAL", "finding": "\#(long)"}]"#,
        "it names no target, it says: \(long.prefix(300))"
      ),
    ])
  func notAReport(text: String, reason: String) {
    let error = #expect(throws: TestSSLError.self) { try Self.read(text) }
    #expect(error == .notAReport(reason))
    #expect(error?.description == "This is not a testssl.sh report: \(reason).")
  }

  @Test("a report too long to be read")
  func tooLong() {
    let bytes = [UInt8](repeating: UInt8(ascii: " "), count: TestSSLReport.bytesMax + 1)
    #expect(throws: TestSSLError.notAReport("it is 33554433 bytes long, at most 33554432 are read")) {
      try TestSSLReport(bytes)
    }
  }

  @Test(
    "bytes that are no JSON", arguments: [("", 0), ("[{]", 2), (String(repeating: "[", count: 33), 32), ("[\u{7}]", 1)])
  func notJSON(text: String, offset: Int) throws {
    let error = try #require(#expect(throws: TestSSLError.self) { try Self.read(text) })
    guard case .notJSON(let syntax) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(syntax.offset == offset)
    #expect(error.description.hasPrefix("The testssl.sh report cannot be read: \(syntax)."))
  }

  @Test(
    "what is used must be right",
    arguments: [
      (flat(ip: "a/192.0.2.1", port: #""0""#), "/0/port"), (flat(ip: "a/192.0.2.1", port: #""65536""#), "/0/port"),
      (flat(ip: "a/192.0.2.1", port: "443"), "/0/port"), (flat(ip: #"a/192.0.2.1", "ip": "b/192.0.2.1"#), "/0/ip"),
      (flat(ip: #"a\u0000/192.0.2.1"#), "/0/ip"),
      (#"[{"id": "", "ip": "a/192.0.2.1", "port": "443", "severity": "OK", "finding": "x"}]"#, "/0/id"),
      (#"[{"id": "TLS1", "ip": "a/192.0.2.1", "port": "443", "finding": "x"}]"#, "/0/severity"),
      (#"[{"id": "TLS1", "port": "443", "severity": "OK", "finding": "x"}]"#, "/0/ip"),
      (#"[{"id": "TLS1", "ip": "a/192.0.2.1", "port": "443", "severity": "OK", "finding": 1}]"#, "/0/finding"),
      (pretty(target: #""targetHost": "a", "ip": "192.0.2.1""#), "/scanResult/0/port"),
      (pretty(target: #""ip": "192.0.2.1", "port": "443""#), "/scanResult/0/targetHost"),
      (pretty(target: #""targetHost": "a", "ip": 1, "port": "443""#), "/scanResult/0/ip"),
      (
        pretty(
          target: #""targetHost": "a", "ip": "b", "port": "443", "x": [{"id": 1, "finding": "y", "severity": ""}]"#),
        "/scanResult/0/x/0/id"
      ),
      (
        pretty(target: #""targetHost": "a", "ip": "b", "port": "443""#, others: #""startTime": "now","#), "/startTime"
      ),
      (
        pretty(target: #""targetHost": "a", "ip": "b", "port": "443""#, others: #""startTime": "9999999999999","#),
        "/startTime"
      ),
      (pretty(target: #""targetHost": "a", "ip": "b", "port": "443""#, others: #""version": 3,"#), "/version"),
    ])
  func faults(text: String, pointer: String) throws {
    let error = try #require(#expect(throws: TestSSLError.self) { try Self.read(text) })
    guard case .faults(let faults) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(faults.map(\.pointer) == [pointer])
    #expect(error.description.hasPrefix("The testssl.sh report has faults: \(pointer) "))
  }

  @Test("faults are listed together, but not without end")
  func manyFaults() throws {
    let entry = #"{"id": "TLS1", "ip": "a/192.0.2.1", "port": "no", "severity": "OK", "finding": "x"}"#
    for (count, expected) in [(3, 3), (500, 100)] {
      let text = "[" + Array(repeating: entry, count: count).joined(separator: ",") + "]"
      let error = #expect(throws: TestSSLError.self) { try Self.read(text) }
      guard case .faults(let faults)? = error else {
        Issue.record("\(count) wrong ports were read")
        continue
      }
      #expect(faults.map(\.pointer) == (0..<expected).map { "/\($0)/port" })
    }
  }

  // MARK: - Evidence

  @Test("evidence holds what decided, word for word")
  func evidence() {
    let conclusion = TestSSLConclusion(
      check: "encryption.known-tls-vulnerability", outcome: .fail,
      findings: [
        TestSSLReport.Finding(
          id: "ROBOT", severity: "CRITICAL", finding: "VULNERABLE", cve: "CVE-2017-17382 CVE-2017-17427", cwe: "CWE-203"
        )
      ])
    let finding =
      #"{"id":"ROBOT","severity":"CRITICAL","finding":"VULNERABLE","cve":"CVE-2017-17382 CVE-2017-17427"}"#
    #expect(
      String(decoding: conclusion.evidence(version: "3.0.8"), as: UTF8.self)
        == #"{"report":"testssl.sh","version":"3.0.8","findings":[\#(finding)]}"#)
    #expect(
      String(decoding: conclusion.evidence(version: nil), as: UTF8.self)
        == #"{"report":"testssl.sh","findings":[\#(finding)]}"#)
  }

  @Test(
    "evidence stays below 64 KiB, holds at least one finding and counts those it leaves out",
    arguments: ["x", "\u{1}", "é", "😀"], [1, 500, 100_000])
  func evidenceIsBounded(character: String, length: Int) throws {
    // The odd byte in front puts the cut inside a character of more than one byte.
    let text = "-" + String(repeating: character, count: length)
    let finding = TestSSLReport.Finding(id: text, severity: text, finding: text, cve: text)
    let conclusion = TestSSLConclusion(
      check: "encryption.weak-cipher-suites", outcome: .fail, findings: Array(repeating: finding, count: 2_000))
    let bytes = conclusion.evidence(version: text)
    #expect(bytes.count < 64 << 10)
    let (value, faults) = try JSONReader.read(bytes)
    #expect(faults.isEmpty)
    guard case .object(let object) = value, case .array(let findings)? = object["findings"],
      case .number(let omitted)? = object["omitted"], case .object(let first)? = findings.first,
      case .string(let id)? = first["id"]
    else {
      Issue.record("not an object with findings and omitted")
      return
    }
    #expect(findings.count + (omitted.integer ?? 0) == 2_000)
    #expect(id == text || (id.hasSuffix("…") && text.hasPrefix(id.dropLast()) && id.utf8.count > 1_990))
  }
}
