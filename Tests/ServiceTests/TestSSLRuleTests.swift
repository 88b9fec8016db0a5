import Testing

@testable import Service

/// Each rule of the mapping alone, on the fewest findings that show it.
struct TestSSLRuleTests {
  /// A finding put into a set that would pass, and what the check comes to then.
  struct Case: Sendable, CustomTestStringConvertible {
    let id: String
    let severity: String
    let text: String
    let outcome: TestSSLOutcome

    init(_ id: String, _ severity: String, _ text: String, _ outcome: TestSSLOutcome) {
      self.id = id
      self.severity = severity
      self.text = text
      self.outcome = outcome
    }

    var testDescription: String { "\(id) \(severity) \"\(text)\" -> \(outcome)" }
  }

  /// What `check` comes to when the finding replaces the one of its id in the passing set, or joins it.
  private func outcome(of check: String, with one: Case) throws -> TestSSLOutcome? {
    var findings = try #require(TestSSLScan.passing[check]).filter { $0.id != one.id }
    findings.append(TestSSLScan.finding(one.id, one.severity, one.text))
    return TestSSLScan.conclusions(findings + [TestSSLScan.tls])[check]?.outcome
  }

  // MARK: - Rule by rule

  @Test(
    "legacy protocols",
    arguments: [
      Case("SSLv2", "CRITICAL", "vulnerable with 4 ciphers", .fail),
      Case("SSLv2", "HIGH", "offered, no cipher", .fail),
      Case("SSLv3", "HIGH", "offered", .fail),
      Case("TLS1", "LOW", "offered (deprecated)", .fail),
      Case("TLS1_1", "INFO", "supported but couldn't detect a cipher (may need debugging)", .fail),
      Case("TLS1", "MEDIUM", "not offered, and downgraded to SSL", .pass),
      Case("TLS1_1", "CRITICAL", "TLSv1.1 is not offered, and downgraded to a weaker protocol", .pass),
      Case("SSLv2", "OK", "likely not offered", .inconclusive),
      Case("SSLv3", "WARN", "not tested due to lack of local support", .inconclusive),
      Case("TLS1", "CRITICAL", "connection failed rather than downgrading to SSLv3", .inconclusive),
      Case(
        "SSLv3", "CRITICAL", "server responded with higher version number (TLSv1.2) than requested by client",
        .inconclusive),
    ])
  func legacyProtocols(one: Case) throws {
    #expect(try outcome(of: "legacy-tls-protocol", with: one) == one.outcome)
  }

  @Test(
    "cipher suites",
    arguments: [
      Case("cipherlist_NULL", "CRITICAL", "offered", .fail),
      Case("cipherlist_aNULL", "CRITICAL", "offered", .fail),
      Case("cipherlist_EXPORT", "CRITICAL", "offered", .fail),
      Case("cipherlist_LOW", "HIGH", "offered", .fail),
      Case("cipherlist_3DES_IDEA", "INFO", "offered", .fail),
      Case("cipherlist_3DES_IDEA", "MEDIUM", "offered", .fail),
      Case("RC4", "HIGH", "VULNERABLE, Detected ciphers: RC4-SHA", .fail),
      Case("RC4", "OK", "not vulnerable, TLS 1.3 only", .pass),
      Case("RC4", "WARN", "RC4 ciphers not supported by local OpenSSL (/usr/bin/openssl)", .inconclusive),
      Case("cipherlist_AVERAGE", "LOW", "offered", .pass),
      Case("cipherlist_OBSOLETED", "LOW", "offered", .pass),
      Case("cipherlist_STRONG", "MEDIUM", "not offered", .pass),
      Case("cipherlist_EXPORT", "WARN", "SERVER_ERROR, test inconclusive.", .inconclusive),
      Case("cipherlist_LOW", "WARN", "Cipher LOW not supported by local OpenSSL (/usr/bin/openssl)", .inconclusive),
    ])
  func cipherSuites(one: Case) throws {
    #expect(try outcome(of: "weak-cipher-suites", with: one) == one.outcome)
  }

