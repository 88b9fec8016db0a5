import Postgres
import RiskModel

/// A row that the statement which stores results returns.
enum IngestedRow: Sendable {
  case fresh(Identifier)
  case folded(StoredCell)
  case changed(version: Int)

  @Sendable static func decode(_ row: inout Row) throws -> IngestedRow {
    if let id = try row.next(Identifier?.self) { return .fresh(id) }
    if let version = try row.next(Int?.self) { return .changed(version: version) }
    return .folded(try StoredCell.decode(&row))
  }
}

/// The one statement that stores a batch of results.
enum Ingestion {
  /// What it is made to fail with when the set of methodologies has changed: SQL has no expression that raises an error
  /// of one's own.
  static let divisionByZero = "22012"

  /// To make a plan takes longer than to store a few results, and no number of results asks for another one.
  static let settings = [(name: "plan_cache_mode", value: "force_generic_plan")]

  /// It claims identities, inserts what is new, folds it, records the change and returns what came of it. Rows are
  /// claimed and folded in the order of their keys, so that two batches cannot wait for each other (results have ids of
  /// their own); the row that orders
  /// commits comes last, when nothing else is left to do.
  ///
  /// There is no join in it, because the plan is made once and serves one result as well as thousands: whether a result
  /// was claimed is asked of a hash, which `in` within a larger condition is, and weights come with their result.
  /// - Parameter recording: defines `head`, which has the version of the change.
  static func statement(
    for candidates: [ResultStore.Candidate], under set: FoldingSet, _ recording: Query
  ) -> Query {
    let results = candidates.map { $0.stored.result }
    let weights = set.methodologies.map { scoring in
      candidates.map { Weights($0.stored, scoring.methodology) }
    }
    let isAnySigned = results.contains { $0.signature != nil }
    let signature = isAnySigned ? signatureColumns : ""
    let further = columns(set).joined() + signature
    return """
      with sent as materialized (
        select provider_id, identity, digest, id, source_id, check_id collate "C", outcome, target collate "C",
          model collate "C", observed_at, counted_at, received_at, confidence, external_id, run_id, vantage_country,
          vantage_asn, scanner_name, scanner_version, note, evidence\(unsafeRaw: further)
        from unnest(
          \(results.map { $0.provider }), \(candidates.map { $0.identity.identity }),
          \(candidates.map { $0.identity.digest }), \(candidates.map { $0.stored.id }), \(results.map { $0.source }),
          \(results.map { $0.checkID }), \(results.map { $0.outcome.rawValue }),
          \(results.map { $0.target.address }), \(results.map { $0.target.model ?? "" }),
          \(results.map { $0.observedAt.timestamp }), \(candidates.map { $0.stored.countedAt.timestamp }),
          \(candidates.map { $0.stored.receivedAt.timestamp }), \(results.map { $0.confidence }),
          \(results.map { $0.externalID }), \(results.map { $0.runID }), \(results.map { $0.vantage?.country }),
          \(results.map { $0.vantage?.asn }), \(results.map { $0.scanner?.name }),
          \(results.map { $0.scanner?.version }), \(results.map { $0.note }),
          \(candidates.map { $0.evidence })\(arrays(weights))\(isAnySigned ? signatures(results) : "")
        ) as t (provider_id, identity, digest, id, source_id, check_id, outcome, target, model, observed_at,
          counted_at, received_at, confidence, external_id, run_id, vantage_country, vantage_asn, scanner_name,
          scanner_version, note, evidence\(unsafeRaw: further))
      ),
      claimed as (
        insert into result_identity (provider_id, identity, result_id, digest)
        select provider_id, identity, id, digest from sent order by provider_id, identity
        on conflict (provider_id, identity) do nothing
        returning result_id
      ),
      fresh as materialized (select * from sent where (id in (select result_id from claimed)) is true),
      stored as (
        insert into result (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at,
          received_at, confidence, external_id, run_id, vantage_country, vantage_asn, scanner_name, scanner_version,
          note\(unsafeRaw: signature))
        select provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at, received_at,
          confidence, external_id, run_id, vantage_country, vantage_asn, scanner_name, scanner_version,
          note\(unsafeRaw: signature)
        from fresh
        returning 1
      ),
      bodies as (
        insert into result_evidence (provider_id, id, body)
        select provider_id, id, evidence from fresh where evidence is not null
        returning 1
      ),
      weighed as (
        select provider_id, fold.methodology collate "C" as methodology, check_id, target, model, source_id,
          counted_at, fold.fail_weight, fold.pass_weight, fold.fail_half_life_days, fold.pass_half_life_days
        from fresh cross join lateral (values \(values(set)))
          as fold (methodology, fail_weight, pass_weight, fail_half_life_days, pass_half_life_days)
        where fold.fail_weight is not null
      ),
      folded as (\(unsafeRaw: fold)),
      \(recording)
      select result_id, null::bigint, null::uuid, null, null, null, null, null::uuid, null::timestamptz, null::float8,
        null::float8, null::bigint
      from claimed
      union all
      select null, null, \(unsafeRaw: StoredCell.columns) from folded
      union all
      select null, version, null, null, null, null, null, null, null, null, null, null from head
      """
  }

