import Postgres

/// The statements on `api_key`.
struct KeyStore: Sendable {
  let database: Database
  let changes: ChangeLog

  /// Every key, revoked ones too: a revoked key is refused, not looked up again.
  func all() async throws -> [APIKey] {
    try await database.query("select \(unsafeRaw: Self.columns) from api_key order by id", Self.decode)
  }

  /// A page in the order of ids, revoked ones too.
  func page(after id: Identifier?, count: Int) async throws -> [APIKey] {
    try await database.query(Self.pageQuery(after: id, count: count), Self.decode)
  }

  static func pageQuery(after id: Identifier?, count: Int) -> Query {
    """
    select \(unsafeRaw: columns) from api_key where id > \(id ?? .least) order by id limit \(count)
    """
  }

  private static let columns = """
    id, name, scopes, source_id, secret_hash, created_at, revoked_at, requests_per_minute, results_per_minute
    """

  @Sendable private static func decode(_ row: inout Row) throws -> APIKey {
    APIKey(
      id: try row.next(Identifier.self), name: try row.next(String.self),
      scopes: try row.next([String].self).compactMap(Scope.init(rawValue:)),
      sourceID: try row.next(Identifier?.self), secretHash: try row.next([UInt8].self),
      createdAt: Instant(try row.next(Timestamp.self)),
      revokedAt: try row.next(Timestamp?.self).map(Instant.init),
      quota: KeyQuota(requestsPerMinute: try row.next(Int?.self), resultsPerMinute: try row.next(Int?.self)))
  }

  func insert(_ key: APIKey, by author: Author) async throws {
    try await database.withTransaction { connection in
      try await connection.execute(
        """
        insert into api_key (
          id, name, scopes, source_id, secret_hash, created_at, requests_per_minute, results_per_minute)
        values (\(key.id), \(key.name), \(key.scopes.map(\.rawValue)), \(key.sourceID), \(key.secretHash),
          \(key.createdAt.timestamp), \(key.quota.requestsPerMinute), \(key.quota.resultsPerMinute))
        """)
      try await AuditLog.append(
        [try AuditChange(.keyCreate, key)], by: author, at: key.createdAt, to: connection)
      try await changes.append(access: true, at: key.createdAt, to: connection)
    }
  }

  /// Changes a quota, which nobody else changes meanwhile.
  /// - Returns: the key as it is now; nil when there is none.
  func setQuota(
    of id: Identifier, by author: Author, at now: Instant, _ change: @Sendable (KeyQuota) throws -> KeyQuota
  ) async throws -> APIKey? {
    try await database.withTransaction { connection in
      guard let before = try await lock(id, on: connection) else { return nil }
      var key = before
      key.quota = try change(before.quota)
      if key.quota == before.quota { return before }
      try await connection.execute(
        """
        update api_key set requests_per_minute = \(key.quota.requestsPerMinute),
          results_per_minute = \(key.quota.resultsPerMinute)
        where id = \(id)
        """)
      try await AuditLog.append(
        [try AuditChange(.keyUpdate, key, before: before)], by: author, at: now, to: connection)
      try await changes.append(access: true, at: now, to: connection)
      return key
    }
  }

  /// - Returns: false when there is no such key. Revoking again changes nothing.
  func revoke(_ id: Identifier, by author: Author, at now: Instant) async throws -> Bool {
    try await database.withTransaction { connection in
      guard let before = try await lock(id, on: connection) else { return false }
      if before.isRevoked { return true }
      try await connection.execute("update api_key set revoked_at = \(now.timestamp) where id = \(id)")
      var key = before
      key.revokedAt = now
      try await AuditLog.append(
        [try AuditChange(.keyRevoke, key, before: before)], by: author, at: now, to: connection)
      try await changes.append(access: true, at: now, to: connection)
      return true
    }
  }

  /// The key as it is stored, which nobody else changes until the end of the transaction.
  private func lock(_ id: Identifier, on connection: Connection) async throws -> APIKey? {
    try await connection.query(
      "select \(unsafeRaw: Self.columns) from api_key where id = \(id) for update", Self.decode
    ).first
  }
}
