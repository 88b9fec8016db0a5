import Postgres
import RiskModel

/// The statements that fold cells anew from the stored results, and from what is carried on of those that were dropped.
///
/// A row is locked first, and made where there is none: so a batch that is folding into it either has committed, and
/// its results are read, or waits and folds into what comes out. A cell that no result is left of keeps its row, empty:
/// its revision goes on growing, and so no instance can take an older state for a newer one.
struct CellFolding: Sendable {
  let methodology: Methodology

  /// Where a cell is.
  struct Place: Sendable {
    let provider: Identifier
    let check, target, model: String
    let source: Identifier

    /// Reads `provider_id, check_id, target, model, source_id`.
    @Sendable static func decode(_ row: inout Row) throws -> Place {
      Place(
        provider: try row.next(Identifier.self), check: try row.next(String.self), target: try row.next(String.self),
        model: try row.next(String.self), source: try row.next(Identifier.self))
    }
  }

  /// Folds the cells at these places anew, within the caller's transaction, which keeps results from being dropped.
  /// Places of checks that the methodology does not know are left out.
  /// - Returns: the cells as they are now.
  func fold(_ places: [Place], on connection: Connection) async throws -> [StoredCell] {
    if places.isEmpty { return [] }
    try await lock(places, on: connection)
    return try await rebuild(places, on: connection)
  }

  /// In the order of the keys, which batches of results follow as well, so that neither waits for the other in turn.
  private func lock(_ places: [Place], on connection: Connection) async throws {
    let checks = methodology.checks
    let halfLives = checks.map { HalfLives($0, methodology.concerns[$0.concern]) }
    try await connection.execute(
      """
      insert into evidence_cell as cell (provider_id, methodology, check_id, target, model, source_id, newest,
        fail_weight, pass_weight, fail_half_life_days, pass_half_life_days, revision)
      select provider_id, \(methodology.id), check_id, target, model, source_id, to_timestamp(0), 0, 0,
        fail_half_life_days, pass_half_life_days, 1
      from unnest(\(places.map(\.provider)), \(places.map(\.check)), \(places.map(\.target)),
        \(places.map(\.model)), \(places.map(\.source))) as place (provider_id, check_id, target, model, source_id)
      join unnest(\(checks.map(\.id)), \(halfLives.map(\.failDays)), \(halfLives.map(\.passDays)))
        as known (check_id, fail_half_life_days, pass_half_life_days) using (check_id)
      order by provider_id, check_id collate "C", target collate "C", model collate "C", source_id
      on conflict (provider_id, methodology, check_id, target, model, source_id)
        do update set revision = cell.revision + 1
      """)
  }

  /// A statement of its own, so that it sees what was committed while the locks were awaited.
  private func rebuild(_ places: [Place], on connection: Connection) async throws -> [StoredCell] {
    try await connection.query(rebuilding(places), StoredCell.decode)
  }

  /// The two weights of a group of results of one cell, each with its `fail_weight` and `pass_weight` at `counted_at`;
  /// grouped by the `newest` of these times and by the half-lives, which are null for a check of kind `state`.
  static let foldedWeights = """
    case when fail_half_life_days is null
      then (array_agg(fail_weight order by counted_at desc, fail_weight desc, pass_weight desc))[1]
      else sum(decayed(fail_weight, newest - counted_at, fail_half_life_days)) end as fail_weight,
    case when fail_half_life_days is null
      then (array_agg(pass_weight order by counted_at desc, fail_weight desc, pass_weight desc))[1]
      else sum(decayed(pass_weight, newest - counted_at, pass_half_life_days)) end as pass_weight
    """

