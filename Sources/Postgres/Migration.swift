/// One step of the schema. Never changed once it was released: what is wrong with it is put right by a later one.
public struct Migration: Sendable, Hashable {
  /// From 1, without gaps.
  public let version: Int
  public let name: String
  /// Any number of statements, run in one transaction; it must not contain BEGIN or COMMIT.
  public let sql: String

  public init(version: Int, name: String, sql: String) {
    self.version = version
    self.name = name
    self.sql = sql
  }
}

/// Why a database cannot be migrated. Every text says what to do; nothing was changed unless `.failed` says which.
public enum MigrationError: Error, Sendable, CustomStringConvertible {
  /// The program's own list does not count 1, 2, 3, ...
  case gap(expected: Int, found: Int)
  /// The database has a version that the program does not know.
  case databaseIsNewer(databaseVersion: Int, programVersion: Int)
  /// The database lacks a version below one that it has.
  case missing(version: Int, name: String)
  /// An applied migration was changed afterwards.
  case changed(version: Int, name: String)
  /// A migration failed and was rolled back whole; those before it stay applied.
  case failed(version: Int, name: String, PostgresError)
  /// Another process has been migrating for too long.
  case locked(waitedSeconds: Int)

  public var description: String {
    switch self {
    case .gap(let expected, let found):
      return "migration \(found) follows where \(expected) is due: number the migrations 1, 2, 3, ... without gaps"
    case .databaseIsNewer(let databaseVersion, let programVersion):
      return """
        the database is at migration \(databaseVersion), this program knows only up to \(programVersion): \
        run a version of the program at least as new as the one that migrated the database
        """
    case .missing(let version, let name):
      return """
        migration \(version) (\(name)) was not applied, though later ones were: restore the database from a backup, \
        or apply it by hand and record it in schema_migration
        """
    case .changed(let version, let name):
      return """
        migration \(version) (\(name)) differs from the one that was applied: restore its file as released and put \
        the change into a new migration
        """
    case .failed(let version, let name, let error):
      // The statements of a migration hold no values of users, so the server's message may be shown.
      guard case .server(let server) = error else { return "migration \(version) (\(name)) failed: \(error)" }
      return "migration \(version) (\(name)) failed and was rolled back: \(server.code) \(server.message)"
    case .locked(let seconds):
      return "another process has been migrating this database for \(seconds) s: wait for it, or end it, and try again"
    }
  }
}
