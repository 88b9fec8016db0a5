import Postgres
import Testing

@Suite struct DatabaseTests {
  @Test func aFailingStatementInThePipelineHarmsNoNeighbour() async throws {
    try await TestServer.withDatabase({ $0.pipelinedConnections = 1 }) { database in
      let outcomes = await withTaskGroup(of: (Int, String).self) { group in
        for number in 0..<90 {
          group.addTask {
            do {
              // A third divides by zero, a third does not even parse.
              let query: Query = number % 3 == 1 ? "SELECT nonsense" : "SELECT 6 / \(number % 3)"
              return (number, "\(try await database.query(query) { try $0.next(Int.self) })")
            } catch { return (number, code(of: error) ?? "\(error)") }
          }
        }
        return await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
      }
      for number in 0..<90 { #expect(outcomes[number] == ["22012", "42703", "[3]"][number % 3]) }
    }
  }

  @Test func aThousandConcurrentQueriesGetTheirOwnAnswers() async throws {
    try await TestServer.withDatabase { database in
      let sum = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<1_000 {
          group.addTask {
            let rows = try await database.query("SELECT \(number), \("text \(number)")") {
              (try $0.next(Int.self), try $0.next(String.self))
            }
            #expect(rows.count == 1 && rows[0] == (number, "text \(number)"))
            return rows[0].0
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(sum == 499_500)
      #expect(database.isAvailable)
      #expect(database.statistics.statementsWaiting == 0)
    }
  }

  @Test func largeStatementsAndResultsPassBothWaysAtOnce() async throws {
    // More than the socket's buffers in both directions, which would block a connection that only writes.
    try await TestServer.withDatabase({ $0.pipelinedConnections = 1 }) { database in
      let text = String(repeating: "0123456789abcdef", count: 1 << 17)
      await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<8 {
          group.addTask {
            (try? await database.query("SELECT \(text)") { try $0.next(String.self) }) == [text]
          }
        }
        for await isEqual in group { #expect(isEqual) }
      }
    }
  }

  @Test func errorsCarryTheServersFieldsButShowNoValues() async throws {
    try await TestServer.withDatabase { database in
      try await database.execute("CREATE TABLE fault (id int8 CONSTRAINT fault_key PRIMARY KEY, word text NOT NULL)")
      try await database.execute("INSERT INTO fault VALUES (\(123_456), \("w"))")
      do throws(PostgresError) {
        try await database.execute("INSERT INTO fault VALUES (\(123_456), \("w"))")
        Issue.record("a duplicate was accepted")
      } catch {
        guard case .server(let server) = error else { throw error }
        #expect(server.code == "23505" && server.severity == "ERROR")
        #expect(server.constraint == "fault_key" && server.table == "fault")
        #expect(server.detail == "Key (id)=(123456) already exists.")
        #expect("\(error)" == "PostgreSQL ERROR 23505 table fault constraint fault_key")
        #expect(!error.isRetrySafe)
      }
      await #expect { try await database.execute("INSERT INTO fault VALUES (\(1), \(String?.none))") } throws: {
        error in
        guard case PostgresError.server(let server)? = error as? PostgresError else { return false }
        return server.code == "23502" && server.column == "word"
      }
      try await database.execute("DROP TABLE fault")
    }
  }

  @Test func executeCountsTheRows() async throws {
    try await TestServer.withDatabase { database in
      try await database.execute("CREATE TABLE counted AS SELECT 1 AS a WHERE false")
      #expect(try await database.execute("INSERT INTO counted SELECT generate_series(1, \(5))") == 5)
      #expect(try await database.execute("UPDATE counted SET a = 0 WHERE a > \(2)") == 3)
      #expect(try await database.execute("DROP TABLE counted") == 0)
    }
  }

  @Test func theServerEndsAStatementThatTakesTooLong() async throws {
    try await TestServer.withDatabase({ $0.statementTimeoutMilliseconds = 500 }) { database in
      // The time to connect counts for the caller, not for the server.
      try await database.execute("SELECT 1")
      await #expect { try await database.execute("SELECT pg_sleep(30)") } throws: { error in
        code(of: error) == "57014" && (error as? PostgresError)?.isRetrySafe == true
      }
      let answer = try await database.query("SELECT 1") { try $0.next(Int.self) }
      #expect(answer == [1])
    }
  }

  @Test func aWaiterIsAbandonedWhenTheServerDoesNotKeepTheLimit() async throws {
    // The statement lifts the server's limit for itself, as a server that hangs would.
    try await TestServer.withDatabase({
      $0.statementTimeoutMilliseconds = 100
      $0.pipelinedConnections = 1
    }) { database in
      try await database.withConnection { connection in
        try await connection.execute("SET statement_timeout = 0")
        await #expect { try await connection.execute("SELECT pg_sleep(30)") } throws: { error in
          guard case PostgresError.timeout = error else { return false }
          return true
        }
      }
      #expect(try await database.query("SELECT 1") { try $0.next(Int.self) } == [1])
    }
  }

