import JSON
import Postgres
import RiskModel

/// The statements on results, their identities and the cells they are folded into.
struct ResultStore: Sendable {
  let database: Database
  let methodology: Methodology

  /// One result of a batch, ready to be stored.
  struct Candidate: Sendable {
    let stored: StoredResult
    let identity: ResultIdentity
  }

  /// What stands under an identity.
  struct Holder: Sendable {
    let id: Identifier
    let digest: [UInt8]
  }

  struct Outcome: Sendable {
    /// The ids of the candidates that were new; they are stored now.
    let fresh: Set<Identifier>
    /// For candidates that were not new: what was stored under their identity before.
    let holders: [IdentityKey: Holder]
    /// The cells as they are after the batch.
    let cells: [StoredCell]
  }

  struct IdentityKey: Hashable, Sendable {
    let provider: Identifier
    let identity: [UInt8]
  }

  /// Stores what is new and folds it into the cells, within the caller's transaction.
  /// - Precondition: no two candidates have the same identity.
  func store(
    _ candidates: [Candidate], foldingUnder set: FoldingSet, on connection: Connection
  ) async throws -> Outcome {
    var fresh: Set<Identifier> = []
    var cells: [StoredCell] = []
    for row in try await connection.query(ingestion(of: candidates, under: set.methodologies), Self.decodeIngested) {
      switch row {
      case .fresh(let id): fresh.insert(id)
      case .folded(let cell): cells.append(cell)
      }
    }
    let known = candidates.filter { !fresh.contains($0.stored.id) }
    let holders = known.isEmpty ? [:] : try await holders(of: known, on: connection)
    return Outcome(fresh: fresh, holders: holders, cells: cells)
  }

  /// A statement of its own, because its snapshot must see what another transaction committed while the first waited.
  private func holders(
    of candidates: [Candidate], on connection: Connection
  ) async throws -> [IdentityKey: Holder] {
    let rows = try await connection.query(
      """
      select i.provider_id, i.identity, i.result_id, i.digest
      from unnest(\(candidates.map(\.stored.result.provider)), \(candidates.map(\.identity.identity)))
        as sent (provider_id, identity)
      join result_identity i using (provider_id, identity)
      """
    ) { row in
      (
        IdentityKey(provider: try row.next(Identifier.self), identity: try row.next([UInt8].self)),
        Holder(id: try row.next(Identifier.self), digest: try row.next([UInt8].self))
      )
    }
    return Dictionary(rows) { first, _ in first }
  }

  // MARK: - The ingesting statement

  private enum Ingested: Sendable {
    case fresh(Identifier)
    case folded(StoredCell)
  }

  @Sendable private static func decodeIngested(_ row: inout Row) throws -> Ingested {
    if let id = try row.next(Identifier?.self) { return .fresh(id) }
    return .folded(try StoredCell.decode(&row))
  }

  /// One statement for the whole batch: it claims identities, inserts what is new, folds it and returns both.
  /// Rows are claimed and folded in the order of their keys, so that two batches cannot wait for each other.
  private func ingestion(of candidates: [Candidate], under methodologies: [ScoringMethodology]) -> Query {
    let results = candidates.map(\.stored.result)
    let folds = methodologies.flatMap { scoring in candidates.compactMap { Fold($0.stored, scoring.methodology) } }
    return """
      with sent as materialized (
        select * from unnest(
          \(results.map(\.provider)), \(candidates.map(\.identity.identity)), \(candidates.map(\.identity.digest)),
          \(candidates.map(\.stored.id)), \(results.map(\.source)), \(results.map(\.checkID)),
          \(results.map(\.outcome.rawValue)), \(results.map(\.target.address)),
          \(results.map { $0.target.model ?? "" }),
          \(results.map(\.observedAt.timestamp)), \(candidates.map(\.stored.countedAt.timestamp)),
          \(candidates.map(\.stored.receivedAt.timestamp)), \(results.map(\.confidence)),
          \(results.map(\.externalID)), \(results.map(\.runID)), \(results.map { $0.vantage?.country }),
          \(results.map { $0.vantage?.asn }), \(results.map { $0.scanner?.name }),
          \(results.map { $0.scanner?.version }), \(results.map(\.note)), \(results.map(Self.evidenceBytes))
        ) as t (provider_id, identity, digest, id, source_id, check_id, outcome, target, model, observed_at,
          counted_at, received_at, confidence, external_id, run_id, vantage_country, vantage_asn, scanner_name,
          scanner_version, note, evidence)
      ),
      claimed as (
        insert into result_identity (provider_id, identity, result_id, digest)
        select provider_id, identity, id, digest from sent order by provider_id, identity
        on conflict (provider_id, identity) do nothing
        returning result_id
      ),
      fresh as materialized (select sent.* from sent join claimed on claimed.result_id = sent.id),
      stored as (
        insert into result (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at,
          received_at, confidence, external_id, run_id, vantage_country, vantage_asn, scanner_name, scanner_version,
          note)
        select provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at, received_at,
          confidence, external_id, run_id, vantage_country, vantage_asn, scanner_name, scanner_version, note
        from fresh order by provider_id, id
      ),
      bodies as (
        insert into result_evidence (provider_id, id, body)
        select provider_id, id, evidence from fresh where evidence is not null order by provider_id, id
      ),
      weighed as (
        select fresh.provider_id, fold.methodology, fresh.check_id, fresh.target, fresh.model, fresh.source_id,
          fresh.counted_at, fail_weight, pass_weight, fail_half_life_days, pass_half_life_days
        from unnest(\(folds.map(\.result)), \(folds.map(\.methodology)), \(folds.map(\.cell.failWeight)),
          \(folds.map(\.cell.passWeight)), \(folds.map(\.halfLives.failDays)), \(folds.map(\.halfLives.passDays)))
          as fold (id, methodology, fail_weight, pass_weight, fail_half_life_days, pass_half_life_days)
        join fresh on fresh.id = fold.id
      ),
      folded as (\(unsafeRaw: Self.fold))
      select result_id, null::uuid, null, null, null, null, null::uuid, null::timestamptz, null::float8, null::float8,
        null::bigint
      from claimed
      union all
      select null, \(unsafeRaw: StoredCell.columns) from folded
      """
  }

