import Postgres
import RiskModel

/// The decision that a result does not count.
struct Voiding: Sendable, Equatable {
  let at: Instant
  let by: String
  let reason: String
}

/// The statements that void results.
///
/// A cell cannot forget one result: it is folded anew from the results that are left. Its row is locked first, so that
/// a batch that is folding into it either has committed, and its results are read, or waits and folds into what comes
/// out. A cell that no result is left of keeps its row, empty: its revision goes on growing, and so no instance can
/// take an older state for a newer one.
struct VoidStore: Sendable {
  let database: Database
  let changes: ChangeLog
  let methodology: Methodology

  /// Which results; all conditions hold together.
  struct Selection: Sendable {
    var result: (provider: Identifier, id: Identifier)?
    var source: Identifier?
    var runID: String?
    /// Both inclusive.
    var receivedFrom, receivedUntil: Instant?
  }

  /// A cell that voided results were folded into.
  struct Place: Sendable {
    let provider: Identifier
    let check, target, model: String
    let source: Identifier
    let count: Int
  }

  /// Voids those selected that are not void yet.
  /// - Parameter isDryRun: only counts them.
  /// - Returns: how many, and the cells as they are now.
  func void(
    _ selection: Selection, _ voiding: Voiding, isDryRun: Bool = false
  ) async throws -> (count: Int, cells: [StoredCell]) {
    try await database.withTransaction { connection in
      let (places, cells) = try await void(selection, voiding, isDryRun: isDryRun, on: connection)
      if !places.isEmpty, !isDryRun {
        try await changes.append(
          providers: Array(Set(places.map(\.provider))).sorted(), at: voiding.at, to: connection)
      }
      return (places.reduce(0) { $0 + $1.count }, cells)
    }
  }

  /// The same within a transaction of the caller, who adds the change as its last statement.
  func void(
    _ selection: Selection, _ voiding: Voiding, isDryRun: Bool = false, on connection: Connection
  ) async throws -> (places: [Place], cells: [StoredCell]) {
    let places = try await record(selection, voiding, isDryRun: isDryRun, on: connection)
    if places.isEmpty || isDryRun { return (places, []) }
    try await lock(places, on: connection)
    return (places, try await rebuild(places, on: connection))
  }

  private func record(
    _ selection: Selection, _ voiding: Voiding, isDryRun: Bool, on connection: Connection
  ) async throws -> [Place] {
    try await connection.query(
      Self.recording(selection, voiding, isDryRun: isDryRun)
    ) { row in
      Place(
        provider: try row.next(Identifier.self), check: try row.next(String.self), target: try row.next(String.self),
        model: try row.next(String.self), source: try row.next(Identifier.self), count: try row.next(Int.self))
    }
  }

  /// The results that are selected and not void yet.
  static func selecting(_ selection: Selection) -> Query {
    """
    select r.provider_id, r.id, r.check_id, r.target, r.model, r.source_id from result r
    where \(selection.condition)
      and not exists (select from void v where v.provider_id = r.provider_id and v.result_id = r.id)
    """
  }

  private static func recording(_ selection: Selection, _ voiding: Voiding, isDryRun: Bool) -> Query {
    """
    with selected as materialized (\(selecting(selection))),
    voided as (
      insert into void (provider_id, result_id, recorded_at, recorded_by, reason)
      select provider_id, id, \(voiding.at.timestamp), \(voiding.by), \(voiding.reason) from selected
      where not \(isDryRun) order by provider_id, id
      on conflict (provider_id, result_id) do nothing
      returning provider_id, result_id
    )
    select provider_id, check_id, target, model, source_id, count(*) from selected
    where \(isDryRun) or (provider_id, id) in (select provider_id, result_id from voided)
    group by provider_id, check_id, target, model, source_id
    """
  }

  /// In the order of the keys, which batches of results follow as well, so that neither waits for the other in turn.
  private func lock(_ places: [Place], on connection: Connection) async throws {
    try await connection.execute(
      """
      select from evidence_cell cell join unnest(
        \(places.map(\.provider)), \(places.map(\.check)), \(places.map(\.target)),
        \(places.map(\.model)), \(places.map(\.source))) as place (provider_id, check_id, target, model, source_id)
        using (provider_id, check_id, target, model, source_id)
      where cell.methodology = \(methodology.id)
      order by cell.provider_id, cell.check_id, cell.target, cell.model, cell.source_id
      for update of cell
      """)
  }

