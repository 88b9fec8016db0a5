import Foundation
import TestHarness
import Testing

@Suite(.serialized) struct BackupTests {
  private func script(_ name: String, _ file: String, _ settings: [String]) -> Int32 {
    let program = "RELAYRISK_PROGRAM=\(Program.path)"
    let path = Document.top.appendingPathComponent("deploy/\(name)").path
    return Shell.run(["/usr/bin/env", program] + settings + [path, file])
  }

  /// Every example's whole score at an instant of the past, as it was known then.
  private func scores(_ client: APIClient, at instant: String) async throws -> [Data] {
    var bodies: [Data] = []
    for relay in ["harbor", "tern", "mirage", "rookery", "northgate", "fledgling"] {
      let query = "detail=full&as_of=\(instant)&known_at=\(instant)"
      let score = try await client.get("/v1/providers/\(relay)/score?\(query)")
      #expect(score.status == 200)
      bodies.append(score.body)
    }
    return bodies
  }

  @Test func whatIsRestoredGivesTheSameScoresToTheByte() async throws {
    let service = RunningService()
    let dataDirectory = "RELAYRISK_DATA_DIR=\(service.dataDirectory)"
    #expect(try await Program.run(["demo", "--data-dir", service.dataDirectory]).status == 0)
    try await service.start()
    let key = try await service.createKey()
    let newest = try await service.client(key: key).get("/v1/providers/northgate/incidents").json["items"][0]
    let instant = try #require(newest["recorded_at"].string)
    let before = try await scores(service.client(key: key), at: instant)
    #expect(Set(before).count == 6)
    let head = try await Program.run(["audit", "head", "--data-dir", service.dataDirectory]).output

    // While the service runs.
    let file = service.dataDirectory + ".backup"
    #expect(script("backup", file, [dataDirectory]) == 0)
    #expect(script("restore", file, [dataDirectory]) == 1)

    // Into a database of one's own, on a server that is there.
    let socket = try service.socketDirectory
    let url = "host=\(socket) user=relayrisk dbname=copy"
    #expect(
      Shell.run(["/usr/bin/psql", "-q", "host=\(socket) user=relayrisk dbname=relayrisk", "-c", "create database copy"])
        == 0)
    #expect(script("restore", file, ["RELAYRISK_DATABASE_URL=\(url)"]) == 0)
    let other = RunningService()
    try await other.start(arguments: ["--database-url", url])
    #expect(try await scores(other.client(key: key), at: instant) == before)
    await other.end(SIGTERM)
    #expect(script("backup", file + ".2", ["RELAYRISK_DATABASE_URL=\(url)"]) == 0)

    // After the loss of everything, from the copy's backup.
    await service.end(SIGTERM)
    ExitCleanup.destroy(service.dataDirectory)
    #expect(script("restore", file + ".2", [dataDirectory]) == 0)
    #expect(service.postmaster == nil)
    try await service.start()
    #expect(try await scores(service.client(key: key), at: instant) == before)
    let kept = head.trimmingCharacters(in: .newlines)
    let verified = try await Program.run(["audit", "verify", "--head", kept, "--data-dir", service.dataDirectory])
    #expect(verified.status == 0 && verified.output.hasSuffix("ends at \(head)"), "\(verified)")
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func whatCannotBeDoneLeavesNothingBehind() async throws {
    let service = RunningService()
    let file = service.dataDirectory + ".backup"
    let nowhere = "RELAYRISK_DATABASE_URL=host=/nonexistent dbname=x"
    #expect(script("backup", file, [nowhere]) != 0)
    #expect(!FileManager.default.fileExists(atPath: file))
    #expect(!FileManager.default.fileExists(atPath: file + ".partial"))
    #expect(script("restore", file, [nowhere]) != 0)
  }
}