  @Test(
    "certificate validity",
    arguments: [
      Case("cert_chain_of_trust", "CRITICAL", "failed (self signed CA in chain).", .fail),
      Case("cert_chain_of_trust", "CRITICAL", "failed (chain incomplete).", .fail),
      Case("cert_chain_of_trust", "CRITICAL", "Issuer not trusted anymore (WoSign/StartCom)", .fail),
      Case("cert_chain_of_trust", "CRITICAL", "Issuer removed from one or more root stores (TrustCor Systems)", .fail),
      Case(
        "cert_chain_of_trust", "CRITICAL",
        "Some certificate trust checks failed -> Java (chain incomplete) , OK -> Mozilla Linux ", .inconclusive),
      Case(
        "cert_chain_of_trust", "WARN", "Your openssl <= 1.0.2 might be too unreliable to determine trust",
        .inconclusive),
      Case("cert_trust", "OK", "Ok via SAN wildcard and CN (SNI mandatory)", .pass),
      Case("cert_trust", "HIGH", "certificate does not match supplied URI (same w/o SNI)", .fail),
      Case("cert_trust", "MEDIUM", "via CN only", .fail),
      Case("cert_trust", "HIGH", "via CN, but not SAN", .fail),
      Case("cert_trust", "DEBUG", "", .inconclusive),
      Case("cert_expirationStatus", "CRITICAL", "expired", .fail),
      Case("cert_expirationStatus", "HIGH", "expires < 30 days (12)", .pass),
      Case("cert_expirationStatus", "MEDIUM", "expires < 60 days (45)", .pass),
      Case("cert_expirationStatus", "WARN", "unknown", .inconclusive),
      Case("cert_notAfter", "CRITICAL", "2024-01-01 00:00", .fail),
      Case("cert_notAfter", "HIGH", "2026-12-01 00:00", .pass),
      Case("cert_notAfter", "WARN", "", .inconclusive),
      Case("cert_revocation", "HIGH", "Neither CRL nor OCSP URI provided", .pass),
    ])
  func certificateValidity(one: Case) throws {
    #expect(try outcome(of: "certificate-invalid", with: one) == one.outcome)
  }

  @Test(
    "certificate keys",
    arguments: [
      Case("cert_keySize", "MEDIUM", "RSA 1024 bits", .fail),
      Case("cert_keySize", "INFO", "RSA 2047 bits", .fail),
      Case("cert_keySize", "INFO", "RSA 2048 bits", .pass),
      Case("cert_keySize", "OK", "RSA 4096 bits (exponent is 65537)", .pass),
      Case("cert_keySize", "CRITICAL", "RSA 4096 bits (exponent is 1)", .fail),
      Case("cert_keySize", "WARN", "RSA 8192 bits (Odd)", .pass),
      Case("cert_keySize", "WARN", "8192 bits (Odd)", .pass),
      Case("cert_keySize", "MEDIUM", "DSA 1024 bits", .fail),
      Case("cert_keySize", "MEDIUM", "EC 163 bits", .fail),
      Case("cert_keySize", "INFO", "EC 224 bits", .pass),
      Case("cert_keySize", "OK", "EC 384 bits (curve P-384)", .pass),
      Case("cert_keySize", "OK", "EdDSA ED25519", .pass),
      Case("cert_keySize", "DEBUG", " 571 bits (not expected)", .inconclusive),
      Case("cert_keySize", "WARN", "Server keys 256 bits, unknown public key algorithm GOST", .inconclusive),
      Case("cert_keySize", "OK", "RSA many bits", .inconclusive),
      Case("cert_keySize", "cannot be determined", "", .inconclusive),
      Case("cert_signatureAlgorithm", "MEDIUM", "SHA1 with RSA", .fail),
      Case("cert_signatureAlgorithm", "MEDIUM", "ECDSA with SHA1", .fail),
      Case("cert_signatureAlgorithm", "CRITICAL", "MD5", .fail),
      Case("cert_signatureAlgorithm", "INFO", "SHA224 with RSA", .pass),
      Case("cert_signatureAlgorithm", "OK", "RSASSA-PSS with SHA384", .pass),
      Case("cert_signatureAlgorithm", "OK", "Ed25519", .pass),
      Case("cert_signatureAlgorithm", "OK", "ML-DSA-65", .pass),
      Case("cert_signatureAlgorithm", "DEBUG", "GOST R 34.11-94 with GOST R 34.10-2001", .inconclusive),
    ])
  func certificateKeys(one: Case) throws {
    #expect(try outcome(of: "weak-certificate-key", with: one) == one.outcome)
  }

