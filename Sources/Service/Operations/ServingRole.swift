import Postgres

/// The role that serves a database of one's own: it may add results, evidence, voids and audit entries, and neither
/// change nor delete any; it owns nothing. Evidence it takes away through a function of the owner's alone, which leaves
/// in its place that it was, and by whom. The owner migrates and maintains.
///
/// Roles belong to the whole server, and who migrates may not be allowed to make them; so whoever may makes one, and a
/// migration does not. The private cluster has no such role: the process that serves it maintains it, too, and its user
/// owns the very files.
public enum ServingRole {
  /// What may be done to a table.
  struct Rights: Sendable {
    let table: String
    let actions: [String]
    /// That may be updated where `update` is not among the actions.
    let columns: [String]

    init(_ table: String, _ actions: String..., updating columns: [String] = []) {
      (self.table, self.actions, self.columns) = (table, actions, columns)
    }

    fileprivate var text: String {
      (actions + (columns.isEmpty ? [] : ["update (\(columns.joined(separator: ", ")))"])).joined(separator: ", ")
    }
  }

  /// Every table and view, partitions aside. What a table of results needs further is to be granted to it alone.
  static let rights = [
    Rights("provider", "select", "insert", "update"), Rights("provider_host", "select", "insert", "delete"),
    Rights("source", "select", "insert", updating: ["name", "status", "version", "updated_at"]),
    Rights("source_trust", "select", "insert"),
    Rights(
      "api_key", "select", "insert",
      updating: [
        "revoked_at", "requests_per_minute", "results_per_minute", "expires_at", "address_ranges", "last_used_at",
        "successor_id",
      ]),
    Rights("signing_key", "select", "insert", updating: ["revoked_at"]),
    Rights("model", "select", "insert", updating: ["vendor", "name", "origin", "tier", "coding_index"]),
    Rights("advisory", "select", "insert"),
    Rights("result", "select", "insert"), Rights("result_evidence", "select", "insert"),
    Rights("evidence_key", "select", "insert"),
    Rights("result_identity", "select", "insert"), Rights("evidence_cell", "select", "insert", "update"),
    Rights("carried_cell", "select"), Rights("retention", "select"), Rights("result_partition", "select"),
    Rights("void", "select", "insert"), Rights("erasure", "select"),
    Rights("waiver", "select", "insert", updating: ["revoked_at", "revoked_by", "revoked_note"]),
    Rights("incident", "select", "insert", updating: ["closed_at", "closed_by", "closed_note"]),
    Rights("dispute", "select", "insert", updating: ["status", "decided_at", "decided_by", "note"]),
    Rights(
      "methodology", "select", "insert",
      updating: ["status", "folding_version", "is_complete", "changed_at", "changed_by"]),
    Rights("score_head", "select", updating: ["version"]), Rights("published_score", "select", "insert", "update"),
    Rights("score_event", "select", "insert"), Rights("change_head", "select", "update"),
    Rights("change", "select", "insert"), Rights("idempotency_key", "select", "insert", "update", "delete"),
    Rights("audit_head", "select", updating: ["count", "hash", "at"]), Rights("audit_entry", "select", "insert"),
    Rights("installation", "select"), Rights("schema_migration", "select"),
  ]

  /// Functions that do with the rights of the tables' owner what the role may not do by itself. They are nobody else's.
  static let functions = ["erase_evidence(uuid[], uuid[], timestamptz, text, text)"]

  /// Gives a role these rights and takes away any other that was granted to it; as the owner of the tables.
  /// - Throws: `CommandFault` when there is no such role, or it may do more all the same: then nothing is changed.
  public static func grant(to role: String, in database: Database) async throws {
    try await database.withTransaction { connection in
      let names = try await connection.query("select quote_ident(rolname) from pg_roles where rolname = \(role)") {
        try $0.next(String.self)
      }
      guard let name = names.first else {
        throw RiskService.CommandFault(
          description: "there is no role \(role); `create role \(role) login` makes one, by who may make roles")
      }
      for rights in rights {
        try await connection.execute("revoke all on \(unsafeRaw: rights.table) from \(unsafeRaw: name)")
        try await connection.execute(
          "grant \(unsafeRaw: rights.text) on \(unsafeRaw: rights.table) to \(unsafeRaw: name)")
      }
      for function in functions {
        // What is restored from a dump without privileges may be called by everybody.
        try await connection.execute("revoke all on function \(unsafeRaw: function) from public")
        try await connection.execute("grant execute on function \(unsafeRaw: function) to \(unsafeRaw: name)")
      }
      let excess = try await excess(of: role, on: connection)
      guard excess.isEmpty else {
        throw RiskService.CommandFault(
          description: "the role \(role) may \(excess.joined(separator: ", ")) all the same: it must be no superuser, "
            + "neither own the tables nor be a member of their owner, and have no rights that are granted to PUBLIC")
      }
    }
  }

  /// What the current role needs of what there is and does not have, as `insert audit_entry`.
  public static func lacking(in database: Database) async throws -> [String] {
    let needed = rights.flatMap { rights in
      rights.actions.map { (rights.table, $0, String?.none) } + rights.columns.map { (rights.table, "update", $0) }
    }
    return try await database.query(
      """
      select action || ' ' || name || coalesce(' (' || field || ')', '')
      from unnest(\(needed.map(\.0)), \(needed.map(\.1)), \(needed.map(\.2))) as needed (name, action, field)
      where case
        when to_regclass(name) is null then false
        when field is null then not has_table_privilege(name, action)
        when exists (select from pg_attribute where attrelid = to_regclass(name) and attname = field)
          then not has_column_privilege(name, field, action)
        else false end
      union all
      select 'execute ' || split_part(function, '(', 1) from unnest(\(functions)) as function
      where to_regprocedure(function) is not null and not has_function_privilege(to_regprocedure(function), 'execute')
      """
    ) { try $0.next(String.self) }
  }

  /// What the role may do beyond its rights, in whatever way it got there.
  private static func excess(of role: String, on connection: Connection) async throws -> [String] {
    let actions = ["insert", "update", "delete", "truncate"]
    let others = rights.flatMap { rights in
      actions.filter { !rights.actions.contains($0) }.map { (rights.table, $0) }
    }
    return try await connection.query(
      """
      select action || ' ' || name from unnest(\(others.map(\.0)), \(others.map(\.1))) as other (name, action)
      where has_table_privilege(\(role), name, action)
      union all
      select action || ' ' || name from result_partition, unnest(\(actions)) as action
      where has_table_privilege(\(role), format('%I', name), action)
      union all
      select 'create tables' from pg_class
      where oid = 'result'::regclass and has_schema_privilege(\(role), relnamespace, 'create')
      """
    ) { try $0.next(String.self) }
  }
}
