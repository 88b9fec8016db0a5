import ArgumentParser
import HTTPServer

/// HTTPS by the service itself.
struct TLSOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A certificate in PEM with those between it and its root, to serve HTTPS alone; read again on SIGHUP.",
      valueName: "file"))
  var tlsCertificate: String?

  @Option(help: ArgumentHelp("The certificate's key in PEM, without a passphrase.", valueName: "file"))
  var tlsKey: String?

  @Option(
    help: ArgumentHelp(
      "Certificates in PEM of the authorities that clients' certificates are verified by: clients are asked for one, "
        + "and one that does not verify ends the connection. Keys are needed as before. Read again on SIGHUP. "
        + "(default: clients are not asked)", valueName: "file"))
  var tlsClientCa: String?

  @Option(
    help: ArgumentHelp(
      "Whether clients without a certificate are served: optional, or required for that they are not. "
        + "(default: optional)", valueName: "mode"))
  var tlsClientAuth: String?

  func validate() throws { _ = try files }

  private struct Files {
    let certificate: String
    let key: String
    let clients: TLSIdentity.ClientAuthentication?
  }

  /// Nil when nothing is set.
  private var files: Files? {
    get throws {
      let certificate = tlsCertificate ?? environment(twin(of: "tls-certificate"))
      let key = tlsKey ?? environment(twin(of: "tls-key"))
      let clients = try clients
      switch (certificate, key) {
      case (nil, nil):
        if clients != nil { throw ValidationError("--tls-client-ca needs --tls-certificate and --tls-key.") }
        return nil
      case (let certificate?, let key?): return Files(certificate: certificate, key: key, clients: clients)
      default: throw ValidationError("Give both --tls-certificate and --tls-key, or neither.")
      }
    }
  }

  private var clients: TLSIdentity.ClientAuthentication? {
    get throws {
      let file = tlsClientCa ?? environment(twin(of: "tls-client-ca"))
      let word = tlsClientAuth ?? environment(twin(of: "tls-client-auth"))
      guard let mode = TLSIdentity.ClientAuthentication.Mode(rawValue: word ?? "optional") else {
        throw ValidationError("--tls-client-auth is optional or required.")
      }
      guard let file else {
        if word != nil { throw ValidationError("--tls-client-auth needs --tls-client-ca.") }
        return nil
      }
      return TLSIdentity.ClientAuthentication(authoritiesFile: file, mode: mode)
    }
  }

  /// - Returns: nil when nothing is set.
  /// - Throws: `TLSFault`, before anything is started.
  func identity() throws -> TLSIdentity? {
    try files.map { try TLSIdentity(certificateFile: $0.certificate, keyFile: $0.key, clients: $0.clients) }
  }
}
