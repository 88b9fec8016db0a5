import Postgres
import Testing

@Suite struct TransactionTests {
  private struct Refusal: Error {}

  private func withTable(_ name: String, _ body: @Sendable (Database, Query) async throws -> Void) async throws {
    // Commits may be slow where the tests run.
    try await TestServer.withDatabase({ $0.leaseWaitMilliseconds = 60_000 }) { database in
      try await database.execute("CREATE TABLE \(unsafeRaw: name) (a int8 PRIMARY KEY)")
      try await body(database, "SELECT count(*) FROM \(unsafeRaw: name)")
      try await database.execute("DROP TABLE \(unsafeRaw: name)")
    }
  }

  @Test func whatCommitsIsThereAndWhatThrowsIsNot() async throws {
    try await withTable("kept") { database, count in
      let answer = try await database.withTransaction { connection in
        try await connection.execute("INSERT INTO kept VALUES (\(1))")
        #expect(try await connection.query(count) { try $0.next(Int.self) } == [1])
        #expect(try await database.query(count) { try $0.next(Int.self) } == [0])
        return 7
      }
      #expect(answer == 7)
      await #expect(throws: Refusal.self) {
        try await database.withTransaction { connection in
          try await connection.execute("INSERT INTO kept VALUES (\(2))")
          throw Refusal()
        }
      }
      #expect(try await database.query(count) { try $0.next(Int.self) } == [1])
      #expect(database.statistics.leasedConnectionsInUse == 0)
      #expect(database.statistics.leasedConnectionsOpen == 1)
    }
  }

  @Test func aFailureThatTheBodySwallowsIsNoSuccess() async throws {
    try await withTable("swallowed") { database, count in
      await #expect {
        try await database.withTransaction { connection in
          try await connection.execute("INSERT INTO swallowed VALUES (\(1))")
          _ = try? await connection.execute("INSERT INTO swallowed VALUES (\(1))")
        }
      } throws: { code(of: $0) == "25P02" }
      let answer = try await database.query(count) { try $0.next(Int.self) }
      #expect(answer == [0])
    }
  }

  @Test func statementsSentTogetherAreOneTransactionAndAnswerInTurn() async throws {
    try await withTable("together") { database, count in
      try await database.withConnection { connection in
        // Twice, since the second time nothing is parsed any more.
        for round in 0..<2 {
          let answers = try await connection.run(together: [
            "INSERT INTO together VALUES (\(2 * round))", "INSERT INTO together VALUES (\(2 * round + 1)) RETURNING a",
            count,
          ])
          #expect(try answers.map { try $0.map { try $0.next(Int.self) } } == [[], [2 * round + 1], [2 * round + 2]])
        }
        await #expect {
          _ = try await connection.run(together: [
            "INSERT INTO together VALUES (\(7))", "INSERT INTO together VALUES (\(0))", count,
          ])
        } throws: { code(of: $0) == "23505" }
        #expect(try await connection.query(count) { try $0.next(Int.self) } == [4])
      }
    }
  }

  @Test func whatFailsOnlyWhenItCommitsIsThatStatementsErrorAndNobodyElses() async throws {
    try await TestServer.withDatabase { database in
      try await database.execute("CREATE TABLE late (a int8 UNIQUE DEFERRABLE INITIALLY DEFERRED)")
      try await database.withConnection { connection in
        let pid: Query = "SELECT pg_backend_pid()"
        let before = try await connection.query(pid) { try $0.next(Int32.self) }
        // Each way, twice: parsed and then prepared.
        for _ in 0..<2 {
          await #expect {
            _ = try await connection.run(together: ["INSERT INTO late VALUES (\(1))", "INSERT INTO late VALUES (\(1))"])
          } throws: { code(of: $0) == "23505" }
          await #expect { try await connection.execute("INSERT INTO late VALUES (\(2)), (\(2))") } throws: {
            code(of: $0) == "23505"
          }
        }
        #expect(try await connection.query(pid) { try $0.next(Int32.self) } == before)
      }
      // On a lane others are under way.
      let codes = await withTaskGroup { group in
        for number in 0..<20 {
          group.addTask {
            do {
              try await database.execute("INSERT INTO late VALUES (\(number)), (\(number % 2 == 0 ? number : -number))")
              return ""
            } catch { return code(of: error) ?? "\(error)" }
          }
        }
        return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
      }
      #expect(codes == ["": 10, "23505": 10])
      #expect(try await database.query("SELECT count(*) FROM late") { try $0.next(Int.self) } == [20])
      try await database.execute("DROP TABLE late")
    }
  }

  @Test func aTransactionCanEndTogetherWithItsLastStatements() async throws {
    try await withTable("ended") { database, count in
      try await database.withConnection { connection in
        _ = try await connection.run(together: ["BEGIN", "INSERT INTO ended VALUES (\(1))"])
        #expect(try await database.query(count) { try $0.next(Int.self) } == [0])
        _ = try await connection.run(together: ["INSERT INTO ended VALUES (\(2))", "COMMIT"])
        #expect(try await database.query(count) { try $0.next(Int.self) } == [2])
        _ = try await connection.run(together: ["BEGIN", "INSERT INTO ended VALUES (\(3))"])
        _ = try? await connection.execute("INSERT INTO ended VALUES (\(3))")
        // To the server it is a rollback and no error.
        await #expect { _ = try await connection.run(together: ["COMMIT"]) } throws: { code(of: $0) == "25P02" }
      }
      #expect(try await database.query(count) { try $0.next(Int.self) } == [2])
    }
  }

  @Test func aTransactionLeftOpenIsRolledBackAndTheConnectionUsedAgain() async throws {
    try await withTable("dirty") { database, count in
      let first = try await database.withConnection { connection in
        try await connection.execute("BEGIN")
        try await connection.execute("INSERT INTO dirty VALUES (1)")
        return try await connection.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }
      }
      let second = try await database.withConnection { connection in
        #expect(try await connection.query(count) { try $0.next(Int.self) } == [0])
        return try await connection.query("SELECT pg_backend_pid()") { try $0.next(Int32.self) }
      }
      #expect(first == second)
    }
  }

  @Test func isolationIsWhatWasAskedFor() async throws {
    try await TestServer.withDatabase { database in
      for (isolation, name) in [
        (TransactionIsolation.readCommitted, "read committed"), (.repeatableRead, "repeatable read"),
        (.serializable, "serializable"),
      ] {
        let level = try await database.withTransaction(isolation: isolation) { connection in
          try await connection.query("SELECT current_setting('transaction_isolation')") { try $0.next(String.self) }
        }
        #expect(level == [name])
      }
    }
  }

  @Test func leasesAreBoundedInNumberAndTime() async throws {
    try await TestServer.withDatabase({
      $0.leasedConnectionsMax = 2
      $0.leaseWaitMilliseconds = 2_000
    }) { database in
      // Two hold their lease until the third has been refused.
      let (refused, refusal) = AsyncStream<Void>.makeStream()
      let (held, hold) = AsyncStream<Void>.makeStream()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          defer { hold.finish() }
          try await database.withConnection { _ in
            try await database.withConnection { _ in
              hold.finish()
              for await _ in refused {}
            }
          }
        }
        for await _ in held {}
        #expect(database.statistics.leasedConnectionsInUse == 2)
        await #expect { try await database.withConnection { _ in } } throws: { error in
          guard case PostgresError.poolExhausted = error else { return false }
          return true
        }
        refusal.finish()
        try await group.waitForAll()
      }
      #expect(try await database.withConnection { _ in true })
    }
  }

  @Test func manyTransactionsShareFewConnections() async throws {
    try await withTable("shared") { database, count in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<100 {
          group.addTask {
            _ = try await database.withTransaction { connection in
              try await connection.execute("INSERT INTO shared VALUES (\(number))")
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await database.query(count) { try $0.next(Int.self) } == [100])
      #expect(database.statistics.leasedConnectionsOpen <= 4)
    }
  }

  @Test func aConnectionIsUselessAfterItsEnd() async throws {
    try await TestServer.withDatabase { database in
      let connection = try await database.withConnection { $0 }
      await #expect(throws: PostgresError.self) { try await connection.execute("SELECT 1") }
    }
  }

  @Test func aScriptRunsManyStatementsAndStopsAtTheFirstError() async throws {
    try await TestServer.withDatabase { database in
      try await database.withConnection { connection in
        try await connection.executeScript("CREATE TABLE script (a int8); INSERT INTO script VALUES (1), (2);")
        await #expect {
          try await connection.executeScript(
            "INSERT INTO script VALUES (3); SELECT 1 / 0; INSERT INTO script VALUES (4)")
        } throws: { code(of: $0) == "22012" }
        // The connection is back in its pipeline.
        #expect(try await connection.query("SELECT count(*) FROM script") { try $0.next(Int.self) } == [2])
        await #expect(throws: PostgresError.self) { try await connection.executeScript("COPY script FROM STDIN") }
      }
      try await database.execute("DROP TABLE script")
    }
  }

  @Test func copyStoresManyRowsAndNoneOfAFailedOne() async throws {
    try await TestServer.withDatabase { database in
      try await database.execute(
        "CREATE TABLE \"Copied\" (a int8, b text, c bytea, d timestamptz, e jsonb, CHECK (a < 100000))")
      let columns = ["a", "b", "c", "d", "e"]
      let row: @Sendable (Int, inout CopyRow) -> Void = { number, row in
        row.append(number)
        row.append(number % 2 == 0 ? nil : "text \(number)")
        row.append([UInt8(truncatingIfNeeded: number)])
        row.append(Timestamp(microsecondsSince1970: Int64(number)))
        row.append(JSONB(Array("{\"n\": \(number)}".utf8)))
      }
      try await database.withConnection { connection in
        #expect(try await connection.copyIn(into: "public.Copied", columns: columns, rows: 0..<50_000, row) == 50_000)
        await #expect {
          try await connection.copyIn(into: "Copied", columns: columns, rows: 50_000..<100_001, row)
        } throws: { code(of: $0) == "23514" }
        await #expect(throws: Refusal.self) {
          try await connection.copyIn(into: "Copied", columns: columns, rows: 0..<10_000) { number, into in
            if number == 9_999 { throw Refusal() }
            row(number, &into)
          }
        }
        await #expect {
          try await connection.copyIn(into: "absent", columns: ["a"], rows: 0..<1) { $1.append($0) }
        } throws: { code(of: $0) == "42P01" }
        let sums = try await connection.query(
          "SELECT count(*), sum(a)::int8, count(b), sum((e->>'n')::int8)::int8 FROM \"Copied\""
        ) { [try $0.next(Int.self), try $0.next(Int.self), try $0.next(Int.self), try $0.next(Int.self)] }
        #expect(sums == [[50_000, 1_249_975_000, 25_000, 1_249_975_000]])
      }
      try await database.execute("DROP TABLE \"Copied\"")
    }
  }
}
