import Crypto
import Postgres

/// Wraps the keys of evidence by another master key: all in one transaction, or none. Evidence itself is not touched.
///
/// Instances go on meanwhile. The keys that they have unwrapped stay good, and whoever makes one for another day waits
/// for the end and then wraps it as all others are.
struct MasterKeyRotation: Sendable {
  let database: Database
  let masterKeys: MasterKeyRing

  private struct WrappedKey: Sendable {
    let day: Int
    let masterKeyID: [UInt8]
    let wrapped: [UInt8]
  }

  /// - Returns: how many keys were wrapped anew; none when all were before.
  /// - Throws: `CommandFault` where one cannot be unwrapped, or the role may not change them: then nothing is changed.
  func run(by author: Author, at now: Instant) async throws -> (count: Int, masterKeyID: [UInt8]) {
    // The one to come may just have been put beside the other.
    try await masterKeys.readAgain()
    let newest = masterKeys.newest
    return try await database.withTransaction { connection in
      guard try await connection.query(Self.mayChange, { try $0.next(Bool.self) })[0] else {
        throw RiskService.CommandFault(description: "only the owner of the tables may change the master key")
      }
      // Nobody adds a key or drops one until the end; all may read.
      try await connection.execute("lock table evidence_key in share row exclusive mode")
      let stored = try await connection.query(
        "select day, master_key_id, wrapped from evidence_key order by day"
      ) { row in
        WrappedKey(
          day: try row.next(Int.self), masterKeyID: try row.next([UInt8].self), wrapped: try row.next([UInt8].self))
      }
      let former = stored.filter { $0.masterKeyID != newest.id }
      if former.isEmpty { return (0, newest.id) }
      var wrapped: [[UInt8]] = []
      for key in former { wrapped.append(try await wrap(key, by: newest)) }
      try await connection.execute(
        """
        update evidence_key k set master_key_id = \(newest.id), wrapped = anew.wrapped
        from unnest(\(former.map(\.day)), \(wrapped)) as anew (day, wrapped) where k.day = anew.day
        """)
      let formerIDs = Set(former.map { hexadecimal($0.masterKeyID) }).sorted()
      try await AuditLog.append(
        [try AuditChange(masterKeys: formerIDs, to: hexadecimal(newest.id), count: former.count)], by: author, at: now,
        to: connection)
      return (former.count, newest.id)
    }
  }

  private static let mayChange: Query = "select has_table_privilege('evidence_key', 'update')"

  private func wrap(_ key: WrappedKey, by newest: MasterKey) async throws -> [UInt8] {
    guard let former = await masterKeys.key(key.masterKeyID) else {
      let known = masterKeys.ids.map(hexadecimal).joined(separator: ", ")
      throw RiskService.CommandFault(
        description: "keys of evidence are wrapped by the master key \(hexadecimal(key.masterKeyID)), which is not "
          + "among those given (\(known)): name the one that is in force and, behind it, the one to come")
    }
    guard let dataKey = try? former.unwrap(key.wrapped, day: key.day) else {
      throw RiskService.CommandFault(description: "the key of day \(key.day) since 1970 is damaged; restore it first")
    }
    return try newest.wrap(dataKey, day: key.day)
  }
}

extension RiskService {
  /// Puts the newest of the master keys in force; as the owner of the tables.
  /// - Returns: how many keys of evidence were wrapped anew, and the id of the master key that is in force now.
  /// - Throws: `CommandFault` when that cannot be done: then nothing is changed.
  public func rotateMasterKey() async throws -> (count: Int, masterKeyID: String) {
    guard let masterKeys = parts.vault.masterKeys else {
      throw CommandFault(description: "there is no master key here; --master-key-file names one")
    }
    let (count, id) = try await MasterKeyRotation(database: parts.database, masterKeys: masterKeys).run(
      by: .command, at: parts.clock.now())
    return (count, hexadecimal(id))
  }
}