  @Test(
    "vulnerabilities",
    arguments: [
      Case("heartbleed", "CRITICAL", "VULNERABLE", .fail),
      Case("CCS", "CRITICAL", "likely VULNERABLE", .fail),
      Case("ticketbleed", "CRITICAL", "VULNERABLE", .fail),
      Case("ROBOT", "CRITICAL", "VULNERABLE", .fail),
      Case("DROWN", "HIGH", "SSLv2 offered, but could not detect a cipher.", .fail),
      Case("POODLE_SSL", "HIGH", "VULNERABLE, uses SSLv3+CBC", .fail),
      Case("FREAK", "CRITICAL", "VULNERABLE, uses EXPORT RSA ciphers", .fail),
      Case("LOGJAM", "HIGH", "VULNERABLE, uses DH EXPORT ciphers", .fail),
      Case("LOGJAM-common_primes", "HIGH", "RFC2409/Oakley Group 2", .fail),
      Case("CCS", "WARN", "probably not vulnerable but received 0x16 instead of 0x15", .inconclusive),
      Case("CCS", "DEBUG", "test failed, around line 14171, debug info ()", .inconclusive),
      Case("ticketbleed", "INFO", "not applicable, not HTTP", .inconclusive),
      Case("ROBOT", "MEDIUM", "VULNERABLE, but the attack would take too long", .inconclusive),
      Case("DROWN", "WARN", "received a strange SSLv2 reply (rerun with DEBUG>=2)", .inconclusive),
      Case("FREAK", "", "", .inconclusive),
      Case("LOGJAM", "MEDIUM", "no common prime but Unknown DH group has only 1024 bits,", .pass),
      Case("LOGJAM-common_primes", "INFO", "--", .pass),
      Case("BEAST", "LOW", "VULNERABLE -- but also supports higher protocols", .pass),
      Case("LUCKY13", "LOW", "potentially vulnerable, uses TLS CBC ciphers", .pass),
      Case("CRIME_TLS", "HIGH", "VULNERABLE", .pass),
      Case("overall_grade", "CRITICAL", "F", .pass),
    ])
  func vulnerabilities(one: Case) throws {
    #expect(try outcome(of: "known-tls-vulnerability", with: one) == one.outcome)
  }

  @Test(
    "HSTS",
    arguments: [
      Case("HSTS_time", "OK", "180 days (=15552000 seconds) > 15552000 seconds", .pass),
      Case("HSTS_time", "MEDIUM", "max-age too short. 179 days (=15551999 seconds) < 15552000 seconds", .fail),
      Case("HSTS_time", "OK", "1 days (=86400 seconds) > 3600 seconds", .fail),
      Case("HSTS_time", "LOW", "0. HSTS is disabled", .fail),
      Case("HSTS_time", "MEDIUM", "misconfiguration, specified not a number for max-age", .fail),
      Case("HSTS_time", "WARN", "Check failed, couldn't connect", .inconclusive),
      Case("HSTS", "LOW", "not offered", .fail),
      Case("HSTS", "WARN", "not tested", .inconclusive),
      Case("HSTS_subdomains", "INFO", "only for this domain", .pass),
      Case("HTTP_status_code", "INFO", "404 Not Found ('/')", .pass),
      Case("HTTP_status_code", "WARN", "HTTP header reply empty", .inconclusive),
      Case("service", "DEBUG", "Couldn't determine service -- ASSUME_HTTP set", .pass),
    ])
  func hsts(one: Case) throws {
    #expect(try outcome(of: "hsts-missing", with: one) == one.outcome)
  }
}
