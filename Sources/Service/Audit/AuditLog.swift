import Postgres

/// The statements on the audit log.
struct AuditLog: Sendable {
  let database: Database

  // MARK: - Writing

  /// Adds entries to the transaction that makes the changes: neither is there without the other. Nothing is locked
  /// behind the head but `change_head`, which orders commits and which results wait for: so what is asked of the server
  /// while the head is held holds up no results, and nobody waits in turn.
  static func append(
    _ changes: [AuditChange], by author: Author, at now: Instant, to connection: Connection
  ) async throws {
    if changes.isEmpty { return }
    let heads = try await connection.query("select count, hash, at from audit_head for update") { row in
      (
        head: AuditHead(count: try row.next(Int.self), hash: try row.next([UInt8].self)),
        at: try row.next(Timestamp?.self).map(Instant.init)
      )
    }
    var head = heads[0].head
    // Clocks of instances differ, and are set; a log that goes back in time could not be read by time.
    let at = max(now, heads[0].at ?? now)
    var entries: [AuditEntry] = []
    entries.reserveCapacity(changes.count)
    for change in changes {
      let entry = try AuditEntry(change, by: author, at: at, behind: head)
      entries.append(entry)
      head = entry.head
    }
    try await connection.execute(
      """
      with head as (update audit_head set count = \(head.count), hash = \(head.hash), at = \(at.timestamp))
      insert into audit_entry (sequence, recorded_at, actor_key, actor_name, peer, request_id, action, object_kind,
        object_id, before, after, previous_hash, hash)
      select sequence, \(at.timestamp), \(author.keyID), \(author.name), \(author.peer), \(author.requestID), action,
        object_kind, object_id, before, after, previous_hash, hash
      from unnest(
        \(entries.map(\.sequence)), \(entries.map(\.action)), \(entries.map(\.objectKind)),
        \(entries.map(\.objectID)), \(entries.map { $0.before.map(text) }), \(entries.map { $0.after.map(text) }),
        \(entries.map(\.previousHash)), \(entries.map(\.hash))
      ) as entry (sequence, action, object_kind, object_id, before, after, previous_hash, hash)
      """)
  }

  private static func text(_ json: [UInt8]) -> String { String(decoding: json, as: UTF8.self) }

  // MARK: - Reading

  /// Where the chain ends, and when it last grew.
  func head() async throws -> (head: AuditHead, at: Instant?) {
    try await database.withConnection { try await Self.head(on: $0) }
  }

  static func head(on connection: Connection) async throws -> (head: AuditHead, at: Instant?) {
    try await connection.query("select count, hash, at from audit_head") { row in
      (
        AuditHead(count: try row.next(Int.self), hash: try row.next([UInt8].self)),
        try row.next(Timestamp?.self).map(Instant.init)
      )
    }[0]
  }

  /// What the list shows; only what is asked for is a condition, so that each list has its own plan.
  struct Filter: Sendable {
    var actor: Identifier?
    var action: AuditAction?
    var objectKind: AuditObjectKind?
    var objectID: String?
    /// From here on, and before there.
    var since, until: Instant?
    /// The last entry of the page before.
    var before: Int?
  }

  /// A page, the newest first.
  func page(_ filter: Filter, count: Int) async throws -> [AuditEntry] {
    try await database.query(Self.pageQuery(filter, count: count), Self.decode)
  }

  static func pageQuery(_ filter: Filter, count: Int) -> Query {
    var condition: Query = "sequence < \(filter.before ?? .max)"
    if let actor = filter.actor { condition = "\(condition) and actor_key = \(actor)" }
    if let action = filter.action { condition = "\(condition) and action = \(action.rawValue)" }
    if let kind = filter.objectKind { condition = "\(condition) and object_kind = \(kind.rawValue)" }
    if let id = filter.objectID { condition = "\(condition) and object_id = \(id)" }
    // Later entries never have an earlier time, so that times are bounds of the sequence.
    if let since = filter.since {
      condition = """
        \(condition) and sequence >= coalesce((select sequence from audit_entry where recorded_at >= \(since.timestamp)
          order by recorded_at, sequence limit 1), \(Int.max))
        """
    }
    if let until = filter.until {
      condition = """
        \(condition) and sequence <= coalesce((select sequence from audit_entry where recorded_at < \(until.timestamp)
          order by recorded_at desc, sequence desc limit 1), 0)
        """
    }
    return """
      select \(unsafeRaw: columns) from audit_entry where \(condition) order by sequence desc limit \(count)
      """
  }

  /// The entries behind one, in their order.
  static func entries(after sequence: Int, count: Int, on connection: Connection) async throws -> [AuditEntry] {
    try await connection.query(
      """
      select \(unsafeRaw: columns) from audit_entry where sequence > \(sequence) order by sequence limit \(count)
      """, decode)
  }

  private static let columns = """
    sequence, recorded_at, actor_key, actor_name, peer, request_id, action, object_kind, object_id, before, after,
    previous_hash, hash
    """

  @Sendable private static func decode(_ row: inout Row) throws -> AuditEntry {
    let sequence = try row.next(Int.self)
    let recordedAt = Instant(try row.next(Timestamp.self))
    let author = Author(
      keyID: try row.next(Identifier?.self), name: try row.next(String.self), peer: try row.next(String?.self),
      requestID: try row.next(Identifier?.self))
    return AuditEntry(
      sequence: sequence, recordedAt: recordedAt, author: author, action: try row.next(String.self),
      objectKind: try row.next(String.self), objectID: try row.next(String?.self),
      before: try row.next(String?.self).map { Array($0.utf8) },
      after: try row.next(String?.self).map { Array($0.utf8) }, previousHash: try row.next([UInt8].self),
      hash: try row.next([UInt8].self))
  }
}
