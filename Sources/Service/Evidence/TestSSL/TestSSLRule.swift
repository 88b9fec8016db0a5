/// How findings decide one check. testssl.sh's overall grade and its severities are not copied: each id is read for
/// what it says (but see `known-tls-vulnerability`, where the severity is the statement).
struct TestSSLRule: Sendable {
  /// An id of the catalogue.
  let check: String
  /// The ids a pass needs, each of them: what was not tested is not fine.
  let required: [String]
  /// The ids that count when they are there.
  let optional: [String]
  /// The ids are those of certificates, of which a server may have several, each with the whole set.
  let isOfCertificates: Bool
  /// What the findings mean only if the scan spoke HTTP with the server.
  let isOfHTTP: Bool
  /// What one finding says, given its id without the suffix for the certificate.
  let read: @Sendable (_ id: String, TestSSLReport.Finding) -> TestSSLOutcome

  init(
    _ check: String, required: [String], optional: [String] = [], isOfCertificates: Bool = false,
    isOfHTTP: Bool = false, read: @escaping @Sendable (_ id: String, TestSSLReport.Finding) -> TestSSLOutcome
  ) {
    self.check = check
    self.required = required
    self.optional = optional
    self.isOfCertificates = isOfCertificates
    self.isOfHTTP = isOfHTTP
    self.read = read
  }

  /// In the order of the catalogue. `encryption.plaintext-http-api` is not among them: testssl.sh asks a port for TLS
  /// and posts nothing in clear, so a port without TLS shows neither that an API is there nor that it answers.
  static let all = [
    hstsMissing, legacyTLSProtocol, weakCipherSuites, certificateInvalid, weakCertificateKey, knownTLSVulnerability,
  ]
}

// MARK: - Protocols and ciphers

extension TestSSLRule {
  /// TLS by name: SSL alone is not enough, for OpenSSL's client, which does many of the tests, no longer speaks it.
  static let tlsProtocols: Set = ["TLS1", "TLS1_1", "TLS1_2", "TLS1_3"]

  /// RFC 8996 retires TLS 1.0 and 1.1, RFC 7568 SSL 3.0, RFC 6176 SSL 2.0. testssl.sh calls TLS 1.0 just LOW.
  static let legacyTLSProtocol = TestSSLRule(
    "encryption.legacy-tls-protocol", required: ["SSLv2", "SSLv3", "TLS1", "TLS1_1"]
  ) { _, finding in
    switch isOffered(finding) {
    case true?: .fail
    case false?: .pass
    case nil: .inconclusive
    }
  }

  /// Whether a protocol was offered; nil when testssl.sh could not tell or only guesses.
  static func isOffered(_ finding: TestSSLReport.Finding) -> Bool? {
    // "likely not offered", "strange, server ...", "server responded with higher version number", and every WARN
    // ("not tested due to lack of local support") stay open. So does "connection failed rather than downgrading to
    // ...": that server is intolerant of a version, whatever it offers.
    let text = finding.finding
    // "offered (deprecated)", "offered with final", "offered, no cipher": a server hello came back.
    if text == "offered" || text.hasPrefix("offered ") || text.hasPrefix("offered,") { return true }
    // With native OpenSSL: "supported but couldn't detect a cipher (may need debugging)".
    if text.hasPrefix("supported but couldn't detect a cipher") { return true }
    // SSLv2 alone: "vulnerable with 4 ciphers".
    if text.hasPrefix("vulnerable with ") { return true }
    // "not offered", "not offered + downgraded to weaker protocol", "TLSv1.1 is not offered, and downgraded to ...".
    if text.hasPrefix("not offered") || text.hasPrefix("TLSv1.1 is not offered") { return false }
    return nil
  }

  /// Suites without encryption or authentication, of export strength, with DES, RC2, RC4 or MD5 (`LOW`), with 3DES or
  /// IDEA (64-bit blocks, SWEET32; INFO or MEDIUM there). Mere CBC (`AVERAGE` in 3.0, `OBSOLETED` since 3.2) is not
  /// what the check is about. `RC4` is the scan for the vulnerability: RC4 is in `LOW` already, so it is not required.
  static let weakCipherSuites = TestSSLRule(
    "encryption.weak-cipher-suites",
    required: ["cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA"],
    optional: ["RC4"]
  ) { id, finding in
    switch (id, finding.finding) {
    case ("RC4", let text) where text.hasPrefix("VULNERABLE"): .fail
    case ("RC4", let text) where text.hasPrefix("not vulnerable"): .pass
    case ("RC4", _): .inconclusive
    case (_, "offered"): .fail
    case (_, "not offered"): .pass
    // "Cipher ... not supported by local OpenSSL", "SERVER_ERROR, test inconclusive."
    default: .inconclusive
    }
  }
}

// MARK: - HTTP

extension TestSSLRule {
  /// 180 days: what testssl.sh recommends, but there it can be set (`HSTS_MIN`), so the number itself is compared.
  static let hstsSecondsMin = 15_552_000

  /// The header of the one page that was asked for, `/`. testssl.sh writes `HSTS` only when it is absent and
  /// `HSTS_time` only when it is there; a pass needs the latter.
  static let hstsMissing = TestSSLRule(
    "encryption.hsts-missing", required: ["HSTS_time"], optional: ["HSTS"], isOfHTTP: true
  ) { id, finding in
    let text = finding.finding
    if id == "HSTS" { return text == "not offered" ? .fail : .inconclusive }
    // "0. HSTS is disabled", or a header without a max-age, which RFC 6797 (6.1.1) tells browsers to ignore.
    if text.hasPrefix("0. ") || text.hasPrefix("misconfiguration") { return .fail }
    // "730 days (=63072000 seconds) > 15552000 seconds"
    for word in text.split(separator: " ") where word.hasPrefix("(=") {
      if let seconds = Int(word.dropFirst(2)) { return seconds >= hstsSecondsMin ? .pass : .fail }
    }
    return .inconclusive
  }
}

// MARK: - Vulnerabilities

extension TestSSLRule {
  /// Tested by doing the attack.
  private static let triedAttacks = ["heartbleed", "CCS", "ticketbleed", "ROBOT"]

  /// Here the severity says what was found: CRITICAL and HIGH are attacks that work, OK is tested and fine, WARN and
  /// DEBUG are tests that went wrong. BEAST, LUCKY13, BREACH, CRIME and SWEET32 are not read: they are "potentially
  /// vulnerable" by the look of the ciphers, and the check is a critical one.
  static let knownTLSVulnerability = TestSSLRule(
    "encryption.known-tls-vulnerability", required: triedAttacks,
    optional: ["DROWN", "POODLE_SSL", "FREAK", "LOGJAM", "LOGJAM-common_primes"]
  ) { id, finding in
    switch finding.severity {
    case "HIGH", "CRITICAL": .fail
    case "OK": .pass
    // For the four it is "not applicable, not HTTP" or "VULNERABLE, but the attack would take too long": not fine.
    // For the others it is the size of a key: LOGJAM is MEDIUM for an own group of 1024 bits.
    case "INFO", "LOW", "MEDIUM": triedAttacks.contains(id) ? .inconclusive : .pass
    default: .inconclusive
    }
  }
}
