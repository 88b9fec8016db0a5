import Testing

@testable import Service

/// What holds for every rule of the mapping, whatever its ids.
struct TestSSLConclusionTests {
  @Test("the passing set passes, and says by which findings", arguments: TestSSLScan.checks)
  func passes(check: String) throws {
    let findings = try #require(TestSSLScan.passing[check])
    let conclusions = TestSSLScan.conclusions(findings + [TestSSLScan.tls])
    // The protocol that shows TLS is itself one of the ids of the check on protocols only when it is an old one.
    #expect(Set(conclusions.keys) == [check])
    let conclusion = try #require(conclusions[check])
    #expect(conclusion.outcome == .pass)
    let ids = findings.map(\.id).filter { $0 != "service" && $0 != "HTTP_status_code" }
    #expect(conclusion.findings.map(\.id) == ids + ["TLS1_2"])
  }

  @Test(
    "nothing passes unless TLS was offered", arguments: TestSSLScan.checks, ["not offered", "likely not offered", nil])
  func nothingPassesWithoutTLS(check: String, tls: String?) throws {
    let findings =
      try #require(TestSSLScan.passing[check]) + (tls.map { [TestSSLScan.finding("TLS1_2", "OK", $0)] } ?? [])
    #expect(TestSSLScan.conclusions(findings)[check]?.outcome == .inconclusive)
  }

  @Test("each TLS protocol shows that TLS was spoken", arguments: ["TLS1", "TLS1_1", "TLS1_2", "TLS1_3"])
  func everyTLSProtocolCounts(id: String) throws {
    let findings = try #require(TestSSLScan.passing["known-tls-vulnerability"])
    let offered = TestSSLScan.finding(id, "OK", "offered")
    #expect(TestSSLScan.conclusions(findings + [offered])["known-tls-vulnerability"]?.outcome == .pass)
  }

  @Test("SSL alone is no TLS", arguments: ["SSLv2", "SSLv3"])
  func sslIsNotTLS(id: String) throws {
    let findings =
      try #require(TestSSLScan.passing["known-tls-vulnerability"]) + [TestSSLScan.finding(id, "HIGH", "offered")]
    let conclusions = TestSSLScan.conclusions(findings)
    #expect(conclusions["known-tls-vulnerability"]?.outcome == .inconclusive)
    #expect(conclusions["legacy-tls-protocol"]?.outcome == .fail)
  }

  @Test("a pass needs every id; a check none of whose ids is there is not filed", arguments: TestSSLScan.checks)
  func everyIDIsNeeded(check: String) throws {
    let findings = try #require(TestSSLScan.passing[check])
    for id in findings.map(\.id) where !["service", "HTTP_status_code", "cert_notAfter"].contains(id) {
      let rest = findings.filter { $0.id != id }
      // HSTS_time is the only id of its check.
      let expected: TestSSLOutcome? = id == "HSTS_time" ? nil : .inconclusive
      #expect(TestSSLScan.conclusions(rest + [TestSSLScan.tls])[check]?.outcome == expected, "without \(id)")
    }
    #expect(TestSSLScan.conclusions([TestSSLScan.tls, TestSSLScan.finding("scanTime", "INFO", "154")]).isEmpty)
  }

  @Test("all findings of one id count", arguments: [true, false])
  func repeatedIDs(failingFirst: Bool) throws {
    let findings = try #require(TestSSLScan.passing["known-tls-vulnerability"])
    let logjam = [
      TestSSLScan.finding("LOGJAM", "OK", "not vulnerable, no DH EXPORT ciphers,"),
      TestSSLScan.finding("LOGJAM", "CRITICAL", "no common prime but Unknown DH group has only 512 bits,"),
    ]
    let conclusion = TestSSLScan.conclusions(findings + [TestSSLScan.tls] + (failingFirst ? logjam.reversed() : logjam))
    #expect(conclusion["known-tls-vulnerability"]?.outcome == .fail)
    #expect(conclusion["known-tls-vulnerability"]?.findings == [logjam[1]])
  }

  @Test("a warning beside a good finding of the same id leaves the check open")
  func warningBesideGood() throws {
    let findings = try #require(TestSSLScan.passing["legacy-tls-protocol"])
    let warning = TestSSLScan.finding("TLS1", "WARN", "TLS downgraded to STARTTLS plaintext")
    let conclusion = TestSSLScan.conclusions(findings + [TestSSLScan.tls, warning])["legacy-tls-protocol"]
    #expect(conclusion?.outcome == .inconclusive)
    #expect(conclusion?.findings == [warning])
  }

