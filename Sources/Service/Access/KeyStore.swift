import HTTPServer
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
    id, name, scopes, source_id, secret_hash, created_at, revoked_at, requests_per_minute, results_per_minute,
    expires_at, address_ranges::text[], last_used_at, successor_id
    """

  @Sendable private static func decode(_ row: inout Row) throws -> APIKey {
    let id = try row.next(Identifier.self)
    let name = try row.next(String.self)
    let scopes = try row.next([String].self).compactMap(Scope.init(rawValue:))
    let (sourceID, secretHash) = (try row.next(Identifier?.self), try row.next([UInt8].self))
    let (createdAt, revokedAt) = (try row.next(Timestamp.self), try row.next(Timestamp?.self))
    let quota = KeyQuota(requestsPerMinute: try row.next(Int?.self), resultsPerMinute: try row.next(Int?.self))
    let expiresAt = try row.next(Timestamp?.self)
    // One that cannot be read must not become none, which would be anywhere.
    let ranges = try row.next([String].self).map { try AddressRange($0) }
    return APIKey(
      id: id, name: name, scopes: scopes, sourceID: sourceID, secretHash: secretHash, createdAt: Instant(createdAt),
      revokedAt: revokedAt.map(Instant.init),
      limits: KeyLimits(quota: quota, expiresAt: expiresAt.map(Instant.init), addressRanges: ranges),
      lastUsedAt: try row.next(Timestamp?.self).map(Instant.init), successorID: try row.next(Identifier?.self))
  }

  func insert(_ key: APIKey, by author: Author) async throws {
    try await database.withTransaction { connection in
      try await insert(key, on: connection)
      try await AuditLog.append(
        [try AuditChange(.keyCreate, key)], by: author, at: key.createdAt, to: connection)
      try await changes.append(access: true, at: key.createdAt, to: connection)
    }
  }

  private func insert(_ key: APIKey, on connection: Connection) async throws {
    try await connection.execute(
      """
      insert into api_key (
        id, name, scopes, source_id, secret_hash, created_at, requests_per_minute, results_per_minute, expires_at,
        address_ranges)
      values (\(key.id), \(key.name), \(key.scopes.map(\.rawValue)), \(key.sourceID), \(key.secretHash),
        \(key.createdAt.timestamp), \(key.limits.quota.requestsPerMinute), \(key.limits.quota.resultsPerMinute),
        \(key.limits.expiresAt?.timestamp), \(key.limits.addressRanges.map(\.description))::text[]::cidr[])
      """)
  }

  /// Changes what a key is limited to, which nobody else changes meanwhile.
  /// - Returns: the key as it is now; nil when there is none.
  func setLimits(
    of id: Identifier, by author: Author, at now: Instant, _ change: @Sendable (KeyLimits) throws -> KeyLimits
  ) async throws -> APIKey? {
    try await database.withTransaction { connection in
      guard let before = try await lock(id, on: connection) else { return nil }
      var key = before
      key.limits = try change(before.limits)
      if key.limits == before.limits { return before }
      try await connection.execute(
        """
        update api_key set requests_per_minute = \(key.limits.quota.requestsPerMinute),
          results_per_minute = \(key.limits.quota.resultsPerMinute), expires_at = \(key.limits.expiresAt?.timestamp),
          address_ranges = \(key.limits.addressRanges.map(\.description))::text[]::cidr[]
        where id = \(id)
        """)
      try await AuditLog.append(
        [try AuditChange(.keyUpdate, key, before: before)], by: author, at: now, to: connection)
      try await changes.append(access: true, at: now, to: connection)
      return key
    }
  }

  /// Puts another key in the place of one, which ends.
  /// - Parameter succeed: makes the other key, and says when the first one expires.
  /// - Returns: both as they are now; nil when there is no such key.
  func replace(
    _ id: Identifier, by author: Author, at now: Instant,
    _ succeed: @Sendable (APIKey) throws -> (successor: APIKey, expiresAt: Instant)
  ) async throws -> (former: APIKey, successor: APIKey)? {
    try await database.withTransaction { connection in
      guard let before = try await lock(id, on: connection) else { return nil }
      let (successor, expiresAt) = try succeed(before)
      var key = before
      (key.successorID, key.limits.expiresAt) = (successor.id, expiresAt)
      try await insert(successor, on: connection)
      try await connection.execute(
        """
        update api_key set successor_id = \(successor.id), expires_at = \(expiresAt.timestamp) where id = \(id)
        """)
      try await AuditLog.append(
        [try AuditChange(.keyRotate, key, before: before), try AuditChange(.keyCreate, successor)], by: author, at: now,
        to: connection)
      try await changes.append(access: true, at: now, to: connection)
      return (key, successor)
    }
  }

  /// Stores when keys were last used, where that is news. No change for other instances: they only store it, too.
  func setLastUses(_ uses: [(key: Identifier, at: Instant)]) async throws {
    // Locked in the order of ids, so that two instances do not deadlock.
    try await database.execute(
      """
      with used as (
        select k.id, u.used_at from api_key k
        join unnest(\(uses.map(\.key)), \(uses.map(\.at.timestamp))) u (id, used_at) on k.id = u.id
        where k.last_used_at is null or k.last_used_at < u.used_at
        order by k.id for update of k
      )
      update api_key k set last_used_at = greatest(k.last_used_at, used.used_at) from used where k.id = used.id
      """)
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
