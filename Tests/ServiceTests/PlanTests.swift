import Foundation
import HTTPServer
import TestHarness
import Testing

@testable import Postgres
@testable import Service

/// How PostgreSQL means to run the statements of lists and voids on a database with many rows: the very statements that
/// the stores issue.
@Suite(.serialized) struct PlanTests {
  /// A plan as EXPLAIN words it, one node a line.
  private struct Plan {
    let lines: [String]
    /// Tables with more rows than anybody would read for one answer.
    let large: Set<String>

    /// Tables of more than a few pages that are read from end to end.
    var scannedWhole: [String] {
      large.filter { table in
        lines.contains { $0.contains("Seq Scan on \(table) ") || $0.hasSuffix("Seq Scan on \(table)") }
      }.sorted()
    }
    var sorts: Bool { lines.contains { $0.contains("Sort  (") } }
    /// The partitions of `result` in it.
    var partitions: Set<Substring> {
      Set(lines.flatMap { $0.split(separator: " ") }.filter { $0.wholeMatch(of: /result_\d{4}_\d\d/) != nil })
    }
    var text: String { lines.joined(separator: "\n") }
  }

  private struct Seeded {
    let instance: TestInstance
    let connection: Connection
    let large: Set<String>

    init(instance: TestInstance, connection: Connection, large: Set<String>) {
      (self.instance, self.connection, self.large) = (instance, connection, large)
    }

    /// The same with another table that is large.
    init(_ seeded: Seeded, large table: String) {
      self.init(
        instance: seeded.instance, connection: seeded.connection, large: seeded.large.union([table]))
    }

    /// With the values known, as the first executions of a statement are planned.
    func plan(_ query: Query) async throws -> Plan {
      Plan(lines: try await connection.query("explain \(query)") { try $0.next(String.self) }, large: large)
    }

    /// For any values, as PostgreSQL may plan a statement that it has seen often.
    func planForAny(_ query: Query) async throws -> Plan {
      let types = query.bindings.parameters.map { "(\($0.type)::oid::regtype)" }
      let names = try await connection.query(
        "select \(unsafeRaw: types.map { "\($0)::text" }.joined(separator: " || ',' || "))"
      ) {
        try $0.next(String.self)
      }[0]
      try await connection.execute("prepare planned (\(unsafeRaw: names)) as \(unsafeRaw: query.sql)")
      var literals = Query.StringInterpolation(literalCapacity: 0, interpolationCount: 0)
      let places = (1...query.bindings.count).map { "quote_nullable($\($0))" }.joined(separator: ", ")
      literals.sql = "select array_to_string(array[\(places)], ', ')"
      literals.bindings = query.bindings
      let values = try await connection.query(Query(stringInterpolation: literals)) { try $0.next(String.self) }[0]
      let lines = try await connection.query("explain execute planned (\(unsafeRaw: values))") {
        try $0.next(String.self)
      }
      try await connection.execute("deallocate planned")
      return Plan(lines: lines, large: large)
    }

    /// Neither reads a table whole nor sorts, whatever the values.
    func expectBounded(_ name: String, _ query: Query) async throws {
      for plan in [try await plan(query), try await planForAny(query)] {
        #expect(plan.scannedWhole == [], "\(name):\n\(plan.text)")
        #expect(!plan.sorts, "\(name):\n\(plan.text)")
      }
    }
  }

  private static let withoutPartitions = """
    do $$ declare name text; begin
      for name in select inhrelid::regclass::text from pg_inherits
        where inhparent in ('result'::regclass, 'result_evidence'::regclass)
      loop execute 'drop table ' || name; end loop;
    end $$
    """

