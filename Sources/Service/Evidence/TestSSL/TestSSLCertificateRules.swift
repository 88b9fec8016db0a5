extension TestSSLRule {
  /// Whether clients accept the certificate, at the time of the scan.
  ///
  /// A private CA fails: "failed (self signed CA in chain)" is what the relay's customers get as well. A scan that
  /// was told of the CA (`--add-ca`) says "passed". A scan of an ip fails for the name unless the certificate has it,
  /// and a scan with old copies of the stores fails for a young root: the report does not tell these apart.
  static let certificateInvalid = TestSSLRule(
    "encryption.certificate-invalid", required: ["cert_chain_of_trust", "cert_trust", "cert_expirationStatus"],
    optional: ["cert_notAfter"], isOfCertificates: true
  ) { id, finding in
    switch id {
    case "cert_chain_of_trust": chainOfTrust(finding.finding)
    case "cert_trust": nameMatch(finding.finding)
    case "cert_expirationStatus": expiration(finding.finding)
    // The date alone does not tell without the time of the scan; its severity is that of cert_expirationStatus, and
    // CRITICAL is "expired".
    case "cert_notAfter" where finding.severity == "CRITICAL": .fail
    case "cert_notAfter" where ["OK", "MEDIUM", "HIGH"].contains(finding.severity): .pass
    default: .inconclusive
    }
  }

  private static func chainOfTrust(_ text: String) -> TestSSLOutcome {
    if text.hasPrefix("passed") { return .pass }
    // "failed (expired).", "failed (chain incomplete)."; "Issuer not trusted anymore", "Issuer removed from ...".
    if text.hasPrefix("failed") || text.hasPrefix("Issuer ") { return .fail }
    // "Some certificate trust checks failed -> Java ..., OK -> Mozilla": CRITICAL there. But one store trusts the
    // chain, and the copies of the stores that come with testssl.sh are as old as its package: a root younger than
    // that is missing in some. What remains are warnings that the local OpenSSL is not reliable.
    return .inconclusive
  }

  private static func nameMatch(_ text: String) -> TestSSLOutcome {
    if text.hasPrefix("Ok via ") { return .pass }
    // "via CN only", "via CN (wildcard) only", "via CN, but not SAN": clients have not looked at the common name for
    // years (RFC 9525).
    if text.hasPrefix("certificate does not match") || text.hasPrefix("via CN") { return .fail }
    return .inconclusive
  }

  private static func expiration(_ text: String) -> TestSSLOutcome {
    if text == "expired" { return .fail }
    // "89 >= 60 days". "expires < 30 days (12)" is HIGH there, and the certificate is valid: many live 90 days or less.
    if text.contains(" >= ") || text.hasPrefix("expires < ") { return .pass }
    return .inconclusive
  }

  /// Keys of less than 112 bits of strength (NIST SP 800-57, part 1, table 2: RSA below 2048, EC below 224) and
  /// signatures over MD2, MD4, MD5 or SHA-1. testssl.sh calls RSA of 1024 bits and SHA-1 just MEDIUM.
  static let weakCertificateKey = TestSSLRule(
    "encryption.weak-certificate-key", required: ["cert_keySize", "cert_signatureAlgorithm"], isOfCertificates: true
  ) { id, finding in
    id == "cert_keySize" ? keySize(finding.finding) : signature(finding.finding)
  }

  /// "RSA 2048 bits", "EC 256 bits (curve P-256)", "RSA 4096 bits (exponent is 65537)", "EdDSA ED25519".
  private static func keySize(_ text: String) -> TestSSLOutcome {
    let words = text.split(separator: " ")
    if let kind = words.first, ["EdDSA", "ML-DSA", "SLH-DSA"].contains(kind) { return .pass }
    // "Server keys 1024 bits, unknown public key algorithm ..." has a comma, and is unknown.
    guard let unit = words.firstIndex(of: "bits"), unit > 0, let bits = Int(words[unit - 1]) else {
      return .inconclusive
    }
    switch unit > 1 ? words[unit - 2] : "" {
    // With an exponent of 1 the signature is the message (CRITICAL since 3.2).
    case "RSA" where text.contains("(exponent is 1)"): return .fail
    case "RSA", "DSA", "DH": return bits < 2048 ? .fail : .pass
    case "EC": return bits < 224 ? .fail : .pass
    // 3.0 leaves out the kind of a key it finds too long: "8192 bits (Odd)". That much is enough for any kind.
    case "" where bits > 4096: return .pass
    default: return .inconclusive
    }
  }

  /// "SHA256 with RSA", "ECDSA with SHA1", "RSASSA-PSS with SHA384", "MD5", "Ed25519", "SM2 with SM3".
  private static func signature(_ text: String) -> TestSSLOutcome {
    let words = text.split(separator: " ").map { $0.uppercased() }
    if words.contains(where: ["MD2", "MD4", "MD5", "SHA1"].contains) { return .fail }
    if words.contains(where: ["SHA224", "SHA256", "SHA384", "SHA512", "SM3", "ED25519", "ED448"].contains) {
      return .pass
    }
    if words.contains(where: { $0.hasPrefix("ML-DSA") || $0.hasPrefix("SLH-DSA") }) { return .pass }
    return .inconclusive
  }
}
