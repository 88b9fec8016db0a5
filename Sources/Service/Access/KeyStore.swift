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

  func insert(_ key: APIKey) async throws {
    try await database.withTransaction { connection in
      try await connection.execute(
        """
        insert into api_key (
          id, name, scopes, source_id, secret_hash, created_at, requests_per_minute, results_per_minute)
        values (\(key.id), \(key.name), \(key.scopes.map(\.rawValue)), \(key.sourceID), \(key.secretHash),
          \(key.createdAt.timestamp), \(key.quota.requestsPerMinute), \(key.quota.resultsPerMinute))
        """)
      try await changes.append(access: true, at: key.createdAt, to: connection)
    }
  }

  /// Changes a quota, which nobody else changes meanwhile.
  /// - Returns: the key as it is now; nil when there is none.
  func setQuota(
    of id: Identifier, at now: Instant, _ change: @Sendable (KeyQuota) throws -> KeyQuota
  ) async throws -> APIKey? {
    try await database.withTransaction { connection in
      let found = try await connection.query(
        "select \(unsafeRaw: Self.columns) from api_key where id = \(id) for update", Self.decode)
      guard var key = found.first else { return nil }
      key.quota = try change(key.quota)
      try await connection.execute(
        """
        update api_key set requests_per_minute = \(key.quota.requestsPerMinute),
          results_per_minute = \(key.quota.resultsPerMinute)
        where id = \(id)
        """)
      try await changes.append(access: true, at: now, to: connection)
      return key
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
