/// Brings a database's schema to the program's version.
///
/// What was applied is in the table `schema_migration` with a SHA-256 of its text. Any number of processes may migrate
/// at once: an advisory lock lets them pass one by one, and each migration is one transaction.
public struct Migrator: Sendable {
  private let migrations: [Migration]

  /// Any number that no other program uses as an advisory lock in the same database; these are the bytes "relayrsk".
  private static let lockKey: Int64 = 0x7265_6C61_7972_736B
  private static let lockWaitSeconds = 60

  public init(migrations: [Migration]) {
    self.migrations = migrations.sorted { $0.version < $1.version }
  }

  /// What would be applied; changes nothing.
  /// - Throws: `MigrationError`, `PostgresError`.
  public func pending(in database: Database) async throws -> [Migration] {
    try await database.withConnection { try await pending(on: $0) }
  }

  /// Applies what is pending, in order.
  /// - Returns: what this call applied.
  /// - Throws: `MigrationError`, `PostgresError`.
  @discardableResult
  public func migrate(_ database: Database) async throws -> [Migration] {
    try checkNumbering()
    return try await database.withConnection { connection in
      // Closing the session gives the lock back, whatever happens, and drops the time limit.
      connection.closeWhenDone()
      try await lock(connection)
      // An index over many rows may take as long as it takes.
      try await connection.setStatementTimeout(milliseconds: 0)
      try await connection.executeScript(
        """
        CREATE TABLE IF NOT EXISTS schema_migration (
          version bigint PRIMARY KEY,
          name text NOT NULL,
          checksum bytea NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now()
        )
        """)
      // Asked under the lock: another process may have applied some while this one waited.
      let pending = try await pending(on: connection)
      for migration in pending { try await apply(migration, connection) }
      return pending
    }
  }

  private func checkNumbering() throws {
    for (index, migration) in migrations.enumerated() where migration.version != index + 1 {
      throw MigrationError.gap(expected: index + 1, found: migration.version)
    }
  }

  /// Waits for the lock on the server, which knows the order of those who wait, for a bounded time.
  private func lock(_ connection: Connection) async throws {
    try await connection.setStatementTimeout(milliseconds: Self.lockWaitSeconds * 1_000)
    do {
      try await connection.execute("SELECT pg_advisory_lock(\(Self.lockKey))")
    } catch {
      guard case .server(let server) = error, server.code == "57014" else { throw error }
      throw MigrationError.locked(waitedSeconds: Self.lockWaitSeconds)
    }
  }

  private func pending(on connection: Connection) async throws -> [Migration] {
    try checkNumbering()
    let applied = try await applied(on: connection)
    let newest = applied.keys.max() ?? 0
    guard newest <= migrations.count else {
      throw MigrationError.databaseIsNewer(databaseVersion: newest, programVersion: migrations.count)
    }
    let checksums = try await checksums(on: connection)
    for (migration, checksum) in zip(migrations, checksums) where migration.version <= newest {
      guard let stored = applied[migration.version] else {
        throw MigrationError.missing(version: migration.version, name: migration.name)
      }
      guard stored == checksum else {
        throw MigrationError.changed(version: migration.version, name: migration.name)
      }
    }
    return Array(migrations.dropFirst(newest))
  }

  private func applied(on connection: Connection) async throws -> [Int: [UInt8]] {
    let exists = try await connection.query("SELECT to_regclass('schema_migration') IS NOT NULL") {
      try $0.next(Bool.self)
    }
    guard exists == [true] else { return [:] }
    let rows = try await connection.query("SELECT version, checksum FROM schema_migration") {
      (try $0.next(Int.self), try $0.next([UInt8].self))
    }
    return Dictionary(uniqueKeysWithValues: rows)
  }

  /// By the server, which spares the program a library for it.
  private func checksums(on connection: Connection) async throws -> [[UInt8]] {
    try await connection.query(
      """
      SELECT sha256(convert_to(sql, 'UTF8')) FROM unnest(\(migrations.map(\.sql))) WITH ORDINALITY AS m (sql, position)
      ORDER BY position
      """
    ) { try $0.next([UInt8].self) }
  }

  private func apply(_ migration: Migration, _ connection: Connection) async throws {
    do {
      try await connection.execute("BEGIN")
      try await connection.executeScript(migration.sql)
      try await connection.execute(
        """
        INSERT INTO schema_migration (version, name, checksum)
        VALUES (\(migration.version), \(migration.name), sha256(convert_to(\(migration.sql), 'UTF8')))
        """)
      try await connection.commit()
    } catch let error as PostgresError {
      throw MigrationError.failed(version: migration.version, name: migration.name, error)
    }
  }
}
