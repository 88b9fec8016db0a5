import EventLoop
import Glibc
import Logging
import Synchronization
import Testing

@testable import Postgres

/// Servers and connections that end, for real.
@Suite struct FaultTests {
  private func isReached(_ what: String, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
      if try await condition() { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("not reached in 20 s: \(what)")
  }

  @Test func aBackendKilledInTheMiddleOfAStatementIsALostConnectionAndReplaced() async throws {
    try await TestServer.withDatabase({
      $0.pipelinedConnections = 1
      $0.applicationName = "killed"
    }) { database in
      try await database.execute("SELECT 1")
      async let running: Void = {
        await #expect { try await database.execute("SELECT pg_sleep(30)") } throws: { error in
          guard case PostgresError.connectionLost = error else { return false }
          return (error as? PostgresError)?.isRetrySafe == false
        }
      }()
      let cluster = try await TestServer.shared.value
      try await TestServer.withDatabase(cluster.connectionString) { other in
        try await isReached("the backend is killed") {
          try await other.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'killed' AND query LIKE '%pg_sleep%' AND state = 'active'
            """) == 1
        }
      }
      await running
      #expect(try await database.query("SELECT 1") { try $0.next(Int.self) } == [1])
    }
  }

  /// A cursor stops after its one row without looking for signals; the server does so before it reads the Sync.
  @Test func aServerThatEndsBetweenACommandAndItsSyncIsALostConnection() async throws {
    try await TestServer.withDatabase { database in
      _ = await #expect {
        try await database.withTransaction { connection in
          try await connection.execute("DECLARE ending CURSOR FOR SELECT pg_terminate_backend(pg_backend_pid())")
          try await connection.execute("FETCH 1 FROM ending")
        }
      } throws: { error in
        guard case PostgresError.connectionLost = error else { return false }
        return true
      }
    }
  }

  @Test func everyStatementOfABrokenPipelineIsAnsweredOnce() async throws {
    try await TestServer.withDatabase({ $0.pipelinedConnections = 1 }) { database in
      let pid = try await database.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }[0]
      let outcomes = await withTaskGroup(of: String.self) { group in
        for number in 0..<500 {
          group.addTask {
            do {
              if number == 30 { try await database.execute("SELECT pg_terminate_backend(\(pid))") }
              return "\(try await database.query("SELECT \(number)") { try $0.next(Int.self) } == [number])"
            } catch { return "\(error)" }
          }
        }
        return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
      }
      // Answered, or sent and lost; never sent ones went to the next connection.
      #expect(outcomes.values.reduce(0, +) == 500)
      #expect(Set(outcomes.keys).isSubset(of: ["true", "\(PostgresError.connectionLost)"]))
      #expect(outcomes["\(PostgresError.connectionLost)"] ?? 0 <= 64)
    }
  }

  @Test func aBackendThatHangsIsGivenUpAndReplaced() async throws {
    try await TestServer.withDatabase({
      $0.pipelinedConnections = 1
      $0.statementTimeoutMilliseconds = 200
    }) { database in
      let pid = try await database.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }[0]
      kill(pid, SIGSTOP)
      defer { kill(pid, SIGCONT) }
      await #expect { try await database.execute("SELECT 1") } throws: { error in
        guard case PostgresError.timeout = error else { return false }
        return (error as? PostgresError)?.isRetrySafe == false
      }
      try await isReached("another backend") {
        let next = try? await database.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }
        return next != nil && next != [pid]
      }
    }
  }

  /// Whoever goes on after a statement must not see it counted as waiting.
  @Test func theGaugeIsWrittenBeforeTheWaiterGoesOn() async throws {
    try await TestServer.withDatabase { database in
      var seen: Set<Int> = []
      for _ in 0..<1_000 {
        try await database.execute("SELECT 1")
        seen.insert(database.statistics.statementsWaiting)
      }
      #expect(seen == [0])
    }
  }

  @Test func closingLetsRunningStatementsFinish() async throws {
    try await TestServer.withDatabase { database in
      try await database.execute("SELECT 1")
      // Long enough to be seen running on a busy machine, shorter than closing waits.
      async let slow = database.query("SELECT 7 FROM pg_sleep(3)") { try $0.next(Int32.self) }
      try await isReached("it runs") { database.statistics.statementsWaiting == 1 }
      await database.close()
      #expect(try await slow == [7])
      await #expect { try await database.execute("SELECT 1") } throws: { error in
        guard case PostgresError.unavailable = error else { return false }
        return true
      }
    }
  }

  @Test func aKilledIdleLeaseIsNotHandedOut() async throws {
    try await TestServer.withDatabase { database in
      let pid = try await database.withConnection { connection in
        try await connection.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }[0]
      }
      try await database.execute("SELECT pg_terminate_backend(\(pid))")
      try await isReached("the loss is noticed") { database.statistics.leasedConnectionsOpen == 0 }
      let next = try await database.withConnection { connection in
        try await connection.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }[0]
      }
      #expect(next != pid)
    }
  }

  @Test func aTransactionWhoseBackendDiesIsLostButTheNextWorks() async throws {
    try await TestServer.withDatabase { database in
      await #expect {
        try await database.withTransaction { connection in
          let pid = try await connection.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }[0]
          try await database.execute("SELECT pg_terminate_backend(\(pid))")
          try await connection.execute("SELECT pg_sleep(30)")
        }
      } throws: { error in
        switch error as? PostgresError {
        // Noticed before the statement was sent, or after.
        case .unavailable, .connectionLost: true
        default: false
        }
      }
      let answer = try await database.withTransaction { try await $0.execute("SELECT 1") }
      #expect(answer == 1)
    }
  }

  @Test(.timeLimit(.minutes(2))) func aStoppedServerIsUnavailableAtOnceAndComesBackByItself() async throws {
    let server = try await TestCluster()
    try await TestServer.withDatabase(server.connectionString) { database in
      try await database.execute("CREATE TABLE t (a int8)")
      try server.killPostmaster(SIGQUIT)
      try await isReached("found down") {
        do throws(PostgresError) {
          try await database.execute("SELECT 1")
          return false
        } catch {
          guard case .unavailable = error else { return false }
          return true
        }
      }
      #expect(!database.isAvailable)
      // Waiting for each would take longer than the test may.
      for _ in 0..<100 { await #expect(throws: PostgresError.self) { try await database.execute("SELECT 1") } }
      await #expect(throws: PostgresError.self) { try await database.withTransaction { _ in } }

      let again = PrivateCluster(dataDirectory: server.directory, logger: TestServer.quiet)
      #expect(try await again.start() == server.connectionString)
      try await isReached("back") { database.isAvailable }
      #expect(try await database.query("SELECT count(*) FROM t") { try $0.next(Int.self) } == [0])
      #expect(try await database.withTransaction { try await $0.execute("INSERT INTO t VALUES (1)") } == 1)
    }
    server.destroy()
  }

  private final class Ear: Sendable {
    let heard = Mutex<[String]>([])
    let connects = Mutex(0)
  }

  @Test func notificationsArriveAlsoAfterAReconnect() async throws {
    let server = try await TestCluster()
    try await TestServer.withDatabase(server.connectionString) { database in
      let ear = Ear()
      let listening = Task {
        await database.listen(to: "odd \"name\"") { payload in
          ear.heard.withLock { $0.append(payload) }
        } onConnect: {
          ear.connects.withLock { $0 += 1 }
        }
      }
      try await isReached("listening") { ear.connects.withLock { $0 } == 1 }
      for payload in ["one", "", "ü"] { try await database.execute("SELECT pg_notify('odd \"name\"', \(payload))") }
      try await isReached("heard") { ear.heard.withLock { $0 } == ["one", "", "ü"] }

      try await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()")
      try await isReached("listening again") { ear.connects.withLock { $0 } == 2 }
      try await database.execute("SELECT pg_notify('odd \"name\"', 'two')")
      try await isReached("heard again") { ear.heard.withLock { $0.last } == "two" }
      listening.cancel()
      await listening.value

      // Another one ends with the database instead of its task.
      let second = Task {
        await database.listen(to: "x") { _ in
        } onConnect: {
          ear.connects.withLock { $0 = 9 }
        }
      }
      try await isReached("second") { ear.connects.withLock { $0 } == 9 }
      await database.close()
      await second.value
    }
    server.destroy()
  }
}
