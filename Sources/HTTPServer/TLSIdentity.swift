internal import CGnuTLS
import Glibc
import Synchronization

/// What a server shows of itself over TLS: its certificate, with the chain, and the key; and whose certificates its
/// clients may show.
///
/// libmicrohttpd asks for it at every handshake by a function without a context, so there is one in a process.
public final class TLSIdentity: Sendable {
  private let certificateFile: String
  private let keyFile: String
  private let clients: ClientAuthentication?

  /// What the last handshake was given, and those before, which handshakes under way may still hold.
  private struct State {
    var shown: Credentials?
    /// Nil: clients are not asked for certificates.
    var clients: (authorities: ClientAuthorities, mode: ClientAuthentication.Mode)?
    var former: [(credentials: Credentials, since: ContinuousClock.Instant)] = []
  }
  private static let state = Mutex(State())
  /// A handshake is over, or has been ended for its slowness, long before.
  private static let handshakeLimit = Duration.seconds(300)

  /// Reads the files, and shows what is in them from then on.
  /// - Parameters:
  ///   - certificateFile: PEM, the server's own certificate first, then those between it and the root.
  ///   - keyFile: PEM, without a passphrase.
  ///   - clients: nil: clients are not asked for certificates.
  /// - Throws: `TLSFault`: a file cannot be read, is not what it should be, or the two do not belong together.
  public init(certificateFile: String, keyFile: String, clients: ClientAuthentication? = nil) throws(TLSFault) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.clients = clients
    try reload()
  }

  /// Reads the files anew, after a certificate was renewed. Handshakes from now on go by them; connections that are
  /// open go on as they are.
  /// - Throws: as `init`; all stays as it was before.
  public func reload() throws(TLSFault) {
    let credentials = try Credentials(certificateFile: certificateFile, keyFile: keyFile)
    var authorities: ClientAuthorities?
    if let clients { authorities = try ClientAuthorities(file: clients.authoritiesFile) }
    let now = ContinuousClock.now
    Self.state.withLock { state in
      state.former.removeAll { now - $0.since > Self.handshakeLimit }
      if let shown = state.shown { state.former.append((shown, now)) }
      state.shown = credentials
      state.clients = authorities.flatMap { authorities in clients.map { (authorities, $0.mode) } }
    }
  }

  /// Asks the client of a connection for a certificate, where that is wanted; before its handshake. libmicrohttpd would
  /// ask too, but neither verify what comes nor read the authorities again.
  static func prepare(_ session: UnsafeMutableRawPointer) {
    guard let mode = state.withLock({ $0.clients?.mode }) else { return }
    let session = gnutls_session_t(session)
    gnutls_certificate_server_set_request(session, mode == .required ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_REQUEST)
    gnutls_session_set_verify_function(session) { session in
      // Not under the lock: this takes a fraction of a millisecond.
      let authorities = TLSIdentity.state.withLock { $0.clients?.authorities }
      return session.flatMap { authorities?.admit($0) } == true ? 0 : -1
    }
  }

  /// TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers, in the server's order.
  static let priorities =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305:-RSA:-SHA1:"
    + "%SERVER_PRECEDENCE"

  /// The function that libmicrohttpd hands to GnuTLS (`gnutls_certificate_retrieve_function2`).
  static var retrieval: UnsafeMutableRawPointer {
    let function: Retrieval = { _, _, _, _, _, certificates, count, key in
      let shown = TLSIdentity.state.withLock { $0.shown }
      guard let shown, let certificates, let count, let key else { return -1 }
      certificates.pointee = shown.certificates
      count.pointee = shown.count
      key.pointee = shown.key
      return 0
    }
    return unsafeBitCast(function, to: UnsafeMutableRawPointer.self)
  }

  private typealias Retrieval =
    @convention(c) (
      gnutls_session_t?, UnsafePointer<gnutls_datum_t>?, Int32, UnsafePointer<gnutls_pk_algorithm_t>?, Int32,
      UnsafeMutablePointer<UnsafeMutablePointer<gnutls_pcert_st>?>?, UnsafeMutablePointer<UInt32>?,
      UnsafeMutablePointer<gnutls_privkey_t?>?
    ) -> Int32

  /// Unchecked: nothing changes it after `init`, and GnuTLS only reads from it.
  private final class Credentials: @unchecked Sendable {
    let certificates: UnsafeMutablePointer<gnutls_pcert_st>
    let count: UInt32
    let key: gnutls_privkey_t
    private static let chainCountMax = 16

    init(certificateFile: String, keyFile: String) throws(TLSFault) {
      let chain = try readTLSFile(certificateFile)
      let secret = try readTLSFile(keyFile)
      let certificates = UnsafeMutablePointer<gnutls_pcert_st>.allocate(capacity: Self.chainCountMax)
      var count = UInt32(Self.chainCountMax)
      var key: gnutls_privkey_t?
      let outcome = chain.withUnsafeBytes { chain -> (file: String, code: Int32) in
        secret.withUnsafeBytes { secret in
          var (chain, secret) = (gnutls_datum_t(chain), gnutls_datum_t(secret))
          let read = gnutls_pcert_list_import_x509_raw(certificates, &count, &chain, GNUTLS_X509_FMT_PEM, 0)
          guard read >= 0 else { return (certificateFile, read) }
          let keyed = Self.readKey(&secret, into: &key)
          guard keyed >= 0 else { return (keyFile, keyed) }
          return (keyFile, Self.check(&chain, &secret))
        }
      }
      guard outcome.code >= 0, let key else {
        certificates.deallocate()
        throw TLSFault(file: outcome.file, reason: String(cString: gnutls_strerror(outcome.code)))
      }
      (self.certificates, self.count, self.key) = (certificates, count, key)
    }

    deinit {
      for index in 0..<Int(count) { gnutls_pcert_deinit(certificates + index) }
      certificates.deallocate()
      gnutls_privkey_deinit(key)
    }

    private static func readKey(_ secret: inout gnutls_datum_t, into key: inout gnutls_privkey_t?) -> Int32 {
      let made = gnutls_privkey_init(&key)
      return made < 0 ? made : gnutls_privkey_import_x509_raw(key, &secret, GNUTLS_X509_FMT_PEM, nil, 0)
    }

    /// Whether certificate and key belong together, which only credentials find out.
    private static func check(_ chain: inout gnutls_datum_t, _ secret: inout gnutls_datum_t) -> Int32 {
      var credentials: gnutls_certificate_credentials_t?
      let made = gnutls_certificate_allocate_credentials(&credentials)
      guard made >= 0 else { return made }
      defer { gnutls_certificate_free_credentials(credentials) }
      return gnutls_certificate_set_x509_key_mem(credentials, &chain, &secret, GNUTLS_X509_FMT_PEM)
    }
  }
}

