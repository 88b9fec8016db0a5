import Glibc
import Logging
import TestHarness
import Testing

@testable import Postgres

@Suite(.serialized) struct PrivateClusterTests {
  private func cluster(_ directory: String) -> PrivateCluster {
    PrivateCluster(dataDirectory: directory, logger: TestServer.quiet)
  }

  /// A data directory that does not exist yet, or one that has a stopped cluster.
  private func withDirectory(
    _ name: String = "data", isFresh: Bool = false, _ body: (String) async throws -> Void
  ) async throws {
    let parent = TemporaryDirectory.make()
    let directory = "\(parent)/\(name)"
    ExitCleanup.add(directory)
    if !isFresh { try await TestCluster.copyTemplate(to: directory) }
    do { try await body(directory) } catch { Issue.record(error) }
    ExitCleanup.destroy(directory)
    Shell.run(["/bin/rm", "-rf", parent])
  }

  private func setting(_ name: String, _ connectionString: String) async throws -> String {
    try await TestServer.withDatabase(connectionString) { database in
      try await database.query("SELECT current_setting(\(name))") { try $0.next(String.self) }[0]
    }
  }

  @Test func isMadeStartedStoppedAndStartedAgain() async throws {
    // Quotes, a dollar sign and a space, and a path longer than a socket's may be.
    let name = "it's \"a\" $(dir) `x` \\ " + String(repeating: "long", count: 30)
    try await withDirectory(name, isFresh: true) { directory in
      let first = cluster(directory)
      let string = try await first.start()
      #expect(try await first.start() == string)
      try await TestServer.withDatabase(string) { database in
        try await database.execute("CREATE TABLE kept AS SELECT 7::int8 AS a")
        let settings = try await database.query(
          """
          SELECT current_user::text, current_database()::text, current_setting('listen_addresses'),
            current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
            current_setting('data_checksums'), current_setting('server_encoding'), current_setting('lc_collate')
          """
        ) { row in try (0..<9).map { _ in try row.next(String.self) } }
        #expect(settings == [["relayrisk", "relayrisk", "", "on", "on", "on", "on", "UTF8", "C"]])
      }
      let socket = try #require(SystemCall.read("\(directory)/postgres-socket"))
      #expect(SystemCall.status(of: socket)!.st_mode & 0o777 == 0o700)
      let real = try SystemCall.realPath("\(directory)/postgres")
      #expect(Postmaster.running(in: real) != nil)
      try await first.stop()
      #expect(Postmaster.running(in: real) == nil)
      #expect(access(socket, F_OK) != 0)
      try await first.stop()

      let second = cluster(directory)
      try await TestServer.withDatabase(try await second.start()) { database in
        let answer = try await database.query("SELECT a FROM kept") { try $0.next(Int.self) }
        #expect(answer == [7])
      }
      try await second.stop()
    }
  }

  @Test func aServerLeftByACrashIsAdopted() async throws {
    try await withDirectory { directory in
      // Letting go of the cluster without a stop is what the kernel does for a killed process.
      var crashed: PrivateCluster? = cluster(directory)
      let string = try await crashed!.start()
      let before = Postmaster.running(in: "\(directory)/postgres")
      crashed = nil
      let next = cluster(directory)
      #expect(try await next.start() == string)
      #expect(Postmaster.running(in: "\(directory)/postgres") == before)
      try await next.stop()
      #expect(Postmaster.running(in: "\(directory)/postgres") == nil)
    }
  }

  @Test func aKilledPostmasterIsReplaced() async throws {
    try await withDirectory { directory in
      _ = try await cluster(directory).start()
      let killed = try #require(Postmaster.running(in: "\(directory)/postgres"))
      kill(killed.processID, SIGKILL)
      let next = cluster(directory)
      let string = try await next.start()
      #expect(Postmaster.running(in: "\(directory)/postgres")?.processID != killed.processID)
      #expect(try await setting("data_directory", string) == "\(directory)/postgres")

      // A number that now belongs to another process, here this one.
      try await next.stop()
      let stale = "\(getpid())\n\(directory)/postgres\n1\n5432\n/nowhere\n\n1 1\nready\n"
      try SystemCall.write(stale, to: "\(directory)/postgres/postmaster.pid")
      _ = try await next.start()
      try await next.stop()
    }
  }