  /// The fold of the batch's own results, cell by cell, merged with the cells that exist: section 2 of rm-1, as
  /// `EvidenceCell.merged` does it.
  private static let fold = """
    insert into evidence_cell as cell (provider_id, methodology, check_id, target, model, source_id, newest,
      fail_weight, pass_weight, fail_half_life_days, pass_half_life_days, revision)
    select provider_id, methodology, check_id, target, model, source_id, newest,
      case when fail_half_life_days is null
        then (array_agg(fail_weight order by counted_at desc, fail_weight desc, pass_weight desc))[1]
        else sum(decayed(fail_weight, newest - counted_at, fail_half_life_days)) end,
      case when fail_half_life_days is null
        then (array_agg(pass_weight order by counted_at desc, fail_weight desc, pass_weight desc))[1]
        else sum(decayed(pass_weight, newest - counted_at, pass_half_life_days)) end,
      fail_half_life_days, pass_half_life_days, 1
    from (
      select *, max(counted_at) over
        (partition by methodology, provider_id, check_id, target, model, source_id) as newest
      from weighed
    ) as aged
    group by provider_id, methodology, check_id, target, model, source_id, newest, fail_half_life_days,
      pass_half_life_days
    order by methodology collate "C", provider_id, check_id collate "C", target collate "C", model collate "C",
      source_id
    on conflict (provider_id, methodology, check_id, target, model, source_id) do update set
      newest = greatest(cell.newest, excluded.newest),
      fail_weight = case
        when excluded.fail_half_life_days is not null
          then decayed(cell.fail_weight, greatest(excluded.newest - cell.newest, interval '0'),
                 excluded.fail_half_life_days)
             + decayed(excluded.fail_weight, greatest(cell.newest - excluded.newest, interval '0'),
                 excluded.fail_half_life_days)
        when (excluded.newest, excluded.fail_weight, excluded.pass_weight)
           > (cell.newest, cell.fail_weight, cell.pass_weight) then excluded.fail_weight
        else cell.fail_weight end,
      pass_weight = case
        when excluded.pass_half_life_days is not null
          then decayed(cell.pass_weight, greatest(excluded.newest - cell.newest, interval '0'),
                 excluded.pass_half_life_days)
             + decayed(excluded.pass_weight, greatest(cell.newest - excluded.newest, interval '0'),
                 excluded.pass_half_life_days)
        when (excluded.newest, excluded.fail_weight, excluded.pass_weight)
           > (cell.newest, cell.fail_weight, cell.pass_weight) then excluded.pass_weight
        else cell.pass_weight end,
      revision = cell.revision + 1
    returning cell.*
    """

  private static func evidenceBytes(_ result: ProbeResult) -> [UInt8]? {
    result.evidence.map { evidence in
      var json = JSONWriter()
      json.value(evidence)
      return json.bytes
    }
  }

  // MARK: - Reading

  /// The cells of these providers, or of all, under these methodologies.
  func cells(of providers: [Identifier]?, under methodologies: [String]) async throws -> [StoredCell] {
    try await database.query(
      """
      select \(unsafeRaw: StoredCell.columns) from evidence_cell
      where methodology = any(\(methodologies))
        and \(Query(columnOf: "provider_id", isAnyOf: providers))
      """, StoredCell.decode)
  }
}

/// What a result adds to its cell under one methodology.
private struct Fold {
  let result: Identifier
  let methodology: String
  let cell: EvidenceCell
  let halfLives: HalfLives

  /// Nil when its outcome moves nothing, or the methodology does not know its check.
  init?(_ stored: StoredResult, _ methodology: Methodology) {
    let result = stored.result
    guard let index = methodology.checkIndex(result.checkID) else { return nil }
    let check = methodology.checks[index]
    let concern = methodology.concerns[check.concern]
    guard
      let cell = EvidenceCell(
        outcome: result.outcome, observedAt: stored.countedAt, confidence: result.confidence, check: check,
        concern: concern)
    else { return nil }
    self.result = stored.id
    self.methodology = methodology.id
    self.cell = cell
    halfLives = HalfLives(check, concern)
  }
}
