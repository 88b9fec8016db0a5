import Foundation
import Synchronization
import TestHarness
import Testing

struct MasterKeyTests {
  private func mode(of path: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
  }

  @Test func aPrivateClusterMakesItsKeyOnceAndOthersMayNotReadIt() async throws {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    let key = directory + "/master.key"
    let list = ["keys", "list", "--data-dir", directory]
    #expect(try await Program.run(list).status == 0)
    let made = try String(contentsOfFile: key, encoding: .utf8)
    #expect(Data(base64Encoded: made.trimmingCharacters(in: .newlines))?.count == 32)
    #expect(try mode(of: key) == 0o600)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("master") }.count == 1)
    #expect(try await Program.run(list).status == 0)
    #expect(try String(contentsOfFile: key, encoding: .utf8) == made)

    chmod(key, 0o640)
    let refused = try await Program.run(list)
    #expect(refused.status != 0 && refused.errors.contains("chmod 600 \(key)"), "\(refused)")
    let named = try await Program.run(list + ["--master-key-file", key])
    #expect(named.status != 0 && named.errors.contains("chmod 600 \(key)"), "\(named)")
    chmod(key, 0o400)
    #expect(try await Program.run(list + ["--master-key-file", key]).status == 0)
    try "none".write(toFile: key + ".other", atomically: false, encoding: .utf8)
    chmod(key + ".other", 0o600)
    let wrong = try await Program.run(list + ["--master-key-file", key + ".other"])
    #expect(wrong.status != 0 && wrong.errors.contains("Base64"), "\(wrong)")
  }

  // MARK: - Changing it

  private func post(_ id: String, with client: APIClient) async throws -> Answer {
    try await client.post(
      "/v1/probe-results",
      #"{"provider":"acme","source":"lab","check":"encryption.hsts-missing","outcome":"fail","#
        + #""observed_at":"2026-11-20T08:00:00Z","external_id":"\#(id)","evidence":{"found":"x"}}"#)
  }

  @Test(.timeLimit(.minutes(10))) func aPrivateClustersIsChangedWhileItServesAndAfterAKill() async throws {
    let service = RunningService()
    try await service.start()
    let client = service.client(key: try await service.createKey())
    _ = try await client.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    _ = try await client.post("/v1/sources", #"{"slug":"lab","name":"L"}"#)
    let number = Counter()
    func post() async throws -> Answer { try await self.post(String(number.next()), with: client) }
    let id = try #require(try await post().json["id"].string)
    func status() async throws -> String? {
      try await client.get("/v1/probe-results/\(id)").json["evidence_status"].string
    }
    let file = service.dataDirectory + "/master.key"
    let former = try String(contentsOfFile: file, encoding: .utf8)
    let rows = "select day, encode(master_key_id, 'hex'), md5(wrapped) from evidence_key order by day"
    let before = try await service.sql(rows)

    // It waits for its lock in the middle, and is killed there.
    let lock = "begin; lock table evidence_key in share mode; select pg_sleep(600)"
    let url = try service.databaseURL
    let holder = Task {
      try await Program.run(["-X", "-q", "-c", lock, url], of: "/usr/bin/psql", timeoutSeconds: 300)
    }
    func locks(_ granted: String) async throws -> String {
      try await service.sql(
        "select count(*) from pg_locks where relation = 'evidence_key'::regclass and \(granted) and mode like 'Share%'")
    }
    _ = try await waitFor("the lock") { try await locks("granted") == "1" ? true : nil }
    let rotate = ["keys", "rotate-master", "--data-dir", service.dataDirectory]
    let killed = Process()
    killed.executableURL = URL(fileURLWithPath: Program.path)
    killed.arguments = rotate
    killed.standardError = FileHandle.nullDevice
    try killed.run()
    // Before its statement takes longer than one may.
    _ = try await waitFor("the rotation") { try await locks("not granted") == "1" ? true : nil }
    kill(killed.processIdentifier, SIGKILL)
    #expect(await killed.end() == -SIGKILL)
    #expect(try await status() == "stored")
    try await service.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()"
    )
    _ = try? await holder.value
    _ = try await waitFor("the locks' end") { try await locks("true") == "0" ? true : nil }
    #expect(try await service.sql(rows) == before)
    #expect(try String(contentsOfFile: file, encoding: .utf8).hasPrefix(former))
    #expect(try await status() == "stored")
    #expect(try await post().status == 201)

    // The service runs on, with what it has in memory and what it reads again.
    let done = try await Program.run(rotate)
    #expect(done.status == 0, "\(done.errors)")
    let next = try String(contentsOfFile: file, encoding: .utf8)
    #expect(next != former && next.split(separator: "\n").count == 1 && done.errors.contains("\(file)."))
    #expect(try await status() == "stored")
    #expect(try await post().status == 201)
    let kept = try #require(done.errors.firstMatch(of: /in (\S+): keep/)).1
    #expect(try String(contentsOfFile: String(kept), encoding: .utf8) == former && mode(of: String(kept)) == 0o600)
    #expect(try mode(of: file) == 0o600)

    await service.end(SIGTERM)
    for (arguments, expected) in [(["--master-key-file", String(kept)], "unreadable"), ([], "stored")] {
      try await service.start(arguments: arguments)
      #expect(try await status() == expected)
      #expect(try await post().status == (expected == "stored" ? 201 : 503))
      await service.end(SIGTERM)
    }
  }

  @Test func withoutTheKeyInForceItIsRefusedAndSaidWhy() async throws {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    #expect(try await Program.run(["keys", "list", "--data-dir", directory]).status == 0)
    let rotate = ["keys", "rotate-master", "--data-dir", directory]
    let foreign = ["B", "C"].map { String(repeating: $0, count: 43) + "=" }.joined(separator: ",")
    let wrong = try await Program.run(rotate, environment: ["RELAYRISK_MASTER_KEY": foreign])
    #expect(wrong.status == 1 && wrong.errors.contains("which is not among those given"), "\(wrong)")
    // The operator's file is the operator's: nothing is made for it, and nothing taken out.
    let key = try String(contentsOfFile: directory + "/master.key", encoding: .utf8)
    let own = directory + "/own.key"
    try (key + String(repeating: "B", count: 43) + "=\n").write(toFile: own, atomically: false, encoding: .utf8)
    chmod(own, 0o600)
    let done = try await Program.run(rotate + ["--master-key-file", own])
    #expect(done.status == 0 && done.output.contains("1 key"), "\(done)")
    #expect(try String(contentsOfFile: own, encoding: .utf8).split(separator: "\n").count == 2)
    let again = try await Program.run(rotate + ["--master-key-file", own])
    #expect(again.status == 0 && again.output.contains("already"), "\(again)")
  }
}

private final class Counter: Sendable {
  private let value = Mutex(0)
  func next() -> Int {
    value.withLock {
      $0 += 1; return $0
    }
  }
}
