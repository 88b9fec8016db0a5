import Postgres

/// The `change` table: one row a committed change of what instances hold in memory.
enum ChangeLog {
  /// What NOTIFY is sent on; the payload is the version and a mere hint.
  static let channel = "relayrisk_change"

  /// Records a change. The last statement of its transaction: it takes the lock that orders commits.
  /// - Returns: the change's version.
  @discardableResult
  static func append(
    providers: [Identifier] = [], access: Bool = false, at now: Instant, to connection: Connection
  ) async throws -> Int {
    let versions = try await connection.query(
      """
      with head as (update change_head set version = version + 1 returning version),
      added as (
        insert into change (version, recorded_at, providers, access)
        select version, \(now.timestamp), \(providers), \(access) from head
      )
      select version, pg_notify(\(channel), version::text) is null from head
      """
    ) { row in try row.next(Int.self) }
    return versions[0]
  }

  struct Entry: Sendable {
    let version: Int
    let providers: [Identifier]
    let access: Bool
  }

  /// The changes after `version`, in the order of their commits.
  static func entries(after version: Int, in database: Database) async throws -> [Entry] {
    try await database.query(
      "select version, providers, access from change where version > \(version) order by version limit 10000"
    ) { row in
      Entry(
        version: try row.next(Int.self), providers: try row.next([Identifier].self),
        access: try row.next(Bool.self))
    }
  }

  /// The version of the newest change.
  static func head(in database: Database) async throws -> Int {
    try await database.query("select version from change_head") { try $0.next(Int.self) }[0]
  }
}
