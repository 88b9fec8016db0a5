import HTTPServer
import Postgres
import RiskModel

/// The statements on disputes. None is ever deleted, and none is decided twice.
struct DisputeStore: Sendable {
  let database: Database
  let changes: ChangeLog
  let methodologies: MethodologyStore

  private var voids: VoidStore { VoidStore(database: database, changes: changes, methodologies: methodologies) }

  private static let columns = """
    d.id, d.provider_id, d.result_id, d.source_id, d.check_id, d.counted_at, d.reason, d.recorded_at, d.recorded_by,
    d.status, d.decided_at, d.decided_by, d.note
    """

  @Sendable private static func decode(_ row: inout Row) throws -> Dispute {
    let id = try row.next(Identifier.self)
    let provider = try row.next(Identifier.self)
    let result = try row.next(Identifier.self)
    let source = try row.next(Identifier.self)
    let check = try row.next(String.self)
    let countedAt = try row.next(Timestamp?.self).map(Instant.init)
    let reason = try row.next(String.self)
    let recordedAt = Instant(try row.next(Timestamp.self))
    let recordedBy = try row.next(String.self)
    let isUpheld = try row.next(String.self) == Dispute.Status.upheld.rawValue
    let decision = try row.next(Timestamp?.self).map {
      Dispute.Decision(
        isUpheld: isUpheld, at: Instant($0), by: try row.next(String.self), note: try row.next(String.self))
    }
    return Dispute(
      id: id, provider: provider, result: result, source: source, check: check, countedAt: countedAt, reason: reason,
      recordedAt: recordedAt, recordedBy: recordedBy, decision: decision)
  }

  // MARK: - Reading

  /// What scores need to know, by provider; of these providers, or of all.
  func disputes(of providers: [Identifier]?) async throws -> [Identifier: [ScoreBoard.Dispute]] {
    let rows = try await database.query(
      """
      select v.recorded_at, \(unsafeRaw: Self.columns)
      from dispute d left join void v on v.provider_id = d.provider_id and v.result_id = d.result_id
      where \(Query(columnOf: "d.provider_id", isAnyOf: providers))
      """
    ) { row in
      let voidedAt = try row.next(Timestamp?.self).map(Instant.init)
      let dispute = try Self.decode(&row)
      return (dispute.provider, ScoreBoard.Dispute(dispute, resultVoidedAt: voidedAt))
    }
    return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
  }

  func dispute(_ id: Identifier) async throws -> Dispute? {
    try await database.query(
      "select \(unsafeRaw: Self.columns) from dispute d where d.id = \(id)", Self.decode
    ).first
  }

  /// A page in the order they were recorded.
  func page(
    _ status: Dispute.Status?, of provider: Identifier?, after id: Identifier?, count: Int
  ) async throws -> [Dispute] {
    try await database.query(Self.pageQuery(status, of: provider, after: id, count: count), Self.decode)
  }

  /// Only what is asked for is a condition, so that each list has its own plan.
  static func pageQuery(
    _ status: Dispute.Status?, of provider: Identifier?, after id: Identifier?, count: Int
  ) -> Query {
    var condition: Query = "d.id > \(id ?? .least)"
    if let status { condition = "\(condition) and d.status = \(status.rawValue)" }
    if let provider { condition = "\(condition) and d.provider_id = \(provider)" }
    return """
      select \(unsafeRaw: Self.columns) from dispute d where \(condition) order by d.id limit \(count)
      """
  }

  // MARK: - Deciding

  enum Opening: Sendable {
    case opened
    /// One that is open against the result already.
    case held(by: Identifier)
  }

  func open(_ dispute: Dispute, by author: Author) async throws -> Opening {
    try await database.withTransaction { connection in
      let opened = try await connection.query(
        """
        insert into dispute (provider_id, id, result_id, source_id, check_id, counted_at, reason, recorded_at,
          recorded_by)
        values (\(dispute.provider), \(dispute.id), \(dispute.result), \(dispute.source), \(dispute.check),
          \(dispute.countedAt?.timestamp), \(dispute.reason), \(dispute.recordedAt.timestamp), \(dispute.recordedBy))
        on conflict (provider_id, result_id) where status = 'open' do nothing returning id
        """
      ) { try $0.next(Identifier.self) }
      guard opened.isEmpty else {
        try await AuditLog.append(
          [try AuditChange(.disputeOpen, dispute)], by: author, at: dispute.recordedAt, to: connection)
        try await changes.append(providers: [dispute.provider], at: dispute.recordedAt, to: connection)
        return .opened
      }
      let holders = try await connection.query(
        """
        select id from dispute
        where provider_id = \(dispute.provider) and result_id = \(dispute.result) and status = 'open'
        """
      ) { try $0.next(Identifier.self) }
      // It may have been decided in between.
      guard let holder = holders.first else {
        throw Problem(.conflict, "A dispute against the result was decided at the same time. Try it again.")
      }
      return .held(by: holder)
    }
  }

  /// - Throws: the 410 of a result that counts and is no longer kept: its cell cannot forget it, so a dispute about it
  ///   can be rejected and not be upheld.
  private func checkNotDropped(_ dispute: Dispute, on connection: Connection) async throws {
    let horizons = try await connection.query(
      """
      select horizon from retention where not exists (
        select from void where provider_id = \(dispute.provider) and result_id = \(dispute.result))
      """
    ) { try $0.next(Timestamp?.self).map(Instant.init) }
    if let horizon = horizons.first ?? nil, dispute.result < Identifier(leastAt: horizon) {
      throw Problem.resultGone(dispute.result, horizon)
    }
  }

  /// Ends a dispute; one that is upheld voids its result in the same transaction.
  /// - Returns: the dispute as it is now, and the cells without the result; nil when it was decided before.
  /// - Throws: the 410 of a result that is no longer kept, when it is upheld.
  func decide(
    _ dispute: Dispute, _ decision: Dispute.Decision, by author: Author
  ) async throws -> (dispute: Dispute, cells: [StoredCell])? {
    let status = decision.isUpheld ? Dispute.Status.upheld : .rejected
    return try await methodologies.folding { set in
      try await database.withTransaction { connection in
        let decided = try await connection.query(
          """
          update dispute d set status = \(status.rawValue), decided_at = \(decision.at.timestamp),
            decided_by = \(decision.by), note = \(decision.note)
          where d.provider_id = \(dispute.provider) and d.id = \(dispute.id) and d.status = 'open'
          returning \(unsafeRaw: Self.columns)
          """, Self.decode)
        guard let ended = decided.first else { return nil }
        var cells: [StoredCell] = []
        var audited = [
          try AuditChange(decision.isUpheld ? .disputeUphold : .disputeReject, ended, before: dispute)
        ]
        if decision.isUpheld {
          let voiding = ResultDecision(
            at: decision.at, by: decision.by, reason: "The dispute \(dispute.id) was upheld.")
          let selection = ResultSelection(result: dispute.result, of: dispute.provider)
          let (voided, changed) = try await voids.void(selection, voiding, under: set, on: connection)
          if voided.isEmpty { try await checkNotDropped(dispute, on: connection) }
          audited += try voided.map { try AuditChange(voiding: selection, voiding, count: $0.count) }
          cells = changed
        }
        try await AuditLog.append(audited, by: author, at: decision.at, to: connection)
        try await changes.append(
          providers: [dispute.provider], foldedUnder: set, at: decision.at, to: connection)
        return (ended, cells)
      }
    }
  }
}
