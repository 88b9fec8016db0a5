import HTTPServer
import JSON
import Postgres
import RiskModel

/// The set of methodologies is no longer the one that results were folded under; nothing was stored.
struct MethodologiesChanged: Error {}

/// The statements on `methodology`.
struct MethodologyStore: Sendable {
  let database: Database
  let changes: ChangeLog
  let register: MethodologyRegister

  /// Stores the shipped methodology, active, in a database that has none.
  func ship(_ shipped: ScoringMethodology, at now: Instant) async throws {
    // A standby takes no statement that might write.
    let isThere = try await database.query("select exists (select from methodology)") { try $0.next(Bool.self) }
    if isThere[0] { return }
    let methodology = StoredMethodology(
      scoring: shipped, status: .active, foldingVersion: 0, isComplete: true, recordedAt: now,
      recordedBy: "relayrisk", changedAt: now, changedBy: "relayrisk")
    try await database.withTransaction { connection in
      let count = try await connection.execute(
        """
        insert into methodology (id, document, hash, status, folding_version, is_complete, recorded_at, recorded_by,
          changed_at, changed_by)
        values (\(shipped.id), \(String(decoding: shipped.document, as: UTF8.self)), \(shipped.hash), 'active', 0, true,
          \(now.timestamp), \(methodology.recordedBy), \(now.timestamp), \(methodology.changedBy))
        on conflict (id) do nothing
        """)
      if count == 0 { return }
      try await AuditLog.append(
        [try AuditChange(.methodologyCreate, methodology)], by: .command, at: now, to: connection)
    }
  }

  /// All of them and the version of their set, as of one instant.
  func load() async throws -> MethodologySet { try await database.withConnection { try await load(on: $0) } }

  func load(on connection: Connection) async throws -> MethodologySet {
    let known = Dictionary(uniqueKeysWithValues: register.current.all.map { ($0.id, $0.scoring) })
    let rows = try await connection.query(
      """
      select \(unsafeRaw: Self.columns), h.methodologies from methodology cross join change_head h order by id
      """
    ) { row in (try Self.decode(&row, known), try row.next(Int.self)) }
    return MethodologySet(version: rows[0].1, all: rows.map(\.0))
  }

  /// Runs `body` with what results are to be folded under, and again when that changed before it committed.
  func folding<Value: Sendable>(_ body: (FoldingSet) async throws -> Value) async throws -> Value {
    for _ in 0..<Self.attemptsMax {
      do {
        return try await body(register.folding)
      } catch is MethodologiesChanged {
        register.fold(under: try await load().folding)
      }
    }
    throw Problem.databaseUnavailable()
  }

  /// Each time another change of the methodologies has committed in between.
  private static let attemptsMax = 10

  // MARK: - Changes

  /// - Returns: false when one of this id is stored already; nothing is stored then.
  func insert(_ methodology: StoredMethodology, by author: Author) async throws -> Bool {
    try await database.withTransaction { connection in
      // What is dropped from now on is carried on under it too.
      try await RetentionStore.keepResults(on: connection)
      let horizons = try await connection.query(
        """
        insert into methodology (id, document, hash, status, recorded_at, recorded_by, changed_at, changed_by,
          evidence_from)
        values (\(methodology.id), \(String(decoding: methodology.scoring.document, as: UTF8.self)),
          \(methodology.scoring.hash), \(methodology.status.rawValue), \(methodology.recordedAt.timestamp),
          \(methodology.recordedBy), \(methodology.changedAt.timestamp), \(methodology.changedBy),
          (select horizon from retention))
        on conflict (id) do nothing returning evidence_from
        """
      ) { try $0.next(Timestamp?.self).map(Instant.init) }
      guard let horizon = horizons.first else { return false }
      var stored = methodology
      stored.evidenceFrom = horizon
      try await AuditLog.append(
        [try AuditChange(.methodologyCreate, stored)], by: author, at: methodology.recordedAt, to: connection)
      try await changes.append(methodologies: true, at: methodology.recordedAt, to: connection)
      return true
    }
  }

  /// Changes one; whoever else changes any waits.
  /// - Parameter change: gets it as it is stored; may throw, and nothing is stored then. An activation makes the one
  ///   that was active a shadow.
  /// - Returns: it as it is now; nil when there is none of this id.
  func change(
    _ id: String, at now: Instant, by author: Author, _ change: (inout StoredMethodology) throws -> Void
  ) async throws -> StoredMethodology? {
    let known = Dictionary(uniqueKeysWithValues: register.current.all.map { ($0.id, $0.scoring) })
    return try await database.withTransaction { connection in
      let rows = try await connection.query(
        """
        select \(unsafeRaw: Self.columns), (select methodologies from change_head)
        from methodology order by id for update
        """
      ) { row in (try Self.decode(&row, known), try row.next(Int.self)) }
      guard let (before, version) = rows.first(where: { $0.0.id == id }) else { return nil }
      var after = before
      try change(&after)
      if after.status == before.status, after.isComplete == before.isComplete { return before }
      let statusChanged = after.status != before.status
      if statusChanged { (after.changedAt, after.changedBy) = (now, author.recordedName) }
      let willFold = after.status == .shadow || after.status == .active
      after.foldingVersion = willFold ? before.foldingVersion ?? version + 1 : nil
      var audited: [AuditChange] = []
      if statusChanged, after.status == .active {
        // Exactly one is active.
        let active = rows.first { $0.0.status == .active }!.0
        var shadow = active
        (shadow.status, shadow.changedAt, shadow.changedBy) = (.shadow, now, author.recordedName)
        try await connection.execute(
          """
          update methodology set status = 'shadow', changed_at = \(now.timestamp), changed_by = \(shadow.changedBy)
          where id = \(shadow.id)
          """)
        audited.append(try AuditChange(.methodologyUpdate, shadow, before: active))
      }
      try await connection.execute(
        """
        update methodology set status = \(after.status.rawValue), folding_version = \(after.foldingVersion),
          is_complete = \(after.isComplete), changed_at = \(after.changedAt.timestamp),
          changed_by = \(after.changedBy)
        where id = \(id)
        """)
      audited.append(
        try AuditChange(statusChanged ? .methodologyUpdate : .methodologyComplete, after, before: before))
      try await AuditLog.append(audited, by: author, at: now, to: connection)
      try await changes.append(methodologies: true, at: now, to: connection)
      return after
    }
  }

  // MARK: - Rows

  private static let columns = """
    id, document, status, folding_version, is_complete, recorded_at, recorded_by, changed_at, changed_by, evidence_from
    """

  /// A document that is known already is not read again: it never changes.
  private static func decode(
    _ row: inout Row, _ known: [String: ScoringMethodology]
  ) throws -> StoredMethodology {
    let id = try row.next(String.self)
    let document = Array(try row.next(String.self).utf8)
    let scoring: ScoringMethodology
    if let same = known[id], same.document == document {
      scoring = same
    } else {
      scoring = try ScoringMethodology(document: document, try JSONReader.read(document).value)
    }
    return StoredMethodology(
      scoring: scoring, status: StoredMethodology.Status(rawValue: try row.next(String.self))!,
      foldingVersion: try row.next(Int?.self), isComplete: try row.next(Bool.self),
      recordedAt: Instant(try row.next(Timestamp.self)), recordedBy: try row.next(String.self),
      changedAt: Instant(try row.next(Timestamp.self)), changedBy: try row.next(String.self),
      evidenceFrom: try row.next(Timestamp?.self).map(Instant.init))
  }
}