  /// A statement of its own, so that it sees what was committed while the locks were awaited.
  private func rebuild(_ places: [Place], on connection: Connection) async throws -> [StoredCell] {
    try await connection.query(rebuilding(places), StoredCell.decode)
  }

  func rebuilding(_ places: [Place]) -> Query {
    // A pass of a sample counts as much as the probe is sensitive; a state's pass is kept as it was sent.
    let samples = methodology.checks.filter { $0.kind == .sample }
    return """
      with place as materialized (select * from unnest(
        \(places.map(\.provider)), \(places.map(\.check)), \(places.map(\.target)),
        \(places.map(\.model)), \(places.map(\.source))) as place (provider_id, check_id, target, model, source_id)),
      weighed as (
        select r.provider_id, r.check_id, r.target, r.model, r.source_id, r.counted_at,
          max(r.counted_at) over (partition by r.provider_id, r.check_id, r.target, r.model, r.source_id) as newest,
          case r.outcome when 'fail' then r.confidence else 0 end as fail_weight,
          case r.outcome when 'pass' then r.confidence * coalesce(sample.sensitivity, 1) else 0 end as pass_weight
        from place join result r using (provider_id, check_id, target, model, source_id)
        left join unnest(\(samples.map(\.id)), \(samples.map(\.sensitivity))) as sample (check_id, sensitivity)
          on sample.check_id = r.check_id
        where r.outcome in ('pass', 'fail')
          and not exists (select from void v where v.provider_id = r.provider_id and v.result_id = r.id)
      ),
      cell as (
        select c.* from evidence_cell c join place using (provider_id, check_id, target, model, source_id)
        where c.methodology = \(methodology.id)
      ),
      folded as (
        select provider_id, check_id, target, model, source_id, w.newest,
          case when c.fail_half_life_days is null
            then (array_agg(w.fail_weight order by w.counted_at desc, w.fail_weight desc, w.pass_weight desc))[1]
            else sum(decayed(w.fail_weight, w.newest - w.counted_at, c.fail_half_life_days)) end as fail_weight,
          case when c.fail_half_life_days is null
            then (array_agg(w.pass_weight order by w.counted_at desc, w.fail_weight desc, w.pass_weight desc))[1]
            else sum(decayed(w.pass_weight, w.newest - w.counted_at, c.pass_half_life_days)) end as pass_weight
        from weighed w join cell c using (provider_id, check_id, target, model, source_id)
        group by provider_id, check_id, target, model, source_id, w.newest, c.fail_half_life_days,
          c.pass_half_life_days
      ),
      rebuilt as (
        select provider_id, check_id, target, model, source_id, coalesce(newest, to_timestamp(0)) as newest,
          coalesce(fail_weight, 0) as fail_weight, coalesce(pass_weight, 0) as pass_weight
        from place left join folded using (provider_id, check_id, target, model, source_id)
      )
      update evidence_cell c set newest = n.newest, fail_weight = n.fail_weight, pass_weight = n.pass_weight,
        revision = c.revision + 1
      from rebuilt n
      where c.methodology = \(methodology.id) and c.provider_id = n.provider_id and c.check_id = n.check_id
        and c.target = n.target and c.model = n.model and c.source_id = n.source_id
      returning c.provider_id, c.check_id, c.target, c.model, c.source_id, c.newest, c.fail_weight, c.pass_weight,
        c.revision
      """
  }
}

extension VoidStore.Selection {
  /// What holds for the rows `r` of `result` that are selected; only what is asked for, so that each has its own plan.
  fileprivate var condition: Query {
    var condition: Query = "true"
    if let result { condition = "r.provider_id = \(result.provider) and r.id = \(result.id)" }
    if let source {
      // Nothing is received from a source before it is registered, but for the difference of two instances' clocks.
      let earliest = Instant(milliseconds: Int64(source.high >> 16)) + -ProbeResultDecoder.clockSkewMillisecondsMax
      condition = "\(condition) and r.source_id = \(source) and r.id >= \(Identifier(leastAt: earliest))"
    }
    if let runID { condition = "\(condition) and r.run_id = \(runID)" }
    if let receivedFrom {
      // Ids begin with the time of receipt or, when the clock was set back, a later one: old partitions are left out.
      condition = """
        \(condition) and r.received_at >= \(receivedFrom.timestamp) and r.id >= \(Identifier(leastAt: receivedFrom))
        """
    }
    if let receivedUntil { condition = "\(condition) and r.received_at <= \(receivedUntil.timestamp)" }
    return condition
  }
}