  // MARK: - Signatures

  /// What signed results have beside the others. A batch without one has a statement without them, which costs nothing.
  private static let signatureColumns = ", signing_key_id, signature, signed"

  private static func signatures(_ results: [ProbeResult]) -> Query {
    """
    , \(results.map { $0.signature?.keyID }), \(results.map { $0.signature?.value }),
    \(results.map { $0.signature?.signed })
    """
  }

  // MARK: - Weights

  /// What a result adds to its cell under one methodology; nothing when its outcome moves nothing, or the methodology
  /// does not know its check.
  private struct Weights {
    let cell: EvidenceCell?
    let halfLives: HalfLives?

    init(_ stored: StoredResult, _ methodology: Methodology) {
      let result = stored.result
      guard let index = methodology.checkIndex(result.checkID) else {
        (cell, halfLives) = (nil, nil)
        return
      }
      let check = methodology.checks[index]
      let concern = methodology.concerns[check.concern]
      cell = EvidenceCell(
        outcome: result.outcome, observedAt: stored.countedAt, confidence: result.confidence, check: check,
        concern: concern)
      halfLives = HalfLives(check, concern)
    }
  }

  private static func columns(_ set: FoldingSet) -> [String] {
    set.methodologies.indices.map { ", fail_\($0), pass_\($0), fail_half_life_\($0), pass_half_life_\($0)" }
  }

  private static func arrays(_ weights: [[Weights]]) -> Query {
    var arrays: Query = ""
    for weights in weights {
      arrays = """
        \(arrays), \(weights.map { $0.cell?.failWeight }), \(weights.map { $0.cell?.passWeight }),
        \(weights.map { $0.halfLives?.failDays }), \(weights.map { $0.halfLives?.passDays })
        """
    }
    return arrays
  }

  private static func values(_ set: FoldingSet) -> Query {
    var values: Query = ""
    for (index, scoring) in set.methodologies.enumerated() {
      values = """
        \(values)\(unsafeRaw: index > 0 ? ", " : "")(\(scoring.id), fail_\(unsafeRaw: String(index)),
        pass_\(unsafeRaw: String(index)), fail_half_life_\(unsafeRaw: String(index)),
        pass_half_life_\(unsafeRaw: String(index)))
        """
    }
    return values
  }

  // MARK: - The fold

  /// The fold of the batch's own results, cell by cell, merged with the cells that exist: section 2 of rm-1, as
  /// `EvidenceCell.merged` does it. Without half-lives the newest result stands alone, a fail before a pass, and each
  /// is either.
  private static let fold = """
    insert into evidence_cell as cell (provider_id, methodology, check_id, target, model, source_id, newest,
      fail_weight, pass_weight, fail_half_life_days, pass_half_life_days, revision)
    select provider_id, methodology, check_id, target, model, source_id, min(newest),
      case when min(fail_half_life_days) is null then max(fail_weight) filter (where counted_at = newest)
        else sum(decayed(fail_weight, newest - counted_at, fail_half_life_days)) end,
      case when min(pass_half_life_days) is not null
          then sum(decayed(pass_weight, newest - counted_at, pass_half_life_days))
        when max(fail_weight) filter (where counted_at = newest) > 0 then 0
        else max(pass_weight) filter (where counted_at = newest) end,
      min(fail_half_life_days), min(pass_half_life_days), 1
    from (
      select *, max(counted_at) over
        (partition by methodology, provider_id, check_id, target, model, source_id) as newest
      from weighed
    ) as aged
    group by methodology, provider_id, check_id, target, model, source_id
    order by methodology, provider_id, check_id, target, model, source_id
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
}