  func rebuilding(_ places: [Place]) -> Query {
    // A pass of a sample counts as much as the probe is sensitive; a state's pass is kept as it was sent.
    let known = methodology.checks
    let halfLives = known.map { HalfLives($0, methodology.concerns[$0.concern]) }
    return """
      with place as materialized (select * from unnest(
        \(places.map(\.provider)), \(places.map(\.check)), \(places.map(\.target)),
        \(places.map(\.model)), \(places.map(\.source))) as place (provider_id, check_id, target, model, source_id)),
      counted as (
        select r.provider_id, r.check_id, r.target, r.model, r.source_id, r.counted_at,
          case r.outcome when 'fail' then r.confidence else 0 end as fail_weight,
          case r.outcome when 'pass' then r.confidence * known.sensitivity else 0 end as pass_weight
        from result r
        join unnest(\(known.map(\.id)), \(known.map { $0.kind == .sample ? $0.sensitivity : 1 }))
          as known (check_id, sensitivity) on known.check_id = r.check_id
        where r.provider_id = any(\(Array(Set(places.map(\.provider)))))
          -- Asked of a hash, since it is not the whole condition: a join may go through all results for each place.
          and ((r.provider_id, r.check_id, r.target, r.model, r.source_id)
            in (select provider_id, check_id, target, model, source_id from place)) is true
          and r.outcome in ('pass', 'fail')
          and not exists (select from void v where v.provider_id = r.provider_id and v.result_id = r.id)
        union all
        select provider_id, check_id, target, model, source_id, c.newest, c.fail_weight, c.pass_weight
        from place join carried_cell c using (provider_id, check_id, target, model, source_id)
        where c.methodology = \(methodology.id) and c.voided_at = 'infinity'
      ),
      weighed as (
        select *, max(counted_at) over (partition by provider_id, check_id, target, model, source_id) as newest
        from counted
      ),
      folded as (
        select provider_id, check_id, target, model, source_id, newest, \(unsafeRaw: Self.foldedWeights)
        from weighed join unnest(\(known.map(\.id)), \(halfLives.map(\.failDays)), \(halfLives.map(\.passDays)))
          as known (check_id, fail_half_life_days, pass_half_life_days) using (check_id)
        group by provider_id, check_id, target, model, source_id, newest, fail_half_life_days, pass_half_life_days
      ),
      -- A place without any is empty. Added up and not joined, for the same reason.
      rebuilt as (
        select provider_id, check_id, target, model, source_id, max(newest) as newest, sum(fail_weight) as fail_weight,
          sum(pass_weight) as pass_weight
        from (
          select provider_id, check_id, target, model, source_id, newest, fail_weight, pass_weight from folded
          union all
          select provider_id, check_id, target, model, source_id, to_timestamp(0), 0, 0 from place
        ) as all_of_them
        group by provider_id, check_id, target, model, source_id
      )
      update evidence_cell c set newest = n.newest, fail_weight = n.fail_weight, pass_weight = n.pass_weight,
        revision = c.revision + 1
      from rebuilt n
      where c.methodology = \(methodology.id) and c.provider_id = n.provider_id and c.check_id = n.check_id
        and c.target = n.target and c.model = n.model and c.source_id = n.source_id
      returning c.provider_id, c.methodology, c.check_id, c.target, c.model, c.source_id, c.newest, c.fail_weight,
        c.pass_weight, c.revision
      """
  }
}

/// Gives a methodology the cells of every stored result, and of those that were dropped since it was added.
struct CellBackfill: Sendable {
  let database: Database

  /// Folds provider by provider, each in a transaction of its own. Results that come meanwhile are folded under the
  /// methodology too, by whoever takes them in.
  /// - Precondition: the change that made it a methodology to fold under is committed.
  func run(_ methodology: Methodology) async throws {
    let folding = CellFolding(methodology: methodology)
    let providers = EvidenceProviders(database: database)
    var last = EvidenceProviders.first
    while let provider = try await providers.next(after: last) {
      try await database.withTransaction { connection in
        try await RetentionStore.keepResults(on: connection)
        let places = try await connection.query(
          """
          select provider_id, check_id, target, model, source_id from result
          where provider_id = \(provider) and outcome in ('pass', 'fail')
          union
          select provider_id, check_id, target, model, source_id from carried_cell
          where provider_id = \(provider) and methodology = \(methodology.id)
          union
          select provider_id, check_id, target, model, source_id from evidence_cell
          where provider_id = \(provider) and methodology = \(methodology.id)
          """, CellFolding.Place.decode)
        _ = try await folding.fold(places, on: connection)
      }
      last = provider
    }
  }
}

/// The providers that are registered, have a cell, had one carried on or have a result, one after the other.
struct EvidenceProviders: Sendable {
  let database: Database

  /// Before any.
  static let first = Identifier(high: 0, low: 0)

  func next(after last: Identifier) async throws -> Identifier? {
    try await database.query(
      """
      select least((select id from provider where id > \(last) order by id limit 1),
        (select provider_id from evidence_cell where provider_id > \(last) order by provider_id limit 1),
        (select provider_id from carried_cell where provider_id > \(last) order by provider_id limit 1),
        (select provider_id from result where provider_id > \(last) order by provider_id limit 1))
      """
    ) { try $0.next(Identifier?.self) }[0]
  }
}
