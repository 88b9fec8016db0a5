import Postgres

/// The statements on `source` and `source_trust`.
struct SourceStore: Sendable {
  let database: Database
  let changes: ChangeLog

  /// - Returns: false when another source has the slug; nothing is stored then.
  /// - Parameter recordedName: how the author stands beside the trust.
  func insert(_ source: Source, by author: Author, as recordedName: String) async throws -> Bool {
    try await database.withTransaction { connection in
      let inserted = try await connection.execute(
        """
        insert into source (id, slug, name, status, version, created_at, updated_at)
        values (\(source.id), \(source.slug.text), \(source.name), \(source.status.rawValue), \(source.version),
          \(source.createdAt.timestamp), \(source.updatedAt.timestamp))
        on conflict (slug) do nothing
        """)
      guard inserted == 1 else { return false }
      try await appendTrust(of: source, by: recordedName, on: connection)
      try await AuditLog.append(
        [try AuditChange(.sourceCreate, source)], by: author, at: source.updatedAt, to: connection)
      try await changes.append(access: true, at: source.updatedAt, to: connection)
      return true
    }
  }

  /// Stores a changed source when its version is still that of `before`.
  /// - Returns: false when someone else changed it meanwhile; nothing is stored then.
  func update(_ source: Source, over before: Source, by author: Author) async throws -> Bool {
    try await database.withTransaction { connection in
      let updated = try await connection.execute(
        """
        update source set name = \(source.name), status = \(source.status.rawValue), version = \(source.version),
          updated_at = \(source.updatedAt.timestamp)
        where id = \(source.id) and version = \(source.version - 1)
        """)
      guard updated == 1 else { return false }
      if source.trust != before.trust {
        try await appendTrust(of: source, by: author.recordedName, on: connection)
      }
      try await AuditLog.append(
        [try AuditChange(.sourceUpdate, source, before: before)], by: author, at: source.updatedAt, to: connection)
      try await changes.append(access: true, at: source.updatedAt, to: connection)
      return true
    }
  }

  /// Later than what was recorded before, also when the clock was set back or has not moved.
  private func appendTrust(of source: Source, by author: String, on connection: Connection) async throws {
    try await connection.execute(
      """
      insert into source_trust (source_id, recorded_at, trust, recorded_by)
      select \(source.id), greatest(\(source.updatedAt.timestamp), max(recorded_at) + interval '1 microsecond'),
        \(source.trust), \(author)
      from source_trust where source_id = \(source.id)
      """)
  }

  private static let columns = """
    s.id, s.slug, s.name, s.status, s.version, s.created_at, s.updated_at,
    (select trust from source_trust t where t.source_id = s.id order by t.recorded_at desc limit 1)
    """

  func all() async throws -> [Source] {
    try await database.query("select \(unsafeRaw: Self.columns) from source s", Self.decode)
  }

  /// A page in the order of slugs.
  func page(after slug: Slug?, count: Int) async throws -> [Source] {
    try await database.query(Self.pageQuery(after: slug, count: count), Self.decode)
  }

  static func pageQuery(after slug: Slug?, count: Int) -> Query {
    """
    select \(unsafeRaw: columns) from source s where s.slug > \(slug?.text ?? "") order by s.slug limit \(count)
    """
  }

  @Sendable private static func decode(_ row: inout Row) throws -> Source {
    let id = try row.next(Identifier.self)
    let slug = try Slug(try row.next(String.self))
    let name = try row.next(String.self)
    let status = Source.Status(rawValue: try row.next(String.self))!
    let version = try row.next(Int.self)
    let createdAt = Instant(try row.next(Timestamp.self))
    let updatedAt = Instant(try row.next(Timestamp.self))
    return Source(
      id: id, slug: slug, name: name, trust: try row.next(Double.self), status: status, version: version,
      createdAt: createdAt, updatedAt: updatedAt)
  }
}
