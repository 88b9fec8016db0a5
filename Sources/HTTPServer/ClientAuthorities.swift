internal import CGnuTLS

extension TLSIdentity {
  /// That clients are asked for certificates.
  public struct ClientAuthentication: Sendable {
    public enum Mode: String, Sendable {
      /// Clients without a certificate are served as if nobody had asked.
      case optional
      case required
    }

    let authoritiesFile: String
    let mode: Mode

    /// - Parameter authoritiesFile: PEM, the certificates that clients' certificates lead back to.
    public init(authoritiesFile: String, mode: Mode) {
      self.authoritiesFile = authoritiesFile
      self.mode = mode
    }
  }
}

/// The authorities that clients' certificates are verified by.
///
/// Verified are chain, time, purpose (id-kp-clientAuth, where a certificate names purposes) and strength; there are no
/// names to compare, as a certificate stands for nobody here.
///
/// Unchecked: nothing changes it after `init`, and GnuTLS only reads from it.
final class ClientAuthorities: @unchecked Sendable {
  private let list: gnutls_x509_trust_list_t
  private static let chainCountMax = 16
  private static let purpose = Array("1.3.6.1.5.5.7.3.2\0".utf8)
  /// 112 bits at least: RSA from 2,048 on, no SHA-1.
  private static let flags = GNUTLS_PROFILE_MEDIUM.rawValue << 24

  /// - Throws: `TLSFault`: the file cannot be read, or holds no certificate.
  init(file: String) throws(TLSFault) {
    let bytes = try readTLSFile(file)
    var list: gnutls_x509_trust_list_t?
    guard gnutls_x509_trust_list_init(&list, 0) >= 0, let list else { throw TLSFault(file: file, reason: "no memory") }
    let added = bytes.withUnsafeBytes { bytes in
      var datum = gnutls_datum_t(bytes)
      return gnutls_x509_trust_list_add_trust_mem(list, &datum, nil, GNUTLS_X509_FMT_PEM, 0, 0)
    }
    guard added > 0 else {
      gnutls_x509_trust_list_deinit(list, 1)
      throw TLSFault(file: file, reason: added < 0 ? String(cString: gnutls_strerror(added)) : "it has no certificate")
    }
    self.list = list
  }

  deinit { gnutls_x509_trust_list_deinit(list, 1) }

  /// Whether the handshake may go on: what the client has shown is verified, or it has shown nothing, which GnuTLS
  /// itself refuses where that may not be.
  func admit(_ session: gnutls_session_t) -> Bool {
    var count: UInt32 = 0
    guard let shown = gnutls_certificate_get_peers(session, &count), count > 0 else { return true }
    guard count <= Self.chainCountMax else { return false }
    var chain: [gnutls_x509_crt_t?] = []
    defer { for certificate in chain { gnutls_x509_crt_deinit(certificate) } }
    for index in 0..<Int(count) {
      var certificate: gnutls_x509_crt_t?
      guard gnutls_x509_crt_init(&certificate) >= 0 else { return false }
      chain.append(certificate)
      guard gnutls_x509_crt_import(certificate, shown + index, GNUTLS_X509_FMT_DER) >= 0 else { return false }
    }
    var purpose = Self.purpose
    var faults: UInt32 = 0
    let outcome = purpose.withUnsafeMutableBufferPointer { purpose in
      var demanded = gnutls_typed_vdata_st(
        type: GNUTLS_DT_KEY_PURPOSE_OID, data: purpose.baseAddress, size: UInt32(purpose.count - 1))
      return gnutls_x509_trust_list_verify_crt2(list, &chain, count, &demanded, 1, Self.flags, &faults, nil)
    }
    return outcome >= 0 && faults == 0
  }
}
