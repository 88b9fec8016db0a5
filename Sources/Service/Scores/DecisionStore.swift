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

  /// Runs a statement that changes a decision of a provider, and records the change unless there was none.
  /// - Returns: the decision as it is now.
  private func change<Record: Sendable>(
    _ statement: Query, of provider: Identifier, at now: Instant,
    _ decode: @Sendable @escaping (inout Row) throws -> Record
  ) async throws -> Record? {
    try await database.withTransaction { connection in
      let changed = try await connection.query(statement, decode)
      if !changed.isEmpty { try await changes.append(providers: [provider], at: now, to: connection) }
      return changed.first
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

  func insert(_ record: WaiverRecord, of provider: Identifier) async throws {
    let waiver = record.waiver
    _ = try await change(
      """
      insert into waiver (id, provider_id, check_id, reason, recorded_at, recorded_by, expires_at)
      values (\(waiver.id), \(provider), \(waiver.check), \(record.reason), \(waiver.recordedAt.timestamp),
        \(record.recordedBy), \(waiver.expiresAt.timestamp))
      returning \(unsafeRaw: Self.waiverColumns)
      """, of: provider, at: waiver.recordedAt, Self.waiver)
  }

  /// Ends a waiver; one that is revoked already stays as it is.
  /// - Returns: the waiver as it is now; nil when the provider has none of that id.
  func revokeWaiver(
    _ id: Identifier, of provider: Identifier, by author: String, note: String?, at now: Instant
  ) async throws -> WaiverRecord? {
    try await change(
      """
      update waiver set revoked_by = case when revoked_at is null then \(author) else revoked_by end,
        revoked_note = case when revoked_at is null then \(note) else revoked_note end,
        revoked_at = coalesce(revoked_at, \(now.timestamp))
      where id = \(id) and provider_id = \(provider) returning \(unsafeRaw: Self.waiverColumns)
      """, of: provider, at: now, Self.waiver)
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

  func insert(_ record: IncidentRecord, of provider: Identifier) async throws {
    let incident = record.incident
    _ = try await change(
      """
      insert into incident (id, provider_id, concern, summary, recorded_at, recorded_by)
      values (\(incident.id), \(provider), \(incident.concern), \(record.summary),
        \(incident.recordedAt.timestamp), \(record.recordedBy))
      returning \(unsafeRaw: Self.incidentColumns)
      """, of: provider, at: incident.recordedAt, Self.incident)
  }

  /// Ends an incident; one that is closed already stays as it is.
  /// - Returns: the incident as it is now; nil when the provider has none of that id.
  func closeIncident(
    _ id: Identifier, of provider: Identifier, by author: String, note: String?, at now: Instant
  ) async throws -> IncidentRecord? {
    try await change(
      """
      update incident set closed_by = case when closed_at is null then \(author) else closed_by end,
        closed_note = case when closed_at is null then \(note) else closed_note end,
        closed_at = coalesce(closed_at, \(now.timestamp))
      where id = \(id) and provider_id = \(provider) returning \(unsafeRaw: Self.incidentColumns)
      """, of: provider, at: now, Self.incident)
  }
}
