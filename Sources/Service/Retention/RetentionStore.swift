import Postgres
import RiskModel

/// A month of results.
struct ResultMonth: Sendable {
  /// `2026-01`.
  let name: String
  let until: Instant
  /// The partition of `result`, and that of `result_evidence`.
  let results, bodies: String
}

/// The statements that drop old results and carry on what they contributed to scores.
///
/// Why nothing moves: a cell of `evidence_cell` is the fold of all that counts, and is left as it is. Whoever folds
/// from the stored results starts from `carried_cell`. Of a dropped result id, time of receipt and the time that it
/// counts from are all before the horizon (`counted_at` is the earlier of observation and receipt, and the id is never
/// earlier than the receipt). So for each instant at or after the horizon, as the instant of evaluation and as the one
/// up to which things are known, a dropped result was there already, and its cell alone says what it contributes.
struct RetentionStore: Sendable {
  let database: Database
  let methodologies: MethodologyStore
  let changes: ChangeLog

  // MARK: - Against each other

  /// Any number that no other program uses as an advisory lock in the same database; these are the bytes "rrretain".
  private static let lockKey: Int64 = 0x7272_7265_7461_696E

  /// Until the end of the transaction no results are dropped. For whoever voids or folds anew, before the first other
  /// lock, so that neither waits for the other in turn.
  static func keepResults(on connection: Connection) async throws {
    try await connection.execute("select pg_advisory_xact_lock_shared(\(lockKey))")
  }

  /// For a transaction that reads results and carried cells in several statements of one snapshot: the first of them.
  /// A dropped table is gone for every snapshot, while rows of another are still seen as they were.
  static func keepResultsForSnapshot(on connection: Connection) async throws {
    try await connection.execute("lock table only result in access share mode")
  }

  // MARK: - Dropping

  /// The months whose every result was received `months` before `now` or earlier, the oldest first.
  func expired(_ months: Int, at now: Instant) async throws -> [ResultMonth] {
    try await database.query(
      """
      select to_char(first at time zone 'UTC', 'YYYY-MM'), until, min(name) filter (where parent = 'result'),
        min(name) filter (where parent = 'result_evidence')
      from result_partition
      where until <= (\(now.timestamp) at time zone 'UTC' - make_interval(months => \(Int32(months))))
        at time zone 'UTC'
      group by first, until order by first
      """
    ) { row in
      ResultMonth(
        name: try row.next(String.self), until: Instant(try row.next(Timestamp.self)),
        results: try row.next(String.self), bodies: try row.next(String.self))
    }
  }

  func count(of month: ResultMonth) async throws -> Int {
    try await database.withConnection { connection in
      try await connection.setStatementTimeout(milliseconds: 0)
      return try await Self.count(of: month, on: connection)
    }
  }

  private static func count(of month: ResultMonth, on connection: Connection) async throws -> Int {
    try await connection.query("select count(*) from \(unsafeRaw: month.results)") { try $0.next(Int.self) }[0]
  }

  /// Carries on what a month's results contribute, drops them and moves the horizon, all or nothing.
  /// - Precondition: no earlier month is left.
  /// - Returns: how many results there were; nil when someone else dropped them meanwhile.
  func drop(_ month: ResultMonth, at now: Instant) async throws -> Int? {
    try await database.withTransaction { connection in
      try await connection.setStatementTimeout(milliseconds: 0)
      try await connection.execute("select pg_advisory_xact_lock(\(Self.lockKey))")
      let isThere = try await connection.query("select to_regclass(\(month.results)) is not null") {
        try $0.next(Bool.self)
      }[0]
      guard isThere else { return nil }
      let count = try await Self.count(of: month, on: connection)
      for methodology in try await methodologies.load(on: connection).all.map(\.scoring.methodology) {
        try await connection.execute(Self.carrying(month, under: methodology))
      }
      try await dropTables(of: month, on: connection)
      // What follows waits for rows and not for tables: nobody waits behind it.
      try await connection.execute("set local lock_timeout to default")
      let firstDay = month.until.milliseconds / 86_400_000
      try await connection.execute("delete from evidence_key where day between 0 and \(Int(firstDay) - 1)")
      try await connection.execute("update retention set horizon = greatest(horizon, \(month.until.timestamp))")
      try await connection.execute("delete from carried_cell where voided_at <= \(month.until.timestamp)")
      try await AuditLog.append(
        [try AuditChange(dropping: month, count: count)], by: .command, at: now, to: connection)
      try await changes.append(horizon: true, at: now, to: connection)
      return count
    }
  }

  // MARK: - Identities

  /// As long as repeats are recognised at least.
  static let identityMilliseconds: Int64 = 400 * 86_400_000
  private static let identitiesRemovedMax = 10_000

