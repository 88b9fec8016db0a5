import Testing

@testable import Service

/// The findings of a scan of a good server, for tests to change one of.
enum TestSSLScan {
  /// What a scan of a good server says, by check.
  static let passing: [String: [TestSSLReport.Finding]] = [
    "hsts-missing": [
      finding("service", "INFO", "HTTP"), finding("HTTP_status_code", "INFO", "200 OK ('/')"),
      finding("HSTS_time", "OK", "730 days (=63072000 seconds) > 15552000 seconds"),
    ],
    "legacy-tls-protocol": [
      finding("SSLv2", "OK", "not offered"), finding("SSLv3", "OK", "not offered"),
      finding("TLS1", "INFO", "not offered"), finding("TLS1_1", "INFO", "not offered"),
    ],
    "weak-cipher-suites": [
      finding("cipherlist_NULL", "OK", "not offered"), finding("cipherlist_aNULL", "OK", "not offered"),
      finding("cipherlist_EXPORT", "OK", "not offered"), finding("cipherlist_LOW", "OK", "not offered"),
      finding("cipherlist_3DES_IDEA", "INFO", "not offered"),
    ],
    "certificate-invalid": [
      finding("cert_chain_of_trust", "OK", "passed."), finding("cert_trust", "OK", "Ok via SAN"),
      finding("cert_expirationStatus", "OK", "89 >= 60 days"), finding("cert_notAfter", "OK", "2027-02-21 00:27"),
    ],
    "weak-certificate-key": [
      finding("cert_keySize", "OK", "EC 256 bits"), finding("cert_signatureAlgorithm", "OK", "ECDSA with SHA256"),
    ],
    "known-tls-vulnerability": [
      finding("heartbleed", "OK", "not vulnerable, no heartbeat extension"), finding("CCS", "OK", "not vulnerable"),
      finding("ticketbleed", "OK", "no session ticket extension"), finding("ROBOT", "OK", "not vulnerable"),
    ],
  ]
  static let checks = [
    "hsts-missing", "legacy-tls-protocol", "weak-cipher-suites", "certificate-invalid", "weak-certificate-key",
    "known-tls-vulnerability",
  ]
  /// Without one of these nothing passes.
  static let tls = finding("TLS1_2", "OK", "offered")

  static func finding(_ id: String, _ severity: String, _ text: String) -> TestSSLReport.Finding {
    TestSSLReport.Finding(id: id, severity: severity, finding: text)
  }

  static func conclusions(_ findings: [TestSSLReport.Finding]) -> [String: TestSSLConclusion] {
    let target = TestSSLReport.Target(name: "relay.example", ip: "192.0.2.1", port: 443, findings: findings)
    return Dictionary(uniqueKeysWithValues: target.conclusions().map { (String($0.check.dropFirst(11)), $0) })
  }
}
