import Postgres
import Testing

/// Each test has a schema of its own, found by `search_path`.
@Suite struct MigratorTests {
  private static let first = Migration(
    version: 1, name: "first", sql: "CREATE TABLE a (n int8); INSERT INTO a VALUES (1);")
  private static let second = Migration(version: 2, name: "second", sql: "ALTER TABLE a ADD COLUMN m text")

  private func withSchema(_ name: String, _ body: @Sendable (Database) async throws -> Void) async throws {
    _ = try await TestServer.withDatabase { try await $0.execute("CREATE SCHEMA \(unsafeRaw: name)") }
    try await TestServer.withDatabase({ $0.overrides = [("options", "-c search_path=\(name)")] }, body)
    _ = try await TestServer.withDatabase { try await $0.execute("DROP SCHEMA \(unsafeRaw: name) CASCADE") }
  }

  @Test func appliesWhatIsPendingInOrderAndOnce() async throws {
    try await withSchema("migrator_order") { database in
      let migrator = Migrator(migrations: [Self.second, Self.first])
      #expect(try await migrator.pending(in: database) == [Self.first, Self.second])
      #expect(try await Migrator(migrations: [Self.first]).migrate(database) == [Self.first])
      #expect(try await migrator.pending(in: database) == [Self.second])
      #expect(try await migrator.migrate(database) == [Self.second])
      #expect(try await migrator.migrate(database) == [])
      let stored = try await database.query("SELECT version, name FROM schema_migration ORDER BY version") {
        "\(try $0.next(Int.self)) \(try $0.next(String.self))"
      }
      #expect(stored == ["1 first", "2 second"])
      let columns = try await database.query("SELECT n, m FROM a") {
        (try $0.next(Int.self), try $0.next(String?.self))
      }
      #expect(columns.count == 1)
    }
  }

  @Test func severalAtOnceApplyEachMigrationOnce() async throws {
    try await withSchema("migrator_race") { database in
      let migrator = Migrator(migrations: [Self.first, Self.second])
      let applied = try await withThrowingTaskGroup(of: [Migration].self) { group in
        for _ in 0..<4 { group.addTask { try await migrator.migrate(database) } }
        return try await group.reduce(into: []) { $0 += $1 }
      }
      #expect(applied == [Self.first, Self.second])
      let count = try await database.query("SELECT count(*) FROM a") { try $0.next(Int.self) }
      #expect(count == [1])
    }
  }

  @Test func aFailingMigrationIsRolledBackWholeAndThoseBeforeItStay() async throws {
    try await withSchema("migrator_failure") { database in
      let broken = Migration(version: 2, name: "broken", sql: "CREATE TABLE b (n int8); SELECT 1 / 0;")
      await #expect { try await Migrator(migrations: [Self.first, broken]).migrate(database) } throws: { error in
        "\(error)" == "migration 2 (broken) failed and was rolled back: 22012 division by zero"
      }
      let tables = try await database.query("SELECT to_regclass('a') IS NULL, to_regclass('b') IS NULL") {
        [try $0.next(Bool.self), try $0.next(Bool.self)]
      }
      #expect(tables == [[false, true]])
      #expect(try await Migrator(migrations: [Self.first, Self.second]).migrate(database) == [Self.second])
    }
  }

  @Test func whatDoesNotFitTheDatabaseIsRefusedWithAdvice() async throws {
    try await withSchema("migrator_refusal") { database in
      try await Migrator(migrations: [Self.first, Self.second]).migrate(database)
      let changed = Migration(version: 1, name: "first", sql: "CREATE TABLE a (n int4)")
      await #expect { try await Migrator(migrations: [changed, Self.second]).migrate(database) } throws: { error in
        guard case MigrationError.changed(1, "first") = error else { return false }
        return "\(error)".contains("put the change into a new migration")
      }
      await #expect { try await Migrator(migrations: [Self.first]).pending(in: database) } throws: { error in
        guard case MigrationError.databaseIsNewer(databaseVersion: 2, programVersion: 1) = error else { return false }
        return true
      }
      let third = Migration(version: 4, name: "fourth", sql: "")
      await #expect {
        try await Migrator(migrations: [Self.first, Self.second, third]).migrate(database)
      } throws: { error in
        guard case MigrationError.gap(expected: 3, found: 4) = error else { return false }
        return true
      }
      try await database.execute("DELETE FROM schema_migration WHERE version = 1")
      await #expect {
        try await Migrator(migrations: [Self.first, Self.second]).migrate(database)
      } throws: { error in
        guard case MigrationError.missing(version: 1, _) = error else { return false }
        return true
      }
    }
  }
}
