import Foundation
import Postgres
import TestHarness
import Testing

@testable import Service

/// The role that serves: that it may do what it has to, and nothing beyond. `RouteRuleTests` and this suite's first
/// test make all of the service's writes with it.
@Suite(.serialized) struct ServingRoleTests {
  @Test func allKindsOfChangesAreMadeWithIt() async throws {
    try await withServingRole { instance in
      try await registerRelay(with: instance.client)
      for step in AuditedWork(client: instance.client).steps {
        let (answer, expected) = try await step.make()
        #expect(200..<300 ~= answer.status, "\(step.name): \(answer.text.prefix(300))")
        let entries = try await instance.auditEntries().suffix(expected.count)
        #expect(entries.map { $0["action"].string } == expected.map(\.action), "\(step.name)")
      }
      let client = instance.client
      // What the service writes by itself, for repetitions, and of a past score.
      try await eventually {
        try await !client.get("/v1/providers/acme/score/events").json["items"].array.isEmpty
      }
      for status in [201, 201, 422] {
        let slug = status == 201 ? "e" : "f"
        let answer = try await client.post(
          "/v1/sources", #"{"slug":"\#(slug)","name":"E"}"#, headers: ["Idempotency-Key": "k"])
        #expect(answer.status == status)
      }
      let lines = try await client.send(
        "POST", "/v1/probe-results", headers: ["Content-Type": "application/x-ndjson"],
        body: try JSONSerialization.data(withJSONObject: Posting.result(["source": "lab", "external_id": "line"])))
      #expect(lines.json["accepted"].integer == 1, "\(lines.text)")
      let past = (Service.Clock.system.now() + -86_400_000).rfc3339
      #expect(try await client.get("/v1/providers/acme/score?as_of=\(past)").status == 200)
      #expect(try await VerificationTests.verify(instance).0.results > 0)
      #expect(try await instance.auditFaults() == [])
    }
  }

  @Test func everyTableIsAmongItsRights() async throws {
    try await withInstance { instance in
      let tables = try await instance.database.query(
        """
        select relname::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition
        """
      ) { try $0.next(String.self) }
      let known = ServingRole.rights.map(\.table)
      #expect(Set(tables).symmetricDifference(known) == [], "correct ServingRole.rights")
      #expect(Set(known).count == known.count)
      for table in ["result", "result_evidence", "result_identity", "void", "audit_entry"] {
        let rights = try #require(ServingRole.rights.first { $0.table == table })
        #expect(Set(rights.actions) == ["select", "insert"] && rights.columns == [], "\(table)")
      }
    }
  }

  @Test func whatIsNotAmongItsRightsIsRefused() async throws {
    try await withServingRole { instance in
      var statements = [
        "create table x (y int)", "create function x() returns int language sql as 'select 1'", "drop table void",
        "alter table result add column x int", "alter table audit_entry disable trigger all",
        "drop trigger append_only on audit_entry", "create index on result (note)", "drop function decayed",
        "alter table result detach partition result_2026_01", "drop table result_2026_01",
        "delete from result_2026_01", "update result_2026_01 set note = ''", "truncate result_2026_01",
        "insert into result_2026_01 default values", "lock table result in share mode",
        "alter table result owner to current_user",
        "select make_result_partitions(now(), now() + interval '10 years')", "create role x",
        "alter role current_user superuser", "copy result to program 'true'", "copy result from '/etc/hostname'",
      ]
      for rights in ServingRole.rights where rights.table != "result_partition" {
        let columns = try await instance.database.query(
          "select attname::text from pg_attribute where attrelid = (\(rights.table)::text)::regclass and attnum > 0"
        ) { try $0.next(String.self) }
        if !rights.actions.contains("update") {
          statements += columns.filter { !rights.columns.contains($0) }
            .map { "update \(rights.table) set \($0) = \($0)" }
        }
        if !rights.actions.contains("delete") { statements.append("delete from \(rights.table)") }
        if !rights.actions.contains("insert") { statements.append("insert into \(rights.table) default values") }
        statements.append("truncate \(rights.table)")
      }
      for statement in statements {
        do {
          try await instance.database.withConnection { connection in
            try await connection.execute("begin")
            try await connection.execute(Query(stringLiteral: statement))
          }
          Issue.record("was not refused: \(statement)")
        } catch PostgresError.server(let error) {
          #expect(error.code == "42501", "\(statement): \(error)")
        }
      }
    }
  }

  @Test func onlyARoleThatIsBoundByItIsTaken() async throws {
    try await withInstance { instance in
      let database = instance.database
      let name = "\"Serving \(UUID().uuidString)\""
      let role = String(name.dropFirst().dropLast())
      func refusal() async -> String? {
        do {
          try await ServingRole.grant(to: role, in: database)
          return nil
        } catch {
          return "\(error)"
        }
      }
      #expect(await refusal()?.contains("there is no role") == true)
      try await database.execute("create role \(unsafeRaw: name) superuser")
      #expect(await refusal()?.contains("delete result") == true)
      try await database.execute("alter role \(unsafeRaw: name) nosuperuser")
      for given in ["delete on result", "truncate on void"] {
        try await database.execute("grant \(unsafeRaw: given) to \(unsafeRaw: name)")
      }
      #expect(await refusal() == nil)
      for (table, right) in [("result", "delete"), ("void", "truncate")] {
        let has = try await database.query("select has_table_privilege(\(role), \(table), \(right))") {
          try $0.next(Bool.self)
        }
        #expect(has == [false], "\(table)")
      }
      let owner = try await database.query("select quote_ident(current_user)") { try $0.next(String.self) }[0]
      for (given, taken, what) in [
        ("grant update on audit_entry to public", "revoke update on audit_entry from public", "update audit_entry"),
        ("grant create on schema public to public", "revoke create on schema public from public", "create tables"),
        ("grant \(owner) to \(name)", "revoke \(owner) from \(name)", "delete result"),
        ("grant update on result_2026_01 to \(name)", "", "update result_2026_01"),
      ] {
        try await database.execute(Query(stringLiteral: given))
        #expect(await refusal()?.contains(what) == true, "\(given)")
        if !taken.isEmpty { try await database.execute(Query(stringLiteral: taken)) }
      }
      try await database.execute("drop owned by \(unsafeRaw: name)")
      try await database.execute("drop role \(unsafeRaw: name)")
    }
  }

  @Test func whatItLacksIsNamed() async throws {
    let owned = try await withInstance { try await ServingRole.lacking(in: $0.database) }
    #expect(owned == [])
    try await withServingRole { instance in
      #expect(try await ServingRole.lacking(in: instance.database) == [])
      try await TestPostgres.shared.value.onDatabase(instance.databaseName) { owner in
        let role = try await instance.database.query("select current_user::text") { try $0.next(String.self) }[0]
        for right in ["insert on audit_entry", "update (hash) on audit_head"] {
          try await owner.execute("revoke \(unsafeRaw: right) from \(unsafeRaw: role)")
        }
        try await owner.execute(
          "revoke execute on function \(unsafeRaw: ServingRole.functions[0]) from \(unsafeRaw: role)")
      }
      let lacking = try await ServingRole.lacking(in: instance.database)
      #expect(Set(lacking) == ["insert audit_entry", "update audit_head (hash)", "execute erase_evidence"])
    }
  }
}

/// Runs `body` with an instance whose connections have the rights of the serving role, on a database of its own.
func withServingRole(_ body: @Sendable (TestInstance) async throws -> Void) async throws {
  let name = try await TestPostgres.shared.value.makeDatabase()
  let role = "serve_\(name)"
  try await TestPostgres.shared.value.onDatabase(name) { owner in
    try await owner.execute("create role \(unsafeRaw: role)")
    try await ServingRole.grant(to: role, in: owner)
  }
  var configuration = try await TestPostgres.shared.value.configuration(name)
  configuration.overrides.append(("options", "-c role=\(role)"))
  let instance = try await TestInstance.start(on: configuration)
  let result: Result<Void, any Error>
  do { result = .success(try await body(instance)) } catch { result = .failure(error) }
  await instance.stop()
  try result.get()
}

extension TestInstance {
  fileprivate var databaseName: String { configuration.overrides.first { $0.keyword == "dbname" }!.value }
}