  @Test("a failure stands, whatever else could not be tested")
  func failureBesideWarning() {
    let nullCiphers = TestSSLScan.finding("cipherlist_NULL", "CRITICAL", "offered")
    let findings = [
      nullCiphers, TestSSLScan.finding("cipherlist_aNULL", "WARN", "SERVER_ERROR, test inconclusive."), TestSSLScan.tls,
    ]
    #expect(TestSSLScan.conclusions(findings)["weak-cipher-suites"]?.outcome == .fail)
    #expect(TestSSLScan.conclusions(findings)["weak-cipher-suites"]?.findings == [nullCiphers])
  }

  // MARK: - HSTS without HTTP

  @Test(
    "a missing HSTS header fails only where HTTP was spoken over TLS",
    arguments: [
      ([TestSSLScan.finding("service", "INFO", "HTTP")], TestSSLOutcome.fail),
      ([TestSSLScan.finding("HTTP_status_code", "INFO", "401 Unauthorized ('/')")], .fail),
      (
        [TestSSLScan.finding("service", "INFO", "HTTP"), TestSSLScan.finding("TLS1_3", "OK", "offered with final")],
        .fail
      ),
      (
        [TestSSLScan.finding("service", "INFO", "HTTP"), TestSSLScan.finding("TLS1_3", "LOW", "not offered")],
        .inconclusive
      ),
      (
        [
          TestSSLScan.finding("service", "INFO", "HTTP"),
          TestSSLScan.finding("HTTP_status_code", "WARN", "No HTTP status code"),
        ], .inconclusive
      ),
      ([TestSSLScan.finding("service", "INFO", "IMAP, thus skipping HTTP specific checks")], .inconclusive),
      ([], .inconclusive),
    ])
  func hstsNeedsHTTP(findings: [TestSSLReport.Finding], outcome: TestSSLOutcome) {
    let conclusions = TestSSLScan.conclusions(findings + [TestSSLScan.finding("HSTS", "LOW", "not offered")])
    #expect(conclusions["hsts-missing"]?.outcome == outcome)
    #expect(conclusions["hsts-missing"]?.findings.last?.id == "HSTS" || outcome == .inconclusive)
  }

  // MARK: - Several certificates

  @Test("each certificate is judged by its own findings", arguments: ["cert", "hostCert"])
  func severalCertificates(name: String) throws {
    func certificate(_ number: Int, without left: String? = nil) throws -> [TestSSLReport.Finding] {
      try (#require(TestSSLScan.passing["certificate-invalid"]) + #require(TestSSLScan.passing["weak-certificate-key"]))
        .filter { $0.id != left }
        .map { TestSSLScan.finding("\($0.id) <\(name)#\(number)>", $0.severity, $0.finding) }
    }
    let two = [TestSSLScan.tls, TestSSLScan.finding("cert_numbers", "INFO", "2")]
    let both = try TestSSLScan.conclusions(two + certificate(1) + certificate(2))
    #expect(both.mapValues(\.outcome) == ["certificate-invalid": .pass, "weak-certificate-key": .pass])

    let weakKey = TestSSLScan.finding("cert_keySize <\(name)#2>", "MEDIUM", "RSA 1024 bits")
    let oneWeak = try TestSSLScan.conclusions(
      two + certificate(1) + certificate(2, without: "cert_keySize") + [weakKey])
    #expect(oneWeak.mapValues(\.outcome) == ["certificate-invalid": .pass, "weak-certificate-key": .fail])
    #expect(oneWeak["weak-certificate-key"]?.findings == [weakKey])

    // The other certificate's finding does not stand in for the one that is missing.
    let gap = try TestSSLScan.conclusions(two + certificate(1) + certificate(2, without: "cert_trust"))
    #expect(gap.mapValues(\.outcome) == ["certificate-invalid": .inconclusive, "weak-certificate-key": .pass])

    let interrupted = try TestSSLScan.conclusions(two + certificate(1))
    #expect(
      interrupted.mapValues(\.outcome) == ["certificate-invalid": .inconclusive, "weak-certificate-key": .inconclusive])
  }

  @Test("the id for a wildcard is not the id for the name")
  func wildcard() {
    let findings = [
      TestSSLScan.tls, TestSSLScan.finding("cert_trust <hostCert#1>_wildcard", "LOW", "trust is via wildcard"),
    ]
    #expect(TestSSLScan.conclusions(findings).isEmpty)
  }
}
