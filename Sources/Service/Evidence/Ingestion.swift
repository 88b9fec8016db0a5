import Postgres
import RiskModel

/// The statements that store a batch of results. A batch is taken to be all new at first and goes in one round trip,
/// which comes to nothing when one result is not. Then it takes two, in one transaction: the first claims identities,
/// the second stores what proved to be new, folds it and records the change.
///
/// Each takes its rows as arrays and is as simple as can be: one large statement for all of it costs a third more, for
/// it copies every row from step to step. Rows are claimed and folded in the order of their keys, so that two batches
/// cannot wait for each other (results have ids of their own); the row that orders commits comes last, when nothing
/// else is left to do. There is no join in any, so that their plans serve one result as well as thousands.
enum Ingestion {
  /// Claims identities. Returns the ids of the results that are new.
  static func claiming(_ candidates: [ResultStore.Candidate]) -> Query {
    """
    \(claimingAll(candidates)) on conflict (provider_id, identity) do nothing
    returning result_id
    """
  }

  /// Claims identities that are taken to be new: fails with a unique violation when one is not. Without a conflict to
  /// look for first, PostgreSQL searches the index once and not twice; to fail costs little in the first statement.
  static func claimingAll(_ candidates: [ResultStore.Candidate]) -> Query {
    let ordered = candidates.sorted {
      ($0.stored.result.provider, $0.identity.identity) < ($1.stored.result.provider, $1.identity.identity)
    }
    return """
      insert into result_identity (provider_id, identity, result_id, digest)
      select provider_id, identity, result_id, digest from unnest(
        \(ordered.map { $0.stored.result.provider }), \(ordered.map { $0.identity.identity }),
        \(ordered.map { $0.stored.id }), \(ordered.map { $0.identity.digest })
      ) as sent (provider_id, identity, result_id, digest)
      """
  }

  /// Inserts results and what of them is kept beside: their evidence.
  static func inserting(_ candidates: [ResultStore.Candidate]) -> [Query] {
    let results = candidates.map { $0.stored.result }
    let (columns, arrays) = further(results)
    let rows: Query = """
      insert into result (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at,
        received_at, confidence, external_id\(unsafeRaw: columns))
      select provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at, received_at,
        confidence, external_id\(unsafeRaw: columns)
      from unnest(
        \(results.map { $0.provider }), \(candidates.map { $0.stored.id }), \(results.map { $0.source }),
        \(results.map { $0.checkID }), \(results.map { $0.outcome.rawValue }), \(results.map { $0.target.address }),
        \(results.map { $0.target.model ?? "" }), \(results.map { $0.observedAt.timestamp }),
        \(candidates.map { $0.stored.countedAt.timestamp }), \(candidates.map { $0.stored.receivedAt.timestamp }),
        \(results.map { $0.confidence }), \(results.map { $0.externalID })\(arrays)
      ) as fresh (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at, received_at,
        confidence, external_id\(unsafeRaw: columns))
      """
    let bodies = candidates.filter { $0.evidence != nil }
    if bodies.isEmpty { return [rows] }
    return [
      rows,
      """
      insert into result_evidence (provider_id, id, body)
      select provider_id, id, body from unnest(
        \(bodies.map { $0.stored.result.provider }), \(bodies.map { $0.stored.id }), \(bodies.map { $0.evidence })
      ) as fresh (provider_id, id, body)
      """,
    ]
  }

  /// What not every result has: a batch in which none does has a statement without it.
  private static func further(_ results: [ProbeResult]) -> (columns: String, arrays: Query) {
    var columns = ""
    var arrays: Query = ""
    if results.contains(where: {
      $0.runID != nil || $0.vantage != nil || $0.scanner != nil || $0.note != nil
    }) {
      columns += ", run_id, vantage_country, vantage_asn, scanner_name, scanner_version, note"
      arrays = """
        , \(results.map { $0.runID }), \(results.map { $0.vantage?.country }), \(results.map { $0.vantage?.asn }),
        \(results.map { $0.scanner?.name }), \(results.map { $0.scanner?.version }), \(results.map { $0.note })
        """
    }
    if results.contains(where: { $0.signature != nil }) {
      columns += ", signing_key_id, signature, signed"
      arrays = """
        \(arrays), \(results.map { $0.signature?.keyID }), \(results.map { $0.signature?.value }),
        \(results.map { $0.signature?.signed })
        """
    }
    return (columns, arrays)
  }

  /// Merges the batch's cells with those that exist: section 2 of rm-1, as `EvidenceCell.merged` does it. Without
  /// half-lives the newest result stands alone, a fail before a pass, and each is either. Returns the cells as they are
  /// then, as `StoredCell` decodes them.
  /// - Parameter cells: in the order in which rows are locked.
  static func folding(_ cells: [BatchCell]) -> Query {
    """
    insert into evidence_cell as cell (provider_id, methodology, check_id, target, model, source_id, newest,
      fail_weight, pass_weight, fail_half_life_days, pass_half_life_days, revision)
    select provider_id, methodology, check_id, target, model, source_id, newest, fail_weight, pass_weight,
      fail_half_life_days, pass_half_life_days, 1
    from unnest(
      \(cells.map(\.provider)), \(cells.map(\.methodology)), \(cells.map(\.check)), \(cells.map(\.target.address)),
      \(cells.map { $0.target.model ?? "" }), \(cells.map(\.source)), \(cells.map(\.cell.newest.timestamp)),
      \(cells.map(\.cell.failWeight)), \(cells.map(\.cell.passWeight)), \(cells.map(\.halfLives.failDays)),
      \(cells.map(\.halfLives.passDays))
    ) as fresh (provider_id, methodology, check_id, target, model, source_id, newest, fail_weight, pass_weight,
      fail_half_life_days, pass_half_life_days)
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
    returning \(unsafeRaw: StoredCell.columns)
    """
  }
}
