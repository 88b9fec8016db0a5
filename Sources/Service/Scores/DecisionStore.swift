import Postgres

/// The statements that read decisions about evidence: waivers and incidents.
struct DecisionStore: Sendable {
  let database: Database

  /// By provider; of these providers, or of all.
  func waivers(of providers: [Identifier]?) async throws -> [Identifier: [ScoreBoard.Waiver]] {
    let rows = try await database.query(
      """
      select provider_id, id, check_id, recorded_at, expires_at, revoked_at from waiver
      where \(providers == nil) or provider_id = any(\(providers ?? [])) order by id
      """
    ) { row in
      (
        try row.next(Identifier.self),
        ScoreBoard.Waiver(
          id: try row.next(Identifier.self), check: try row.next(String.self),
          recordedAt: Instant(try row.next(Timestamp.self)),
          expiresAt: Instant(try row.next(Timestamp.self)),
          revokedAt: try row.next(Timestamp?.self).map(Instant.init))
      )
    }
    return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
  }

  /// By provider; of these providers, or of all.
  func incidents(of providers: [Identifier]?) async throws -> [Identifier: [ScoreBoard.Incident]] {
    let rows = try await database.query(
      """
      select provider_id, id, concern, recorded_at, closed_at from incident
      where \(providers == nil) or provider_id = any(\(providers ?? [])) order by id
      """
    ) { row in
      (
        try row.next(Identifier.self),
        ScoreBoard.Incident(
          id: try row.next(Identifier.self), concern: try row.next(String.self),
          recordedAt: Instant(try row.next(Timestamp.self)),
          closedAt: try row.next(Timestamp?.self).map(Instant.init))
      )
    }
    return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
  }
}
