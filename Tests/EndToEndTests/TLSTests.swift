import Foundation
import TestHarness
import Testing

/// HTTPS by the service itself, asked by curl and OpenSSL.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TLSTests {
  /// A certificate for localhost that signed itself, with its key.
  private struct Certificate {
    let certificate: String
    let key: String

    init(in directory: String, named name: String) async throws {
      certificate = "\(directory)/\(name).pem"
      key = "\(directory)/\(name)-key.pem"
      let made = try await Program.run(
        [
          "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj",
          "/CN=\(name)", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ], of: "/usr/bin/openssl")
      #expect(made.status == 0, "\(made.errors)")
    }

    var arguments: [String] { ["--tls-certificate", certificate, "--tls-key", key] }
  }

  private let directory = TemporaryDirectory.make()

  private func serving(_ certificate: Certificate) async throws -> RunningService {
    let service = RunningService()
    try await service.start(arguments: certificate.arguments)
    #expect(service.address.hasPrefix("https://127.0.0.1:"))
    return service
  }

  /// - Returns: what curl prints, headers first.
  private func get(
    _ path: String, of service: RunningService, trusting certificate: Certificate, _ arguments: [String] = []
  ) async throws -> Program.Outcome {
    try await Program.run(
      ["-sS", "-i", "--cacert", certificate.certificate] + arguments + [service.address + path], of: "/usr/bin/curl")
  }

  @Test func itSpeaksTLSAloneAndSaysSo() async throws {
    let certificate = try await Certificate(in: directory, named: "first")
    let service = try await serving(certificate)
    for path in ["/healthz", "/v1/providers", "/nowhere"] {
      let answer = try await get(path, of: service, trusting: certificate)
      #expect(answer.status == 0, "\(answer.errors)")
      for header in [
        "Strict-Transport-Security: max-age=63072000", "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'", "Referrer-Policy: no-referrer",
      ] { #expect(answer.output.contains(header + "\r\n"), "\(path): \(answer.output)") }
    }
    let plain = service.address.replacing("https:", with: "http:") + "/healthz"
    #expect(try await Program.run(["-sS", plain], of: "/usr/bin/curl").status != 0)
    #expect(try await get("/healthz", of: service, trusting: certificate, ["--tls-max", "1.1"]).status != 0)
    for version in ["1.2", "1.3"] {
      let only = ["--tlsv" + version, "--tls-max", version]
      #expect(try await get("/healthz", of: service, trusting: certificate, only).status == 0)
    }
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func bodiesOfEverySizePassBothWays() async throws {
    let certificate = try await Certificate(in: directory, named: "first")
    let service = try await serving(certificate)
    let key = ["-H", "Authorization: Bearer \(try await service.createKey())"]
    let file = directory + "/relays.ndjson"
    let count = 9_000
    let lines = (0..<count).map { #"{"slug":"relay-\#($0)","name":"Relay \#($0)","hosts":["relay-\#($0).example"]}"# }
    try lines.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
    let type = ["-H", "Content-Type: application/x-ndjson", "--data-binary", "@" + file]
    let imported = try await get("/v1/providers/import", of: service, trusting: certificate, key + type)
    let last = #"{"index":\#(count - 1),"status":"accepted""#
    #expect(imported.output.contains(last), "\(imported.output.suffix(500))")
    let accept = ["-H", "Accept: application/x-ndjson"]
    for encoding in [[], ["--compressed"]] {
      let exported = try await get("/v1/scores", of: service, trusting: certificate, key + accept + encoding)
      // A line each; the headers end in CR LF, which is another character.
      #expect(exported.output.count { $0 == "\n" } == count, "\(exported.errors)")
    }
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func aRenewedCertificateIsShownAfterSIGHUPAndABrokenOneIsNot() async throws {
    let first = try await Certificate(in: directory, named: "first")
    let second = try await Certificate(in: directory, named: "second")
    let served = directory + "/served.pem"
    try Data(contentsOf: URL(fileURLWithPath: first.certificate)).write(to: URL(fileURLWithPath: served))
    let service = RunningService()
    // The key is the same file before and after.
    let key = directory + "/served-key.pem"
    try Data(contentsOf: URL(fileURLWithPath: first.key)).write(to: URL(fileURLWithPath: key))
    try await service.start(arguments: ["--tls-certificate", served, "--tls-key", key])
    #expect(try await get("/healthz", of: service, trusting: first).status == 0)

    try Data("broken".utf8).write(to: URL(fileURLWithPath: served))
    kill(service.process.processIdentifier, SIGHUP)
    _ = try await waitFor("the complaint") { service.errors.contains("\(served) cannot be used") ? true : nil }
    #expect(try await get("/healthz", of: service, trusting: first).status == 0)

    try Data(contentsOf: URL(fileURLWithPath: second.certificate)).write(to: URL(fileURLWithPath: served))
    try Data(contentsOf: URL(fileURLWithPath: second.key)).write(to: URL(fileURLWithPath: key))
    kill(service.process.processIdentifier, SIGHUP)
    _ = try await waitFor("the news") { service.errors.contains("was read again") ? true : nil }
    #expect(try await get("/healthz", of: service, trusting: second).status == 0)
    #expect(try await get("/healthz", of: service, trusting: first).status != 0)
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func withoutACertificateSIGHUPEndsNothing() async throws {
    let service = RunningService()
    try await service.start()
    for _ in 0..<3 { kill(service.process.processIdentifier, SIGHUP) }
    #expect(try await service.client(key: nil).get("/readyz").status == 200)
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func aClientCannotNegotiateAnew() async throws {
    let certificate = try await Certificate(in: directory, named: "first")
    let service = try await serving(certificate)
    // `R` on a line of its own asks for it; the server ends the connection.
    let asked = try await Program.run(
      [
        "-c", #"(sleep 1; echo R; sleep 5) | timeout 20 openssl s_client -tls1_2 -connect "$0""#,
        service.address.replacing("https://", with: ""),
      ], of: "/bin/sh")
    #expect(asked.output.contains("closed"), "\(asked.output)")
    #expect(try await get("/healthz", of: service, trusting: certificate).status == 0)
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func whatCannotBeUsedIsSaidBeforeAnythingStarts() async throws {
    let first = try await Certificate(in: directory, named: "first")
    let second = try await Certificate(in: directory, named: "second")
    let data = ["--data-dir", directory + "/data"]
    for (arguments, sentence) in [
      (["--tls-certificate", first.certificate], "both --tls-certificate and --tls-key"),
      (["--tls-certificate", first.certificate, "--tls-key", directory + "/none"], "none cannot be used for TLS"),
      (["--tls-certificate", first.certificate, "--tls-key", second.key], "second-key.pem cannot be used for TLS"),
      (["--tls-certificate", first.key, "--tls-key", first.key], "first-key.pem cannot be used for TLS"),
    ] {
      let outcome = try await Program.run(["serve"] + data + arguments)
      #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(outcome.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: directory + "/data/postgres"))
  }
}