  /// Removes the identities of results that were dropped and are too old to be repeated, or only counts them.
  func removeOldIdentities(at now: Instant, isDryRun: Bool) async throws -> Int {
    let horizons = try await database.query("select horizon from retention where horizon is not null") {
      Instant(try $0.next(Timestamp.self))
    }
    guard let horizon = horizons.first else { return 0 }
    let bound = Identifier(leastAt: min(horizon, now + -Self.identityMilliseconds))
    return try await database.withConnection { connection in
      try await connection.setStatementTimeout(milliseconds: 0)
      if isDryRun {
        return try await connection.query("select count(*) from result_identity where result_id < \(bound)") {
          try $0.next(Int.self)
        }[0]
      }
      var count = 0
      while true {
        // Few at a time: a repetition that comes meanwhile waits for the end of the statement.
        let removed = try await connection.execute(
          """
          delete from result_identity where ctid = any(array(
            select ctid from result_identity where result_id < \(bound) limit \(Self.identitiesRemovedMax)))
          """)
        count += removed
        if removed < Self.identitiesRemovedMax { return count }
      }
    }
  }

  // MARK: - The lock on the tables

  /// Waiting for the lock makes everybody else wait behind it, so each attempt is short.
  private static let lockMilliseconds = 500
  private static let attemptsMax = 120
  private static let pauseMilliseconds = 500

  private func dropTables(of month: ResultMonth, on connection: Connection) async throws {
    try await connection.execute("set local lock_timeout = \(unsafeRaw: String(Self.lockMilliseconds))")
    for _ in 1..<Self.attemptsMax {
      do {
        try await connection.execute("savepoint undropped")
        return try await dropTablesAtOnce(of: month, on: connection)
      } catch PostgresError.server(let error) where error.code == "55P03" {
        try await connection.execute("rollback to savepoint undropped")
        try await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
      }
    }
    try await dropTablesAtOnce(of: month, on: connection)
  }

  private func dropTablesAtOnce(of month: ResultMonth, on connection: Connection) async throws {
    try await connection.execute("lock table only result, only result_evidence in access exclusive mode")
    try await connection.execute("drop table \(unsafeRaw: month.results), \(unsafeRaw: month.bodies)")
  }

  /// Merges the month's results into the carried cells of a methodology: both are weights at a time, and are folded
  /// alike. What was voided after the horizon counts until it was; what was voided before does not count at any
  /// instant that can be asked for.
  private static func carrying(_ month: ResultMonth, under methodology: Methodology) -> Query {
    let known = methodology.checks
    let halfLives = known.map { HalfLives($0, methodology.concerns[$0.concern]) }
    return """
      with known as materialized (
        select * from unnest(\(known.map(\.id)), \(known.map { $0.kind == .sample ? $0.sensitivity : 1 }),
          \(halfLives.map(\.failDays)), \(halfLives.map(\.passDays)))
          as known (check_id, sensitivity, fail_half_life_days, pass_half_life_days)
      ),
      contributed as materialized (
        select r.provider_id, r.check_id, r.target, r.model, r.source_id,
          coalesce(v.recorded_at, 'infinity') as voided_at, r.counted_at,
          case r.outcome when 'fail' then r.confidence else 0 end as fail_weight,
          case r.outcome when 'pass' then r.confidence * known.sensitivity else 0 end as pass_weight
        from \(unsafeRaw: month.results) r join known using (check_id)
          left join void v on v.provider_id = r.provider_id and v.result_id = r.id
        where r.outcome in ('pass', 'fail') and (v.recorded_at is null or v.recorded_at > \(month.until.timestamp))
      ),
      merged as (
        delete from carried_cell c using (
          select distinct provider_id, check_id, target, model, source_id, voided_at from contributed) as place
        where c.methodology = \(methodology.id) and c.provider_id = place.provider_id
          and c.check_id = place.check_id and c.target = place.target and c.model = place.model
          and c.source_id = place.source_id and c.voided_at = place.voided_at
        returning c.*
      ),
      weighed as (
        select *, max(counted_at)
          over (partition by provider_id, check_id, target, model, source_id, voided_at) as newest
        from (
          select * from contributed
          union all
          select provider_id, check_id, target, model, source_id, voided_at, newest, fail_weight, pass_weight
          from merged
        ) as each
      )
      insert into carried_cell (provider_id, methodology, check_id, target, model, source_id, voided_at, newest,
        fail_weight, pass_weight)
      select provider_id, \(methodology.id), check_id, target, model, source_id, voided_at, newest,
        \(unsafeRaw: CellFolding.foldedWeights)
      from weighed join known using (check_id)
      group by provider_id, check_id, target, model, source_id, voided_at, newest, fail_half_life_days,
        pass_half_life_days
      """
  }
}