  @Test func aVanishedSocketDirectoryIsMadeAgain() async throws {
    try await withDirectory { directory in
      let first = cluster(directory)
      let string = try await first.start()
      let socket = try #require(SystemCall.read("\(directory)/postgres-socket"))
      Shell.run(["/bin/rm", "-rf", socket])
      let second = cluster(directory)
      #expect(try await second.start() == string)
      #expect(try await setting("data_directory", string) == "\(directory)/postgres")
      try await second.stop()
      try await first.stop()
    }
  }

  @Test func theLastUserStopsTheServer() async throws {
    try await withDirectory { directory in
      let users = (0..<3).map { _ in cluster(directory) }
      let strings = try await withThrowingTaskGroup(of: String.self) { group in
        for user in users { group.addTask { try await user.start() } }
        return try await group.reduce(into: Set<String>()) { $0.insert($1) }
      }
      #expect(strings.count == 1)
      for user in users {
        #expect(Postmaster.running(in: "\(directory)/postgres") != nil)
        try await user.stop()
      }
      #expect(Postmaster.running(in: "\(directory)/postgres") == nil)
    }
  }

  @Test func aKillDuringInitdbLeavesNothingThatCounts() async throws {
    try await withDirectory(isFresh: true) { directory in
      try SystemCall.makeDirectories("\(directory)/postgres.initdb-crashd/base", mode: 0o700)
      try SystemCall.write("15\n", to: "\(directory)/postgres.initdb-crashd/PG_VERSION")
      chmod(directory, 0o711)
      // Two at once: one makes the cluster, the other waits for it.
      let (first, second) = (cluster(directory), cluster(directory))
      async let one = first.start()
      async let other = second.start()
      #expect(try await one == other)
      #expect(SystemCall.names(in: directory).filter { $0.hasPrefix("postgres.initdb-") } == [])
      try await first.stop()
      try await second.stop()
    }
  }

  @Test func aClusterOfAnotherMajorVersionIsRefusedWithTheSteps() async throws {
    try await withDirectory { directory in
      Shell.run(["/bin/sh", "-c", "echo 9 > \"$0/postgres/PG_VERSION\"", directory])
      await #expect { try await cluster(directory).start() } throws: { error in
        guard case PrivateClusterError.otherMajorVersion(_, "9", let installed) = error else { return false }
        return !installed.isEmpty && "\(error)".contains("pg_upgrade")
      }
    }
  }

  @Test(.enabled(if: geteuid() == 0, "only root runs PostgreSQL as somebody else"))
  func aDirectoryThatPostgresMayNotEnterIsNamed() async throws {
    try await withDirectory("closed/data") { directory in
      let closed = String(directory.dropLast("/data".count))
      try SystemCall.makeDirectories(directory, mode: 0o755)
      chmod(closed, 0o700)
      await #expect { try await cluster(directory).start() } throws: { error in
        guard case PrivateClusterError.unreachable(closed, _) = error else { return false }
        return "\(error)".contains("chmod o+x \(closed)")
      }
      chmod(closed, 0o711)
      let reachable = cluster(directory)
      _ = try await reachable.start()
      try await reachable.stop()
    }
  }

  @Test func aFailingProgramShowsTheEndOfItsLog() throws {
    let directory = TemporaryDirectory.make()
    defer { Shell.run(["/bin/rm", "-rf", directory]) }
    let failing = ChildProcess(
      arguments: ["/bin/sh", "-c", "echo the reason >&2; ls /proc/self/fd | wc -l; exit 3"], environment: [],
      directory: directory, logFile: "\(directory)/log")
    #expect { try failing.run() } throws: { error in
      guard case PrivateClusterError.commandFailed("/bin/sh", 3, _, let lines) = error else { return false }
      // Descriptors 0 to 2, and the one by which ls reads the directory: none of ours.
      return lines == "the reason\n4"
    }
    let absent = ChildProcess(arguments: ["/nonexistent"], environment: [], directory: "/", logFile: "\(directory)/log")
    #expect(throws: PrivateClusterError.self) { try absent.run() }
  }
}
