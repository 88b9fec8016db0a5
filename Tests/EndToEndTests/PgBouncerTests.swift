import Foundation
import TestHarness
import Testing

@Suite struct PgBouncerTests {
  /// The shipped settings with another address of the database, a free port, and no passwords.
  private func settings(database socket: String, port: UInt16) throws -> String {
    let path = Document.top.appendingPathComponent("deploy/pgbouncer/pgbouncer.ini")
    return try String(contentsOf: path, encoding: .utf8)
      .replacingOccurrences(of: "host=db.internal", with: "host=\(socket) user=relayrisk")
      .replacingOccurrences(of: "listen_port = 6432", with: "listen_port = \(port)")
      .replacingOccurrences(of: "auth_type = scram-sha-256", with: "auth_type = any")
      .split(separator: "\n").filter { !$0.hasPrefix("auth_file") }.joined(separator: "\n") + "\n"
  }

  @Test func anInstanceWorksBehindItInSessionMode() async throws {
    let direct = RunningService()
    try await direct.start()
    let key = try await direct.createKey()
    let socket = try direct.socketDirectory
    let (held, port) = try listeningSocket()
    try held.close()
    let file = direct.dataDirectory + ".ini"
    try settings(database: socket, port: port).write(toFile: file, atomically: true, encoding: .utf8)

    // It refuses to run as root; as the cluster's user it is let in by peer authentication.
    let pooler = Process()
    pooler.executableURL = URL(fileURLWithPath: "/bin/sh")
    let change = #"[ "$(id -u)" = 0 ] && set -- setpriv --reuid="$2" --regid="$2" --init-groups -- pgbouncer "$1""#
    pooler.arguments = ["-c", change + #" || set -- pgbouncer "$1"; exec "$@""#, "sh", file, try owner(of: direct)]
    pooler.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
    pooler.standardError = FileHandle.nullDevice
    try pooler.run()
    // Its mask of signals is the one of a thread that tests run on, which blocks the gentle ones.
    defer { kill(pooler.processIdentifier, SIGKILL) }

    let pooled = RunningService()
    try await pooled.start(
      arguments: ["--database-url", "host=127.0.0.1 port=\(port) user=relayrisk dbname=relayrisk"])
    let source = try await pooled.client(key: key).post("/v1/sources", #"{"slug":"lab","name":"L"}"#)
    #expect(source.status == 201)
    _ = try await waitFor("the news") {
      try await direct.client(key: key).get("/v1/sources/lab").status == 200 ? true : nil
    }
    #expect(await pooled.end(SIGTERM) == 0)
    #expect(await direct.end(SIGTERM) == 0)
  }

  private func owner(of service: RunningService) throws -> String {
    let attributes = try FileManager.default.attributesOfItem(atPath: service.dataDirectory + "/postgres")
    return try #require(attributes[.ownerAccountName] as? String)
  }
}
