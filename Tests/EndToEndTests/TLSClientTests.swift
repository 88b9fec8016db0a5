import Foundation
import TestHarness
import Testing

/// Certificates of clients, made by OpenSSL and shown by curl.
@Suite(.serialized, .timeLimit(.minutes(5))) struct TLSClientTests {
  /// Files of a certificate and its key.
  private struct Identity {
    let certificate: String
    let key: String

    var shown: [String] { ["--cert", certificate, "--key", key] }
  }

  private let directory = TemporaryDirectory.make()

  private func openssl(_ arguments: [String]) async throws {
    let made = try await Program.run(arguments, of: "/usr/bin/openssl")
    #expect(made.status == 0, "\(made.errors)")
  }

  private func identity(_ name: String) -> Identity {
    Identity(certificate: "\(directory)/\(name).pem", key: "\(directory)/\(name)-key.pem")
  }

  /// An authority, or a server, that signed itself.
  private func selfSigned(_ name: String, _ extensions: [String]) async throws -> Identity {
    let made = identity(name)
    try await openssl(
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj",
        "/CN=\(name)", "-keyout", made.key, "-out", made.certificate,
      ] + extensions.flatMap { ["-addext", $0] })
    return made
  }

  private func authority(_ name: String) async throws -> Identity { try await selfSigned(name, []) }

  /// - Parameter days: from now on; it has expired when they are negative.
  private func issue(
    _ name: String, by authority: Identity, days: Int = 90, extensions: String = "extendedKeyUsage=clientAuth",
    key: [String] = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
  ) async throws -> Identity {
    let (made, request) = (identity(name), "\(directory)/\(name).csr")
    try await openssl(
      ["req", "-newkey"] + key + ["-nodes", "-subj", "/CN=\(name)", "-keyout", made.key, "-out", request])
    let file = "\(directory)/\(name).ext"
    try extensions.write(toFile: file, atomically: true, encoding: .utf8)
    try await openssl([
      "x509", "-req", "-in", request, "-CA", authority.certificate, "-CAkey", authority.key, "-days", "\(days)",
      "-extfile", file, "-out", made.certificate,
    ])
    return made
  }

  private func serving(_ arguments: [String]) async throws -> (service: RunningService, server: Identity) {
    let server = try await selfSigned("server", ["subjectAltName=DNS:localhost,IP:127.0.0.1"])
    let service = RunningService()
    try await service.start(
      arguments: ["--tls-certificate", server.certificate, "--tls-key", server.key] + arguments)
    return (service, server)
  }

  /// Lets OpenSSL within curl show what it would refuse itself, such as weak keys.
  private static let showingAll = """
    openssl_conf = start
    [start]
    ssl_conf = ssl
    [ssl]
    system_default = all
    [all]
    CipherString = DEFAULT@SECLEVEL=0

    """

  /// - Returns: the status that curl was answered with; nil when the connection was refused.
  private func ask(
    _ path: String, of service: RunningService, trusting server: Identity, showing identity: Identity?,
    _ arguments: [String] = []
  ) async throws -> String? {
    let configuration = directory + "/openssl.cnf"
    try Self.showingAll.write(toFile: configuration, atomically: true, encoding: .utf8)
    let outcome = try await Program.run(
      ["-sS", "--cacert", server.certificate, "-o", "/dev/null", "-w", "%{http_code}"] + (identity?.shown ?? [])
        + arguments + [service.address + path], of: "/usr/bin/curl", environment: ["OPENSSL_CONF": configuration])
    // Ended in the handshake, or behind it, where TLS 1.3 says so to a client; and not by curl itself.
    #expect([0, 35, 52, 55, 56].contains(outcome.status), "\(outcome.errors)")
    return outcome.status == 0 ? outcome.output : nil
  }

  @Test(arguments: ["1.2", "1.3"])
  func whatDoesNotVerifyIsRefusedAndNoCertificateIsOnlyWhereOneIsRequired(version: String) async throws {
    let (ours, others) = (try await authority("ours"), try await authority("others"))
    let between = try await issue("between", by: ours, extensions: "basicConstraints=critical,CA:true")
    let below = try await issue("below", by: between)
    // What is between is sent along.
    let chain = Identity(certificate: "\(directory)/chain.pem", key: below.key)
    try [below, between].map { try String(contentsOfFile: $0.certificate, encoding: .utf8) }.joined()
      .write(toFile: chain.certificate, atomically: true, encoding: .utf8)
    let admitted = [try await issue("scanner", by: ours), try await issue("any", by: ours, extensions: ""), chain]
    let refused = [
      try await issue("stranger", by: others), try await issue("expired", by: ours, days: -1),
      try await issue("shop", by: ours, extensions: "extendedKeyUsage=serverAuth"), below,
      try await issue("weak", by: ours, key: ["rsa:1024"]), try await selfSigned("itself", []),
    ]
    let only = ["--tlsv" + version, "--tls-max", version]
    for mode in ["optional", "required"] {
      let (service, server) = try await serving([
        "--tls-client-ca", ours.certificate, "--tls-client-auth", mode,
      ])
      for identity in admitted {
        // It is no key.
        for (path, status) in [("/healthz", "200"), ("/v1/providers", "401")] {
          let answer = try await ask(path, of: service, trusting: server, showing: identity, only)
          #expect(answer == status, "\(mode), \(identity.certificate), \(path)")
        }
      }
      for identity in refused {
        let answer = try await ask("/healthz", of: service, trusting: server, showing: identity, only)
        #expect(answer == nil, "\(mode), \(identity.certificate)")
      }
      let bare = try await ask("/healthz", of: service, trusting: server, showing: nil, only)
      #expect(bare == (mode == "required" ? nil : "200"))
      let key = ["-H", "Authorization: Bearer \(try await service.createKey())"]
      let keyed = try await ask("/v1/providers", of: service, trusting: server, showing: admitted[0], only + key)
      #expect(keyed == "200")
      #expect(await service.end(SIGTERM) == 0)
    }
  }

  @Test func authoritiesAreReadAgainOnSIGHUPAndABrokenFileIsNot() async throws {
    let (first, second) = (try await authority("first"), try await authority("second"))
    let (early, late) = (try await issue("early", by: first), try await issue("late", by: second))
    let file = directory + "/authorities.pem"
    func write(_ authorities: [Identity], _ more: String = "") throws {
      let text = try authorities.map { try String(contentsOfFile: $0.certificate, encoding: .utf8) }.joined()
      try (text + more).write(toFile: file, atomically: true, encoding: .utf8)
    }
    try write([first])
    let (service, server) = try await serving(["--tls-client-ca", file, "--tls-client-auth", "required"])
    func answers() async throws -> [String?] {
      [
        try await ask("/healthz", of: service, trusting: server, showing: early),
        try await ask("/healthz", of: service, trusting: server, showing: late),
      ]
    }
    #expect(try await answers() == ["200", nil])
    try "no certificate".write(toFile: file, atomically: true, encoding: .utf8)
    kill(service.process.processIdentifier, SIGHUP)
    _ = try await waitFor("the complaint") { service.errors.contains("\(file) cannot be used") ? true : nil }
    #expect(try await answers() == ["200", nil])
    for (count, (authorities, expected)) in [([first, second], ["200", "200"]), ([second], [nil, "200"])].enumerated() {
      try write(authorities)
      kill(service.process.processIdentifier, SIGHUP)
      _ = try await waitFor("the news") {
        service.errors.components(separatedBy: "was read again").count == count + 2 ? true : nil
      }
      #expect(try await answers() == expected)
    }
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func withoutTheFlagNobodyIsAsked() async throws {
    let stranger = try await issue("stranger", by: try await authority("others"))
    let (service, server) = try await serving([])
    #expect(try await ask("/healthz", of: service, trusting: server, showing: stranger) == "200")
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func whatCannotBeUsedIsSaidBeforeAnythingStarts() async throws {
    let server = try await selfSigned("server", [])
    let pair = ["--tls-certificate", server.certificate, "--tls-key", server.key]
    for (arguments, sentence) in [
      (["--tls-client-ca", server.certificate], "--tls-client-ca needs --tls-certificate and --tls-key"),
      (pair + ["--tls-client-auth", "required"], "--tls-client-auth needs --tls-client-ca"),
      (pair + ["--tls-client-ca", server.certificate, "--tls-client-auth", "yes"], "is optional or required"),
      (pair + ["--tls-client-ca", directory + "/none"], "none cannot be used for TLS"),
      (pair + ["--tls-client-ca", server.key], "server-key.pem cannot be used for TLS"),
    ] {
      let outcome = try await Program.run(["serve", "--data-dir", directory + "/data"] + arguments)
      #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(outcome.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: directory + "/data/postgres"))
  }
}
