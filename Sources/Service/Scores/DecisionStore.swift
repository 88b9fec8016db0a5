import Postgres
import RiskModel

/// A decision that a check of a provider does not count for a while, with all that is kept about it.
struct WaiverRecord: Sendable {
  let waiver: ScoreBoard.Waiver
  let reason: String
  let recordedBy: String
  let revokedBy: String?
  let revokedNote: String?
}

/// A declaration that a concern of a provider is broken, with all that is kept about it.
struct IncidentRecord: Sendable {
  let incident: ScoreBoard.Incident
  let summary: String
  let recordedBy: String
  let closedBy: String?
  let closedNote: String?
}

/// The statements on decisions about providers: waivers and incidents. Neither is ever deleted or begun anew.
struct DecisionStore: Sendable {
  let database: Database
  let changes: ChangeLog

  // MARK: - Waivers

  /// By provider, in the order they were recorded; of these providers, or of all.
  func waivers(of providers: [Identifier]?) async throws -> [Identifier: [WaiverRecord]] {
    let rows = try await database.query(
      """
      select provider_id, id, check_id, recorded_at, expires_at, revoked_at, reason, recorded_by, revoked_by,
        revoked_note
      from waiver where \(providers == nil) or provider_id = any(\(providers ?? [])) order by id
      """
    ) { row in (try row.next(Identifier.self), try Self.waiver(&row)) }
    return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
  }

  /// A page in the order they were recorded.
  func waivers(of provider: Identifier, after id: Identifier?, count: Int) async throws -> [WaiverRecord] {
    try await database.query(Self.waiverPageQuery(of: provider, after: id, count: count)) { try Self.waiver(&$0) }
  }

  static func waiverPageQuery(of provider: Identifier, after id: Identifier?, count: Int) -> Query {
    """
    select id, check_id, recorded_at, expires_at, revoked_at, reason, recorded_by, revoked_by, revoked_note
    from waiver where provider_id = \(provider) and id > \(id ?? .least) order by id limit \(count)
    """
  }

  private static func waiver(_ row: inout Row) throws -> WaiverRecord {
    let waiver = ScoreBoard.Waiver(
      id: try row.next(Identifier.self), check: try row.next(String.self),
      recordedAt: Instant(try row.next(Timestamp.self)), expiresAt: Instant(try row.next(Timestamp.self)),
      revokedAt: try row.next(Timestamp?.self).map(Instant.init))
    return WaiverRecord(
      waiver: waiver, reason: try row.next(String.self), recordedBy: try row.next(String.self),
      revokedBy: try row.next(String?.self), revokedNote: try row.next(String?.self))
  }

  func insert(_ record: WaiverRecord, of provider: Identifier) async throws {
    let waiver = record.waiver
    try await database.withTransaction { connection in
      try await connection.execute(
        """
        insert into waiver (id, provider_id, check_id, reason, recorded_at, recorded_by, expires_at)
        values (\(waiver.id), \(provider), \(waiver.check), \(record.reason), \(waiver.recordedAt.timestamp),
          \(record.recordedBy), \(waiver.expiresAt.timestamp))
        """)
      try await changes.append(providers: [provider], at: waiver.recordedAt, to: connection)
    }
  }

  /// Ends a waiver; one that is revoked already stays as it is.
  /// - Returns: the waiver as it is now; nil when the provider has none of that id.
  func revokeWaiver(
    _ id: Identifier, of provider: Identifier, by author: String, note: String?, at now: Instant
  ) async throws -> WaiverRecord? {
    try await database.withTransaction { connection in
      let records = try await connection.query(
        """
        update waiver set revoked_by = case when revoked_at is null then \(author) else revoked_by end,
          revoked_note = case when revoked_at is null then \(note) else revoked_note end,
          revoked_at = coalesce(revoked_at, \(now.timestamp))
        where id = \(id) and provider_id = \(provider)
        returning id, check_id, recorded_at, expires_at, revoked_at, reason, recorded_by, revoked_by, revoked_note
        """
      ) { row in try Self.waiver(&row) }
      if !records.isEmpty { try await changes.append(providers: [provider], at: now, to: connection) }
      return records.first
    }
  }

  // MARK: - Incidents

  /// By provider, in the order they were recorded; of these providers, or of all.
  func incidents(of providers: [Identifier]?) async throws -> [Identifier: [IncidentRecord]] {
    let rows = try await database.query(
      """
      select provider_id, id, concern, recorded_at, closed_at, summary, recorded_by, closed_by, closed_note
      from incident where \(providers == nil) or provider_id = any(\(providers ?? [])) order by id
      """
    ) { row in (try row.next(Identifier.self), try Self.incident(&row)) }
    return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
  }

  /// A page in the order they were recorded.
  func incidents(of provider: Identifier, after id: Identifier?, count: Int) async throws -> [IncidentRecord] {
    try await database.query(Self.incidentPageQuery(of: provider, after: id, count: count)) { try Self.incident(&$0) }
  }

  static func incidentPageQuery(of provider: Identifier, after id: Identifier?, count: Int) -> Query {
    """
    select id, concern, recorded_at, closed_at, summary, recorded_by, closed_by, closed_note
    from incident where provider_id = \(provider) and id > \(id ?? .least) order by id limit \(count)
    """
  }

  private static func incident(_ row: inout Row) throws -> IncidentRecord {
    let incident = ScoreBoard.Incident(
      id: try row.next(Identifier.self), concern: try row.next(String.self),
      recordedAt: Instant(try row.next(Timestamp.self)), closedAt: try row.next(Timestamp?.self).map(Instant.init))
    return IncidentRecord(
      incident: incident, summary: try row.next(String.self), recordedBy: try row.next(String.self),
      closedBy: try row.next(String?.self), closedNote: try row.next(String?.self))
  }

  func insert(_ record: IncidentRecord, of provider: Identifier) async throws {
    let incident = record.incident
    try await database.withTransaction { connection in
      try await connection.execute(
        """
        insert into incident (id, provider_id, concern, summary, recorded_at, recorded_by)
        values (\(incident.id), \(provider), \(incident.concern), \(record.summary),
          \(incident.recordedAt.timestamp), \(record.recordedBy))
        """)
      try await changes.append(providers: [provider], at: incident.recordedAt, to: connection)
    }
  }

  /// Ends an incident; one that is closed already stays as it is.
  /// - Returns: the incident as it is now; nil when the provider has none of that id.
  func closeIncident(
    _ id: Identifier, of provider: Identifier, by author: String, note: String?, at now: Instant
  ) async throws -> IncidentRecord? {
    try await database.withTransaction { connection in
      let records = try await connection.query(
        """
        update incident set closed_by = case when closed_at is null then \(author) else closed_by end,
          closed_note = case when closed_at is null then \(note) else closed_note end,
          closed_at = coalesce(closed_at, \(now.timestamp))
        where id = \(id) and provider_id = \(provider)
        returning id, concern, recorded_at, closed_at, summary, recorded_by, closed_by, closed_note
        """
      ) { row in try Self.incident(&row) }
      if !records.isEmpty { try await changes.append(providers: [provider], at: now, to: connection) }
      return records.first
    }
  }
}