  @Test func beyondTheQueuesLimitStatementsAreRefusedAtOnce() async throws {
    try await TestServer.withDatabase({
      $0.queueStatementsMax = 10
      $0.pipelinedConnections = 1
    }) { database in
      let refused = await withTaskGroup(of: Int.self) { group in
        for _ in 0..<50 {
          group.addTask {
            do throws(PostgresError) {
              try await database.execute("SELECT pg_sleep(0.02)")
              return 0
            } catch {
              guard case .poolExhausted = error else { return 1_000 }
              return 1
            }
          }
        }
        return await group.reduce(0, +)
      }
      #expect(refused == 40)
    }
  }

  @Test func aChangeOfSchemaUnderAPreparedStatementIsNotSeen() async throws {
    try await TestServer.withDatabase({ $0.pipelinedConnections = 1 }) { database in
      try await database.execute("CREATE TABLE altered (a int8)")
      try await database.execute("INSERT INTO altered VALUES (1)")
      #expect(try await database.query("SELECT * FROM altered") { try $0.next(Int.self) } == [1])
      try await database.execute("ALTER TABLE altered ADD COLUMN b text DEFAULT 'new'")
      let rows = try await database.query("SELECT * FROM altered") {
        (try $0.next(Int.self), try $0.next(String.self))
      }
      #expect(rows.count == 1 && rows[0] == (1, "new"))
      // Gone altogether, as after DISCARD by a pooler.
      try await database.execute("DEALLOCATE ALL")
      #expect(try await database.query("SELECT * FROM altered") { try $0.next(Int.self) } == [1])
      try await database.execute("DROP TABLE altered")
    }
  }

  @Test func severalHostsWithAWritableOneBehindADeadOne() async throws {
    let socket = try await TestServer.shared.value.connectionString
      .split(separator: "'")[1]
    let string = "host=/nonexistent,\(socket) dbname=relayrisk user=relayrisk target_session_attrs=read-write"
    try await TestServer.withDatabase(string) { database in
      let answer = try await database.query("SELECT pg_is_in_recovery()") { try $0.next(Bool.self) }
      #expect(answer == [false])
    }
    let uri = "postgresql://relayrisk@/relayrisk?host=\(socket)&application_name=named"
    try await TestServer.withDatabase(uri) { database in
      let name = try await database.query("SELECT current_setting('application_name')") { try $0.next(String.self) }
      #expect(name == ["named"])
    }
  }

  @Test func overridesWinOverTheString() async throws {
    try await TestServer.withDatabase({ $0.overrides = [("application_name", "mine"), ("dbname", "postgres")] }) {
      let row = try await $0.query("SELECT current_setting('application_name'), current_database()::text") {
        [try $0.next(String.self), try $0.next(String.self)]
      }
      #expect(row == [["mine", "postgres"]])
    }
  }

  @Test(
    .timeLimit(.minutes(1)),
    arguments: ["host=/nonexistent dbname=x", "postgres://user:secret@:::/", "port=99999 host=/nonexistent", "a=b"])
  func withoutAServerEverythingIsUnavailableSoon(_ connectionString: String) async throws {
    try await TestServer.withDatabase(connectionString) { database in
      for _ in 0..<3 {
        await #expect { try await database.execute("SELECT 1") } throws: { error in
          guard case PostgresError.unavailable = error else { return false }
          return (error as? PostgresError)?.isRetrySafe == true
        }
      }
      await #expect(throws: PostgresError.self) { try await database.withConnection { _ in } }
      #expect(!database.isAvailable)
    }
  }

  @Test func afterCloseEverythingIsUnavailable() async throws {
    let database = try await TestServer.withDatabase { database in
      try await database.execute("SELECT 1")
      return database
    }
    #expect(database.statistics.pipelinedConnectionsOpen == 0)
  }
}
