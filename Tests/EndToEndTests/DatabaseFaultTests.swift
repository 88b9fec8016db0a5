import Foundation
import TestHarness
import Testing

/// The database of a service under load is killed or out of reach: reads never notice, writes are refused whole, and
/// nobody has to do anything afterwards.
@Suite(.serialized) struct DatabaseFaultTests {
  private static let reads = [
    "/healthz", "/readyz", "/v1/providers", "/v1/providers/acme/score", "/v1/scores", "/v1/lookup?host=acme.example",
    "/v1/checks", "/v1/changes?since=0",
  ]

  /// Reads what is answered from memory, over and over.
  /// - Returns: how many answers there were, and those that were not as always.
  private func read(_ client: APIClient, until stopped: Flag) async -> (count: Int, wrong: [String]) {
    var (count, wrong) = (0, [String]())
    while !stopped.isSet {
      for path in Self.reads {
        let status = try? await client.get(path).status
        count += 1
        if status != 200 { wrong.append("\(path): \(status.map(String.init) ?? "no answer")") }
      }
    }
    return (count, wrong)
  }

  /// Runs `harm` while clients post and read, and looks at what was left of it.
  /// - Parameter prepare: done to a cluster that is stopped, before.
  private func underLoad(
    prepare: ((RunningService) throws -> Void)? = nil,
    _ harm: (RunningService, PostingLoad, _ key: String) async throws -> Void
  ) async throws {
    let service = RunningService()
    try await service.start()
    if let prepare {
      #expect(await service.end(SIGTERM) == 0)
      try prepare(service)
      try await service.start()
    }
    let key = try await service.createKey()
    let client = service.client(key: key).unrecorded
    let load = try await PostingLoad(client)
    // What is read once is read from memory then.
    for path in Self.reads { #expect(try await client.get(path).status == 200, "\(path)") }
    let stopped = Flag()
    async let posting: Void = load.run(until: stopped)
    async let reading = read(client, until: stopped)
    try await harm(service, load, key)
    try await load.waitForOneMore()
    stopped.set()
    await posting
    let (count, wrong) = await reading
    #expect(count >= Self.reads.count && wrong.isEmpty, "\(count): \(wrong.prefix(10))")
    #expect(load.told.unanswered == 0 && load.told.refused > 0, "\(load.told)")
    try await load.expectEachOnce(in: service)
    #expect(await service.end(SIGTERM) == 0)
    #expect(service.postmaster == nil)
  }

  @Test(.timeLimit(.minutes(60))) func killedItIsStartedAgainByTheServiceThatKeepsIt() async throws {
    try await underLoad { service, load, _ in
      for _ in 0..<Soak.count(short: 2, long: 20) {
        try await load.waitForOneMore()
        try await Task.sleep(for: .milliseconds(.random(in: 0...400)))
        let postmaster = try #require(service.postmaster)
        #expect(kill(postmaster, SIGKILL) == 0)
        _ = try await waitFor("another postmaster") {
          service.postmaster.map { $0 != postmaster } == true ? true : nil
        }
      }
      #expect(service.errors.contains("the private PostgreSQL was gone: started again"))
    }
  }

  @Test(.timeLimit(.minutes(60))) func outOfReachItIsFoundAgain() async throws {
    try await underLoad { service, load, key in
      try await load.waitForOneMore()
      let postmaster = service.postmaster
      let client = service.client(key: key)
      let before = try await client.get("/v1/providers/acme/score").json["provisional_score"].double
      #expect(before != nil)
      // Nobody connects any more, and who was connected is no longer.
      let (socket, away) = (try service.socketDirectory + "/.s.PGSQL.5432", try service.socketDirectory + "/.s.PGSQL.1")
      #expect(rename(socket, away) == 0)
      let begin = ContinuousClock.now
      try await service.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()", port: 1)

      _ = try await waitFor("the loss to be noticed") {
        try await client.get("/readyz?writes").status == 503 ? true : nil
      }
      let refused = try await client.post("/v1/sources", #"{"slug":"other","name":"O"}"#)
      #expect(refused.status == 503 && refused.headers["retry-after"] != nil, "\(refused.text)")
      let unknown = "rr_01a206b2-8b49-750f-89d7-9fc58409f28e_" + String(repeating: "0", count: 64)
      #expect(try await client.with(key: unknown).get("/v1/concerns").status == 503)
      _ = try await waitFor("staleness") {
        let ready = try await client.get("/readyz")
        return ready.status == 200 && ready.json["status"].string == "stale" ? true : nil
      }
      let score = try await client.get("/v1/providers/acme/score")
      #expect(score.status == 200 && score.headers["evidence-as-of"] != nil)
      while ContinuousClock.now - begin < Soak.seconds(short: 3) { try await Task.sleep(for: .milliseconds(100)) }

      #expect(rename(away, socket) == 0)
      _ = try await waitFor("recovery") { try await client.get("/readyz?writes").status == 200 ? true : nil }
      // A server that runs is left alone.
      #expect(service.postmaster == postmaster)
    }
  }

  @Test(.timeLimit(.minutes(60))) func aFullDiskRefusesWritesUntilThereIsSpace() async throws {
    try await underLoad(prepare: makeLogFilesSmall) { service, load, _ in
      // Above every file there is, for behind the limit a file is "too large" and there is no end of space; and within
      // a page.
      let largest = try #require(Int(try await service.sql("select max(pg_relation_size(oid)) from pg_class")))
      limitFiles(of: service, to: (largest / 8_192 + 512) * 8_192 + 1_024)
      _ = try await waitFor("a refusal") { load.told.refused > 0 ? true : nil }
      try await Task.sleep(for: Soak.seconds(short: 3))
      #expect(try databaseLog(of: service).contains("could not extend file"))
      limitFiles(of: service, to: nil)
      let refused = load.told.refused
      for _ in 0..<40 { try await load.waitForOneMore() }
      // Those that were under way when the space came.
      #expect(load.told.refused <= refused + 4)
    }
  }

  /// Then PostgreSQL gives up as a whole.
  @Test(.timeLimit(.minutes(60))) func aDiskWithoutSpaceForTheLogOfChangesIsGotOver() async throws {
    try await underLoad(prepare: makeLogFilesSmall) { service, load, _ in
      try await load.waitForOneMore()
      // Within a file of the log, and above the tables, which have only begun to grow.
      limitFiles(of: service, to: 1_000_000)
      _ = try await waitFor("the end of the server") {
        try databaseLog(of: service).contains("PANIC:  could not write") ? true : nil
      }
      // There is space again, for the server if it has not ended yet.
      let change =
        #"[ -z "$postmaster" ] || $as prlimit --fsize=unlimited: --pid "$postmaster" || ! kill -0 "$postmaster""#
      #expect(asOwner(of: service, change) == 0)
      for _ in 0..<5 { try await load.waitForOneMore() }
    }
  }

  // MARK: - A full disk

  // A disk of a size that root would have to mount is made by a limit of the size of files, which lets a page be
  // written in part: PostgreSQL takes that for a full disk.

  /// So that the limit may be below the 16 MiB of a file of its log of changes.
  private func makeLogFilesSmall(of service: RunningService) throws {
    let resize = #"exec $as /usr/lib/postgresql/15/bin/pg_resetwal --wal-segsize=1 -D "$data""#
    #expect(asOwner(of: service, resize) == 0)
  }

  /// The limit of the postmaster, whose children to come inherit it, and then of those that it has: one that began in
  /// between would write on behind the limit, where a file is "too large" to the others.
  private func limitFiles(of service: RunningService, to bytes: Int?) {
    let limit = bytes.map { "\($0)" } ?? "unlimited"
    let change = #"""
      change() { $as prlimit --fsize="$limit": --pid "$1" || ! kill -0 "$1" || exit 1; }
      change "$postmaster"
      for status in $(grep -ls "^PPid:[[:space:]]*$postmaster\$" /proc/[0-9]*/status); do
        status=${status%/status}; change "${status##*/}"
      done
      """#
    #expect(asOwner(of: service, "limit=\(limit)\n\(change)") == 0)
  }

  private func databaseLog(of service: RunningService) throws -> String {
    try String(contentsOfFile: service.dataDirectory + "/postgres.log", encoding: .utf8)
  }

  /// Runs a line of the shell, with `$as` before a program that is to run as the cluster's user.
  private func asOwner(of service: RunningService, _ script: String) -> Int32 {
    let setUp = #"""
      data=$0/postgres; as=; postmaster=$(head -n 1 "$data/postmaster.pid" 2> /dev/null)
      [ "$(id -u)" != 0 ] || as="setpriv --reuid=$(stat -c %u "$data") --regid=$(stat -c %g "$data") --clear-groups"
      """#
    return Shell.run(["/bin/sh", "-c", "\(setUp)\n\(script)", service.dataDirectory])
  }
}