extension gnutls_datum_t {
  /// - Precondition: it is used no longer than the bytes are there.
  init(_ bytes: UnsafeRawBufferPointer) {
    self.init(
      data: UnsafeMutableRawPointer(mutating: bytes.baseAddress)?.assumingMemoryBound(to: UInt8.self),
      size: UInt32(bytes.count))
  }
}

private let fileBytesMax = 1024 * 1024

func readTLSFile(_ path: String) throws(TLSFault) -> [UInt8] {
  guard let file = fopen(path, "rbe") else { throw TLSFault(file: path, reason: String(cString: strerror(errno))) }
  defer { fclose(file) }
  let bytes = [UInt8](unsafeUninitializedCapacity: fileBytesMax) { buffer, count in
    count = fread(buffer.baseAddress, 1, fileBytesMax, file)
  }
  guard ferror(file) == 0 else { throw TLSFault(file: path, reason: String(cString: strerror(errno))) }
  guard !bytes.isEmpty, bytes.count < fileBytesMax else {
    throw TLSFault(file: path, reason: bytes.isEmpty ? "it is empty" : "it is larger than \(fileBytesMax) bytes")
  }
  return bytes
}

/// Why a certificate or a key cannot be used.
public struct TLSFault: Error, CustomStringConvertible {
  public let file: String
  public let reason: String

  public var description: String { "\(file) cannot be used for TLS: \(reason)" }
}
