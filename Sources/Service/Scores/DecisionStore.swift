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

  /// Runs a statement that stores a decision about a provider, and records it.
  private func insert(
    _ statement: Query, _ change: AuditChange, of provider: Identifier, by author: Author, at now: Instant
  ) async throws {
    try await database.withTransaction { connection in
      try await connection.execute(statement)
      try await AuditLog.append([change], by: author, at: now, to: connection)
      try await changes.append(providers: [provider], at: now, to: connection)
    }
  }

  /// Ends a decision, unless it has ended before.
  /// - Parameters:
  ///   - locking: selects the decision, which nobody else changes then.
  ///   - ending: returns it as it is afterwards.
  /// - Returns: the decision as it is now; nil when there is none.
  private func end<Record: Sendable>(
    _ locking: Query, hasEnded: (Record) -> Bool, _ ending: Query, of provider: Identifier, by author: Author,
    at now: Instant, _ decode: @Sendable @escaping (inout Row) throws -> Record,
    _ change: (_ before: Record, _ after: Record) throws -> AuditChange
  ) async throws -> Record? {
    try await database.withTransaction { connection in
      guard let before = try await connection.query(locking, decode).first else { return nil }
      if hasEnded(before) { return before }
      let after = try await connection.query(ending, decode)[0]
      try await AuditLog.append([try change(before, after)], by: author, at: now, to: connection)
      try await changes.append(providers: [provider], at: now, to: connection)
      return after
    }
  }

  // MARK: - Waivers

  private static let waiverColumns =
    "id, check_id, recorded_at, expires_at, revoked_at, reason, recorded_by, revoked_by, revoked_note"

  @Sendable private static func waiver(_ row: inout Row) throws -> WaiverRecord {
    let waiver = ScoreBoard.Waiver(
      id: try row.next(Identifier.self), check: try row.next(String.self),
      recordedAt: Instant(try row.next(Timestamp.self)), expiresAt: Instant(try row.next(Timestamp.self)),
      revokedAt: try row.next(Timestamp?.self).map(Instant.init))
    return WaiverRecord(
      waiver: waiver, reason: try row.next(String.self), recordedBy: try row.next(String.self),
      revokedBy: try row.next(String?.self), revokedNote: try row.next(String?.self))
  }

  /// By provider, in the order they were recorded; of these providers, or of all.
  func waivers(of providers: [Identifier]?) async throws -> [Identifier: [WaiverRecord]] {
    let rows = try await database.query(
      """
      select provider_id, \(unsafeRaw: Self.waiverColumns)
      from waiver where \(Query(columnOf: "provider_id", isAnyOf: providers)) order by id
      """
    ) { row in (try row.next(Identifier.self), try Self.waiver(&row)) }
    return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
  }

  /// A page in the order they were recorded.
  func waivers(of provider: Identifier, after id: Identifier?, count: Int) async throws -> [WaiverRecord] {
    try await database.query(Self.waiverPageQuery(of: provider, after: id, count: count), Self.waiver)
  }

  static func waiverPageQuery(of provider: Identifier, after id: Identifier?, count: Int) -> Query {
    """
    select \(unsafeRaw: waiverColumns) from waiver
    where provider_id = \(provider) and id > \(id ?? .least) order by id limit \(count)
    """
  }

  func insert(_ record: WaiverRecord, of provider: Identifier, by author: Author) async throws {
    let waiver = record.waiver
    try await insert(
      """
      insert into waiver (id, provider_id, check_id, reason, recorded_at, recorded_by, expires_at)
      values (\(waiver.id), \(provider), \(waiver.check), \(record.reason), \(waiver.recordedAt.timestamp),
        \(record.recordedBy), \(waiver.expiresAt.timestamp))
      """, try AuditChange(.waiverCreate, record, of: provider), of: provider, by: author, at: waiver.recordedAt)
  }

  /// Ends a waiver; one that is revoked already stays as it is.
  /// - Returns: the waiver as it is now; nil when the provider has none of that id.
  func revokeWaiver(
    _ id: Identifier, of provider: Identifier, by author: Author, note: String?, at now: Instant
  ) async throws -> WaiverRecord? {
    try await end(
      """
      select \(unsafeRaw: Self.waiverColumns) from waiver
      where id = \(id) and provider_id = \(provider) for update
      """, hasEnded: { $0.waiver.revokedAt != nil },
      """
      update waiver
      set revoked_by = \(author.recordedName), revoked_note = \(note), revoked_at = \(now.timestamp)
      where id = \(id) returning \(unsafeRaw: Self.waiverColumns)
      """, of: provider, by: author, at: now, Self.waiver
    ) { try AuditChange(.waiverRevoke, $1, before: $0, of: provider) }
  }

  // MARK: - Incidents

  private static let incidentColumns =
    "id, concern, recorded_at, closed_at, summary, recorded_by, closed_by, closed_note"

  @Sendable private static func incident(_ row: inout Row) throws -> IncidentRecord {
    let incident = ScoreBoard.Incident(
      id: try row.next(Identifier.self), concern: try row.next(String.self),
      recordedAt: Instant(try row.next(Timestamp.self)), closedAt: try row.next(Timestamp?.self).map(Instant.init))
    return IncidentRecord(
      incident: incident, summary: try row.next(String.self), recordedBy: try row.next(String.self),
      closedBy: try row.next(String?.self), closedNote: try row.next(String?.self))
  }

  /// By provider, in the order they were recorded; of these providers, or of all.
  func incidents(of providers: [Identifier]?) async throws -> [Identifier: [IncidentRecord]] {
    let rows = try await database.query(
      """
      select provider_id, \(unsafeRaw: Self.incidentColumns)
      from incident where \(Query(columnOf: "provider_id", isAnyOf: providers)) order by id
      """
    ) { row in (try row.next(Identifier.self), try Self.incident(&row)) }
    return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
  }

  /// A page in the order they were recorded.
  func incidents(of provider: Identifier, after id: Identifier?, count: Int) async throws -> [IncidentRecord] {
    try await database.query(Self.incidentPageQuery(of: provider, after: id, count: count), Self.incident)
  }

  static func incidentPageQuery(of provider: Identifier, after id: Identifier?, count: Int) -> Query {
    """
    select \(unsafeRaw: incidentColumns) from incident
    where provider_id = \(provider) and id > \(id ?? .least) order by id limit \(count)
    """
  }

  func insert(_ record: IncidentRecord, of provider: Identifier, by author: Author) async throws {
    let incident = record.incident
    try await insert(
      """
      insert into incident (id, provider_id, concern, summary, recorded_at, recorded_by)
      values (\(incident.id), \(provider), \(incident.concern), \(record.summary),
        \(incident.recordedAt.timestamp), \(record.recordedBy))
      """, try AuditChange(.incidentOpen, record, of: provider), of: provider, by: author, at: incident.recordedAt)
  }

  /// Ends an incident; one that is closed already stays as it is.
  /// - Returns: the incident as it is now; nil when the provider has none of that id.
  func closeIncident(
    _ id: Identifier, of provider: Identifier, by author: Author, note: String?, at now: Instant
  ) async throws -> IncidentRecord? {
    try await end(
      """
      select \(unsafeRaw: Self.incidentColumns) from incident
      where id = \(id) and provider_id = \(provider) for update
      """, hasEnded: { $0.incident.closedAt != nil },
      """
      update incident
      set closed_by = \(author.recordedName), closed_note = \(note), closed_at = \(now.timestamp)
      where id = \(id) returning \(unsafeRaw: Self.incidentColumns)
      """, of: provider, by: author, at: now, Self.incident
    ) { try AuditChange(.incidentClose, $1, before: $0, of: provider) }
  }
}