  private func withSeeds(_ body: @Sendable (Seeded) async throws -> Void) async throws {
    let script = try String(
      contentsOf: URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Benchmarks/seed.sql"), encoding: .utf8)
    try await withInstance { instance in
      try await instance.database.withConnection { connection in
        try await connection.setStatementTimeout(milliseconds: 0)
        for (name, value) in [("providers", "1000"), ("results", "80000"), ("months", "3")] {
          try await connection.execute("select set_config(\("seed." + name), \(value), false)")
        }
        // A service has the months of its results and three to come; the tests' template has many that are empty.
        try await connection.executeScript(Self.withoutPartitions)
        try await connection.executeScript(script)
        let large = try await connection.query(
          "select relname::text from pg_class where relkind = 'r' and relpages > 100"
        ) {
          try $0.next(String.self)
        }
        #expect(large.contains("result_identity") && large.contains("waiver"))
        try await instance.service.feed.load(evidence: false)
        try await connection.execute("set plan_cache_mode = force_generic_plan")
        try await body(Seeded(instance: instance, connection: connection, large: Set(large)))
      }
    }
  }

  private static let auditEntries = """
    insert into audit_entry (sequence, recorded_at, actor_key, actor_name, action, object_kind, object_id,
      previous_hash, hash)
    select n, date_trunc('second', now()) - (100000 - n) * interval '1 minute',
      ('0190a000-0000-7000-8000-' || lpad((n % 500)::text, 12, '0'))::uuid, 'seed',
      case when n % 1000 = 0 then 'key.create' else 'provider.update' end,
      case when n % 1000 = 0 then 'key' else 'provider' end, 'object-' || n % 5000, sha256('x'), sha256('y')
    from generate_series(1000, 100000) n;
    vacuum analyze audit_entry;
    """

  private func auditLists(_ seeded: Seeded) async throws {
    for statement in Self.auditEntries.split(separator: ";").dropLast() {
      try await seeded.connection.executeScript(String(statement))
    }
    let (since, until) = (Instant(rfc3339: "2025-01-01T00:00:00Z")!, seeded.instance.service.parts.clock.now())
    var filters: [String: AuditLog.Filter] = ["all": .init()]
    filters["actor"] = .init(actor: Identifier(parsing: "0190a000-0000-7000-8000-000000000007"))
    filters["action"] = .init(action: .keyCreate)
    filters["kind"] = .init(objectKind: .key)
    filters["object"] = .init(objectKind: .provider, objectID: "object-7")
    filters["times"] = .init(since: since, until: until)
    filters["actor and times"] = .init(actor: filters["actor"]!.actor, since: since, until: until)
    for (name, filter) in filters {
      var next = filter
      next.before = 50_000
      for filter in [filter, next] {
        try await seeded.expectBounded("audit log by \(name)", AuditLog.pageQuery(filter, count: 51))
      }
    }
  }

  @Test func plansStayBoundedHoweverMuchIsStored() async throws {
    try await withSeeds { seeded in
      try await lists(seeded)
      try await auditLists(Seeded(seeded, large: "audit_entry"))
      try await resultLists(seeded)
      try await voids(seeded)
    }
  }

  private func lists(_ seeded: Seeded) async throws {
    let connection = seeded.connection
    let provider = try await connection.query("select id from provider where slug = 'relay-1'") {
      try $0.next(Identifier.self)
    }[0]
    let middle = try await connection.query(
      "select id from waiver where provider_id = \(provider) order by id offset 2000 limit 1"
    ) { try $0.next(Identifier.self) }[0]
    let source = try await connection.query("select id from source where slug = 'lab-1'") {
      try $0.next(Identifier.self)
    }[0]
    try await connection.execute(
      """
      insert into signing_key (id, source_id, name, public_key, created_at)
      select gen_random_uuid(), \(source), 'seed', sha256(key::text::bytea), now() from generate_series(1, 5000) key
      """)
    try await connection.execute("analyze signing_key")
    for id in [nil, middle] {
      for (name, query) in [
        ("keys", KeyStore.pageQuery(after: id, count: 51)),
        ("advisories", AdvisoryStore.pageQuery(after: id, count: 51)),
        ("waivers", DecisionStore.waiverPageQuery(of: provider, after: id, count: 51)),
        ("incidents", DecisionStore.incidentPageQuery(of: provider, after: id, count: 51)),
        ("signing keys", SigningKeyStore.pageQuery(of: source, after: id, count: 51)),
        ("sources", SourceStore.pageQuery(after: id == nil ? nil : try Slug("lab-500"), count: 51)),
        ("models", ModelStore.pageQuery(after: id == nil ? "" : "model-2500", count: 51)),
      ] {
        try await seeded.expectBounded(name, query)
      }
    }
  }

  private func resultLists(_ seeded: Seeded) async throws {
    let connection = seeded.connection
    let provider = try await connection.query("select id from provider where slug = 'relay-1'") {
      try $0.next(Identifier.self)
    }[0]
    let ids = try await connection.query("select id from result where provider_id = \(provider) order by id") {
      try $0.next(Identifier.self)
    }
    let cursor = "cursor=" + Cursor(text: ids[ids.count / 2].description).encoded
    for query in ["", cursor, "voided=false", "check=encryption.legacy-tls-protocol&" + cursor] {
      try await seeded.expectBounded("results \(query)", try filter(query, provider, seeded))
    }
    // What was received before the bound is not even looked for.
    let late = Instant(milliseconds: Int64(ids[ids.count - 1].high >> 16)).rfc3339
    for name in ["since", "received_since"] {
      let recent = try await seeded.plan(try filter("\(name)=\(late)", provider, seeded))
      let oldest = try await seeded.plan(ResultStore.query(ids[0])).partitions
      #expect(recent.partitions.isDisjoint(with: oldest), "\(recent.text)")
    }
    // Nor what comes after the cursor.
    let first = "cursor=" + Cursor(text: ids[1].description).encoded
    let last = try await seeded.plan(ResultStore.query(ids[ids.count - 1])).partitions
    #expect(try await seeded.plan(try filter(first, provider, seeded)).partitions.isDisjoint(with: last))
    let one = try await seeded.plan(ResultStore.query(ids[0]))
    #expect(one.scannedWhole == [], "\(one.text)")
    #expect(one.partitions.count == 1, "\(one.text)")
  }

  private func filter(_ text: String, _ provider: Identifier, _ seeded: Seeded) throws -> Query {
    let items = text.split(separator: "&").map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
    let parameters = try Parameters(items.map { QueryItem(name: $0[0], value: $0[1]) }, known: items.map { $0[0] })
    return try ResultFilter(parameters, of: provider, ownSource: nil, parts: seeded.instance.service.parts).query
  }

  private func voids(_ seeded: Seeded) async throws {
    let connection = seeded.connection
    let (provider, id, received) = try await connection.query(
      "select provider_id, id, received_at from result order by id offset 26000 limit 1"
    ) { (try $0.next(Identifier.self), try $0.next(Identifier.self), Instant(try $0.next(Timestamp.self))) }[0]
    let source = try await connection.query("select id from source where slug = 'lab-1000'") {
      try $0.next(Identifier.self)
    }[0]
    var selections: [String: ResultSelection] = [:]
    for name in ["one", "range", "run", "source"] { selections[name] = ResultSelection() }
    selections["one"]!.result = (provider, id)
    selections["range"]!.receivedFrom = received
    selections["range"]!.receivedUntil = received + 3_600_000
    selections["run"]!.runID = "run-150"
    selections["source"]!.source = source
    for (name, selection) in selections {
      let plan = try await seeded.plan(VoidStore.selecting(selection))
      #expect(plan.scannedWhole.filter { $0.hasPrefix("result") } == [], "\(name):\n\(plan.text)")
    }
    let place = CellFolding.Place(
      provider: provider, check: "encryption.legacy-tls-protocol", target: "t", model: "", source: source)
    let folding = CellFolding(methodology: seeded.instance.service.parts.methodologies.active.methodology)
    let rebuilding = try await seeded.plan(folding.rebuilding([place]))
    #expect(rebuilding.scannedWhole.filter { $0 != "void" } == [], "rebuilding:\n\(rebuilding.text)")
  }
}
