/// How tokens may be signed: with a private key that the issuer alone has. `none` is no signature, and with HS256 and
/// its like whoever can verify could also sign.
public enum SigningAlgorithm: String, Sendable, Hashable, CaseIterable {
  /// RSASSA-PKCS1-v1_5 with SHA-256.
  case rs256 = "RS256"
  /// ECDSA on P-256 with SHA-256.
  case es256 = "ES256"
  /// Ed25519.
  case edDSA = "EdDSA"
}
