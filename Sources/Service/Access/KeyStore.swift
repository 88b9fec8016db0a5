import Postgres

/// The statements on `api_key`.
struct KeyStore: Sendable {
  let database: Database
  let changes: ChangeLog

  /// Every key, revoked ones too: a revoked key is refused, not looked up again.
  func all() async throws -> [APIKey] {
    try await database.query(
      """
      select id, name, scopes, source_id, secret_hash, created_at, revoked_at from api_key order by id
      """
    ) { row in
      APIKey(
        id: try row.next(Identifier.self), name: try row.next(String.self),
        scopes: try row.next([String].self).compactMap(Scope.init(rawValue:)),
        sourceID: try row.next(Identifier?.self), secretHash: try row.next([UInt8].self),
        createdAt: Instant(try row.next(Timestamp.self)),
        revokedAt: try row.next(Timestamp?.self).map(Instant.init))
    }
  }

  func insert(_ key: APIKey) async throws {
    try await database.withTransaction { connection in
      try await connection.execute(
        """
        insert into api_key (id, name, scopes, source_id, secret_hash, created_at)
        values (\(key.id), \(key.name), \(key.scopes.map(\.rawValue)), \(key.sourceID), \(key.secretHash),
          \(key.createdAt.timestamp))
        """)
      try await changes.append(access: true, at: key.createdAt, to: connection)
    }
  }

  /// - Returns: false when there is no such key. Revoking again changes nothing.
  func revoke(_ id: Identifier, at now: Instant) async throws -> Bool {
    try await database.withTransaction { connection in
      let found = try await connection.execute(
        "update api_key set revoked_at = coalesce(revoked_at, \(now.timestamp)) where id = \(id)")
      if found > 0 { try await changes.append(access: true, at: now, to: connection) }
      return found > 0
    }
  }
}
