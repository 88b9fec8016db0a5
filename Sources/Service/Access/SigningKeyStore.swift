import Postgres

/// The statements on `signing_key`.
struct SigningKeyStore: Sendable {
  let database: Database
  let changes: ChangeLog

  private static let columns = "id, source_id, name, public_key, created_at, revoked_at"

  /// Every key, revoked ones too: a revoked key is refused, not looked up again.
  func all() async throws -> [SigningKey] {
    try await database.query("select \(unsafeRaw: Self.columns) from signing_key", Self.decode)
  }

  /// A page in the order of ids, revoked ones too.
  func page(of source: Identifier, after id: Identifier?, count: Int) async throws -> [SigningKey] {
    try await database.query(Self.pageQuery(of: source, after: id, count: count), Self.decode)
  }

  static func pageQuery(of source: Identifier, after id: Identifier?, count: Int) -> Query {
    """
    select \(unsafeRaw: columns) from signing_key where source_id = \(source) and id > \(id ?? .least)
    order by id limit \(count)
    """
  }

  @Sendable private static func decode(_ row: inout Row) throws -> SigningKey {
    SigningKey(
      id: try row.next(Identifier.self), sourceID: try row.next(Identifier.self), name: try row.next(String.self),
      publicKey: SigningKey.PublicKey(rawRepresentation: try row.next([UInt8].self)),
      createdAt: Instant(try row.next(Timestamp.self)), revokedAt: try row.next(Timestamp?.self).map(Instant.init))
  }

  /// - Returns: false when the source has the same key already, revoked or not; nothing is stored then.
  func insert(_ key: SigningKey, by author: Author) async throws -> Bool {
    try await database.withTransaction { connection in
      let inserted = try await connection.execute(
        """
        insert into signing_key (id, source_id, name, public_key, created_at)
        values (\(key.id), \(key.sourceID), \(key.name), \(key.publicKey.rawRepresentation),
          \(key.createdAt.timestamp))
        on conflict (source_id, public_key) do nothing
        """)
      if inserted == 0 { return false }
      try await AuditLog.append(
        [try AuditChange(.signingKeyCreate, key)], by: author, at: key.createdAt, to: connection)
      try await changes.append(access: true, at: key.createdAt, to: connection)
      return true
    }
  }

  /// - Returns: false when the source has no such key. Revoking again changes nothing.
  func revoke(_ id: Identifier, of source: Identifier, by author: Author, at now: Instant) async throws -> Bool {
    try await database.withTransaction { connection in
      let found = try await connection.query(
        """
        select \(unsafeRaw: Self.columns) from signing_key where id = \(id) and source_id = \(source) for update
        """, Self.decode)
      guard let before = found.first else { return false }
      if before.revokedAt != nil { return true }
      try await connection.execute("update signing_key set revoked_at = \(now.timestamp) where id = \(id)")
      var key = before
      key.revokedAt = now
      try await AuditLog.append(
        [try AuditChange(.signingKeyRevoke, key, before: before)], by: author, at: now, to: connection)
      try await changes.append(access: true, at: now, to: connection)
      return true
    }
  }
}
