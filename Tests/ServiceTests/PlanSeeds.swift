import EventLoop
import Foundation
import Postgres
import TestHarness

@testable import Service

/// A PostgreSQL of its own with a million results, whose log holds the plan of each statement that the service runs.
enum PlanSeeds {
  /// Of statements as they are planned at first, with their values, or as they are planned for any.
  enum Planning: String, CaseIterable { case custom, generic }

  /// What there is in the seeded database.
  struct Contents: Sendable {
    /// An index by the name that it has in a plan.
    struct Index: Sendable {
      /// Of the partitioned index that it is a part of, or its own.
      let parent: String
      /// Of a table that people fill, and no scanner.
      let isSmall: Bool
    }
    let indexes: [String: Index]
    /// Tables with more pages than anybody would read for one answer.
    let large: Set<String>
    /// Of results.
    let monthsCount: Int
  }

  /// What the benchmarks' seed leaves out.
  private static let more = """
    insert into void (provider_id, result_id, recorded_at, recorded_by, reason)
    select provider_id, id, now(), 'seed', 'made up' from result where id::text like '%7'
    on conflict do nothing;
    insert into erasure (provider_id, result_id, recorded_at, recorded_by, reason)
    select provider_id, id, now(), 'seed', 'made up' from result where id::text like '%3';
    insert into dispute (provider_id, id, result_id, source_id, check_id, counted_at, reason, recorded_at, recorded_by,
      status, decided_at, decided_by, note)
    select provider_id, gen_random_uuid(), id, source_id, check_id, counted_at, 'made up', received_at, 'seed',
      case when n % 20 = 0 then 'open' else 'rejected' end, case when n % 20 = 0 then null else received_at end,
      case when n % 20 = 0 then null else 'seed' end, case when n % 20 = 0 then null else 'made up' end
    from (select *, row_number() over () as n from result where id::text like '%5') as disputed;
    insert into published_score (provider_id, version, provider_version, methodology_hash, newest, body)
    select id, row_number() over (order by id), version, 'x', now(), repeat('x', 1900) from provider;
    insert into score_event (provider_id, methodology, version, methodology_hash, at, recorded_at, cause,
      after_provisional_score, after_verdict)
    select provider_id, 'rm-1', version + 1000000 * n, 'x', now() - (60 - n) * interval '1 day',
      now() - (60 - n) * interval '1 day', 'time', 1, 'unknown'
    from published_score, generate_series(1, 50) n;
    update score_head set version = (select max(version) from score_event);
    insert into change (version, recorded_at, instance, providers, access)
    select n, now() - (300000 - n) * interval '10 seconds', gen_random_uuid(), array[gen_random_uuid()], false
    from generate_series(1, 300000) n;
    update change_head set version = 300000;
    insert into idempotency_key (api_key_id, identity, request_digest, claim, claimed_at, lease_until)
    select gen_random_uuid(), sha256(n::text::bytea), sha256(n::text::bytea), gen_random_uuid(),
      now() - n * interval '3 seconds', now() from generate_series(1, 30000) n;
    insert into evidence_cell (provider_id, methodology, check_id, target, model, source_id, newest, fail_weight,
      pass_weight, revision)
    select provider_id, methodology, check_id, 'host-' || n || '.example', model, source_id, newest, fail_weight,
      pass_weight, revision
    from evidence_cell, generate_series(1, 30) n;
    insert into carried_cell (provider_id, methodology, check_id, target, model, source_id, voided_at, newest,
      fail_weight, pass_weight)
    select provider_id, methodology, check_id, target, model, source_id,
      case when random() < 0.001 then now() else 'infinity' end, newest - interval '1 year', fail_weight, pass_weight
    from evidence_cell;
    """

  /// - Parameter body: gets a service on the seeded database, for either way of planning.
  /// - Returns: every plan, and what there is.
  static func plans(
    _ body: @Sendable (TestInstance) async throws -> Void
  ) async throws -> (plans: [RecordedPlan], contents: Contents) {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    let cluster = PrivateCluster(dataDirectory: directory, logger: quietLogger)
    let connectionString = try await cluster.start()
    let contents: Contents
    do {
      contents = try await seed(DatabaseConfiguration(connectionString: connectionString))
      for planning in Planning.allCases {
        let settings = [
          "session_preload_libraries=auto_explain", "auto_explain.log_min_duration=0", "auto_explain.log_format=json",
          "auto_explain.log_nested_statements=on", "plan_cache_mode=force_\(planning)_plan", "jit=off",
        ]
        let instance = try await TestInstance.start(
          on: DatabaseConfiguration(
            connectionString: connectionString,
            overrides: [("options", settings.map { "-c \($0)" }.joined(separator: " "))],
            statementTimeoutMilliseconds: 120_000))
        let result: Result<Void, any Error>
        do { result = .success(try await body(instance)) } catch { result = .failure(error) }
        await instance.stop()
        try result.get()
      }
    } catch {
      try await cluster.stop()
      throw error
    }
    try await cluster.stop()
    return (try RecordedPlan.all(inLogAt: directory + "/postgres.log"), contents)
  }

  private static func seed(_ configuration: DatabaseConfiguration) async throws -> Contents {
    let loop = EventLoop(name: "seeding")
    loop.start()
    defer { loop.stop() }
    let database = Database(configuration, loop: loop, logger: quietLogger)
    try await Migrator(migrations: RiskService.migrations).migrate(database)
    let benchmark = try String(
      contentsOf: URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Benchmarks/seed.sql"), encoding: .utf8)
    let contents = try await database.withConnection { connection in
      try await connection.setStatementTimeout(milliseconds: 0)
      for (name, value) in [("providers", "300"), ("results", "1000000"), ("months", "6")] {
        try await connection.execute("select set_config(\("seed." + name), \(value), false)")
      }
      try await connection.executeScript(benchmark)
      try await connection.executeScript(more)
      try await connection.executeScript("vacuum analyze")
      return try await Self.contents(on: connection)
    }
    await database.close()
    return contents
  }

  private static let growing = [
    "result", "result_evidence", "result_identity", "evidence_cell", "carried_cell", "void", "erasure", "dispute",
    "score_event",
    "published_score", "change", "idempotency_key", "waiver", "incident",
  ]

  /// They have few rows that are not one provider's, and are read by provider; a plan may read them whole.
  private static let filledByPeople = ["waiver", "incident", "provider", "provider_host", "api_key", "source"]

  private static func contents(on connection: Connection) async throws -> Contents {
    let indexes = try await connection.query(
      """
      select c.relname::text, coalesce(p.relname, c.relname)::text,
        not coalesce(tp.relname, t.relname)::text = any(\(growing))
      from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
      left join pg_inherits h on h.inhrelid = c.oid left join pg_class p on p.oid = h.inhparent
      left join pg_inherits th on th.inhrelid = t.oid left join pg_class tp on tp.oid = th.inhparent
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'i'
      """
    ) { row in
      let name = try row.next(String.self)
      return (name, Contents.Index(parent: try row.next(String.self), isSmall: try row.next(Bool.self)))
    }
    let large = try await connection.query(
      """
      select relname::text from pg_class
      where relkind = 'r' and relpages > 100 and relnamespace = 'public'::regnamespace
        and relname <> all(\(filledByPeople))
      """
    ) { try $0.next(String.self) }
    let months = try await connection.query("select count(*) from result_partition where parent = 'result'") {
      try $0.next(Int.self)
    }[0]
    return Contents(indexes: Dictionary(uniqueKeysWithValues: indexes), large: Set(large), monthsCount: months)
  }
}
