import Foundation
import TestHarness
import Testing

@Suite(.serialized) struct CommandTests {
  @Test func theHelpTeachesAndMistakesAreExplained() async throws {
    let help = try await Program.run(["--help"])
    #expect(help.status == 0)
    for word in [
      "serve", "migrate", "maintain", "keys", "import", "post", "verify", "score", "demo", "database",
      "RELAYRISK_DATA_DIR", "keys create", "--generate-completion-script",
    ] { #expect(help.output.contains(word), "\(word)") }
    #expect(help.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
    let own = "/tmp/relayrisk-test-no-such-directory"
    for (arguments, status, sentence) in [
      (["keys", "create", "--name", "x", "--scope", "everything"], 64, "everything"),
      (["keys", "create", "--scope", "admin"], 64, "RELAYRISK_NAME"),
      (["keys", "create", "--name", "x"], 64, "RELAYRISK_SCOPE"),
      (["keys", "create", "--name", "x", "--scope", "results:write"], 64, "--source"),
      (["keys", "create", "--name", "x", "--scope", "admin", "--requests-per-minute", "0"], 64, "from 1 to"),
      (["keys", "create", "--name", "x", "--scope", "admin", "--expires-in", "soon"], 64, "such as 90d"),
      (["keys", "create", "--name", "x", "--scope", "admin", "--expires-at", "2020-01-01T00:00:00Z"], 64, "ahead"),
      (["keys", "create", "--name", "x", "--scope", "admin", "--address-range", "10.1.2.3/8"], 64, "10.0.0.0/8"),
      (["keys", "rotate", "x", "--overlap", "31d"], 64, "30d"),
      (["serve", "--listen", "nowhere"], 64, "such as 127.0.0.1:8080"),
      (["serve", "--trusted-proxy", "proxy.internal"], 64, "proxy.internal"),
      (["serve", "--oidc-issuer", "https://sign-on.example"], 64, "--oidc-audience"),
      (["serve", "--oidc-role", "scanner=results:write"], 64, "results need a key"),
      (["serve", "--oidc-role", "portal=everything"], 64, "scores:read"),
      (["serve", "--log-format", "xml"], 64, "json or text"),
      (["maintain", "--retention-months", "0"], 64, "1 to 1200 months"),
      (["serve", "--cors-origin", "https://portal.example/"], 64, "https://portal.example/"),
      (["import", "testssl", "/nonexistent", "--provider", "a", "--source", "b"], 1, "/nonexistent"),
      (["import", "testssl", "/nonexistent", "--source", "b"], 64, "RELAYRISK_PROVIDER"),
      (["score", "/nonexistent"], 1, "/nonexistent"),
      (["score", "-"], 1, "the input is not JSON"),
      (["migrate", "--database-url", "host=/nonexistent dbname=x"], 1, "--database-url"),
      (["demo", "--data-dir", "/proc/relayrisk"], 1, "choose another with --data-dir"),
      (["database", "--database-url", "dbname=x", own], 1, "postgresql-client-15"),
      (["nonsense"], 64, "Usage: relayrisk"),
    ] {
      let outcome = try await Program.run(arguments)
      #expect(outcome.status == status, "\(arguments)")
      #expect(outcome.errors.contains(sentence), "\(arguments): \(outcome.errors)")
      #expect(outcome.output.isEmpty, "\(arguments)")
    }
  }

  @Test func pagesOfAConfiguredOriginMayCallAndTracesAreLogged() async throws {
    let service = RunningService()
    let key = try await service.createKey()
    try await service.start(arguments: ["--cors-origin", "https://portal.example"])
    let called = service.client(key: key)
    let read = try await called.get("/v1/concerns", headers: ["Origin": "https://portal.example"])
    #expect(read.headers["access-control-allow-origin"] == "https://portal.example")
    let other = try await called.get("/v1/concerns", headers: ["Origin": "https://other.example"])
    #expect(other.status == 200 && other.headers["access-control-allow-origin"] == nil)
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    _ = try await called.post("/v1/sources", #"{"slug":"lab","name":"L"}"#, headers: ["traceparent": trace])
    _ = try await waitFor("the log line") { service.errors.contains("traceparent=\(trace)") ? true : nil }
    #expect(await service.end(SIGTERM) == 0)
  }

  @Test func bashTakesTheCompletions() async throws {
    for shell in ["bash", "zsh", "fish"] {
      let script = try await Program.run(["--generate-completion-script", shell])
      #expect(script.status == 0)
      for word in ["serve", "demo", "create", "data-dir"] { #expect(script.output.contains(word), "\(shell) \(word)") }
      guard shell == "bash" else { continue }
      let file = TemporaryDirectory.make() + "/completions"
      try script.output.write(toFile: file, atomically: true, encoding: .utf8)
      #expect(Shell.run(["/bin/bash", "-n", file]) == 0)
      ExitCleanup.add((file as NSString).deletingLastPathComponent)
    }
  }

  /// Each flag that a subcommand's help names is given by its twin alone.
  @Test func everyFlagHasATwinInTheEnvironment() async throws {
    let service = RunningService()
    let directory = ["RELAYRISK_DATA_DIR": service.dataDirectory]
    func run(_ arguments: [String], _ twins: [String: String]) async throws -> Program.Outcome {
      try await Program.run(arguments, environment: directory.merging(twins) { $1 })
    }
    let loaded = try await run(["demo"], ["RELAYRISK_LOG_FORMAT": "json"])
    #expect(loaded.errors.hasPrefix("{"))
    try await twinsOfKeyFlags(run)
    let report = Document.top.appendingPathComponent("Tests/ServiceTests/Fixtures/testssl/3.0.8-good-flat.json").path
    let twins = ["RELAYRISK_PROVIDER": "harbor", "RELAYRISK_SOURCE": "demo-lab"]
    #expect(try await run(["import", "testssl", report], twins).output.contains("accepted"))
    #expect(try await run(["migrate"], ["RELAYRISK_CHECK": "true"]).output.isEmpty)
    #expect(try await run(["migrate"], ["RELAYRISK_CHECK": "perhaps"]).errors.contains("true or false"))
    let maintained = try await run(["maintain"], ["RELAYRISK_DRY_RUN": "true", "RELAYRISK_RETENTION_MONTHS": "2"])
    #expect(maintained.output.contains("results: none is older than 2 months by a whole month"), "\(maintained)")
    #expect(maintained.output.contains("changes: 0 would be removed"))
    #expect(try await run(["maintain"], [:]).output.contains("results: all are kept, as no retention is set"))
    #expect(try await run(["maintain"], ["RELAYRISK_DRY_RUN": "1"]).errors.contains("true or false"))
    try await twinsOfServeFlags(run)
    #expect(try await run(["migrate"], ["RELAYRISK_SERVE_ROLE": "nobody-at-all"]).errors.contains("nobody-at-all"))
    let head = try await run(["audit", "head"], [:]).output.trimmingCharacters(in: .newlines)
    #expect(head.wholeMatch(of: /[1-9]\d*:[0-9a-f]{64}/) != nil)
    #expect(try await run(["audit", "verify"], ["RELAYRISK_HEAD": head]).output.hasSuffix("ends at \(head)\n"))
    #expect(try await run(["audit", "verify"], ["RELAYRISK_HEAD": "x"]).errors.contains("COUNT:HASH"))
    #expect(try await run(["migrate"], ["RELAYRISK_DATABASE_URL": "host=/nonexistent"]).errors.contains("/nonexistent"))
    let missing = try await run(["keys", "list"], ["RELAYRISK_MASTER_KEY_FILE": "/nonexistent"])
    #expect(missing.status != 0 && missing.errors.contains("/nonexistent"))
    #expect(try await run(["keys", "list"], ["RELAYRISK_MASTER_KEY": "short"]).errors.contains("Base64"))
    #expect(try await run(["keys", "list"], ["RELAYRISK_LOG_FORMAT": "xml"]).errors.contains("json or text"))
    let post = ["RELAYRISK_URL": "https://127.0.0.1:1", "RELAYRISK_KEY": "rr_x", "RELAYRISK_TIMEOUT": "0"]
    for (twin, value, sentence) in [
      ("URL", "ftp://relay.example", "ftp://relay.example"), ("KEY_FILE", "/nonexistent", "/nonexistent"),
      ("TIMEOUT", "soon", "timeout"), ("SPOOL", "/proc/relayrisk", "/proc/relayrisk"),
      ("CA_FILE", "/nonexistent", "/nonexistent"),
    ] {
      let outcome = try await Program.run(
        ["post"], environment: post.merging(["RELAYRISK_\(twin)": value]) { $1 }, input: Data(#"{"a":1}"#.utf8))
      #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(twin): \(outcome)")
    }
    // The list above is whole.
    var flags: Set<Substring> = []
    for command in [
      ["serve"], ["migrate"], ["keys", "create"], ["keys", "list"], ["keys", "rotate"], ["keys", "rotate-master"],
      ["import", "testssl"], ["demo"],
      ["maintain"], ["post"], ["audit", "head"], ["audit", "verify"],
    ] {
      flags.formUnion(try await Program.run(["help"] + command).output.matches(of: /--[a-z-]+/).map(\.output))
    }
    let known = [
      "--name", "--scope", "--source", "--provider", "--check", "--listen", "--database-url", "--data-dir",
      "--log-format", "--cors-origin", "--help", "--retention-months", "--dry-run", "--url", "--key-file", "--timeout",
      "--spool", "--ca-file", "--requests-per-minute", "--results-per-minute", "--serve-role", "--head",
      "--trusted-proxy", "--oidc-issuer", "--oidc-audience", "--oidc-jwks", "--oidc-roles-claim", "--oidc-role",
      "--expires-in", "--expires-at", "--address-range", "--overlap", "--tls-certificate", "--tls-key",
      "--tls-client-ca", "--tls-client-auth",
      "--master-key-file",
    ]
    #expect(flags.subtracting(known.map { $0[...] }).subtracting(["--jsonfile", "--jsonfile-pretty"]) == [])
  }

  private typealias Run = ([String], [String: String]) async throws -> Program.Outcome

  private func twinsOfKeyFlags(_ run: Run) async throws {
    let created = try await run(["keys", "create"], ["RELAYRISK_NAME": "n", "RELAYRISK_SCOPE": "admin,scores:read"])
    #expect(created.output.wholeMatch(of: /rr_[0-9a-f-]{36}_[0-9a-f]{72}\n/) != nil, "\(created.errors)")
    let bound = ["RELAYRISK_NAME": "n", "RELAYRISK_SCOPE": "results:write", "RELAYRISK_SOURCE": "demo-lab"]
    #expect(try await run(["keys", "create"], bound).status == 0)
    #expect(try await run(["keys", "list"], [:]).output.contains("results:write  demo-lab  n"))
    let limited = bound.merging(["RELAYRISK_REQUESTS_PER_MINUTE": "60", "RELAYRISK_RESULTS_PER_MINUTE": "900"]) { $1 }
    #expect(try await run(["keys", "create"], limited).status == 0)
    #expect(
      try await run(["keys", "list"], [:]).output.contains("n  last used: never  (60 requests/min, 900 results/min)"))
    let narrowed = bound.merging(
      ["RELAYRISK_EXPIRES_AT": "2099-01-01T00:00:00Z", "RELAYRISK_ADDRESS_RANGE": "10.0.0.0/8, 2001:db8::1"]) { $1 }
    let key = try await run(["keys", "create"], narrowed)
    #expect(
      try await run(["keys", "list"], [:]).output.contains(
        "(expires: 2099-01-01T00:00:00.000Z, from 10.0.0.0/8 2001:db8::1/128)"))
    let id = String(key.output.split(separator: "_")[1])
    let rotated = try await run(["keys", "rotate", id], ["RELAYRISK_OVERLAP": "0", "RELAYRISK_EXPIRES_IN": "90d"])
    #expect(rotated.output.wholeMatch(of: /rr_[0-9a-f-]{36}_[0-9a-f]{72}\n/) != nil, "\(rotated.errors)")
    #expect(try await run(["keys", "list"], [:]).output.contains("\(id)  expired"))
    #expect(try await run(["keys", "rotate", id], [:]).errors.contains("was rotated already"))
  }

  private func twinsOfServeFlags(_ run: Run) async throws {
    #expect(try await run(["serve"], ["RELAYRISK_RETENTION_MONTHS": "x"]).errors.contains("must be a number"))
    #expect(try await run(["serve"], ["RELAYRISK_LISTEN": "nowhere"]).errors.contains("nowhere"))
    #expect(try await run(["serve"], ["RELAYRISK_CORS_ORIGIN": "portal"]).errors.contains("portal"))
    let proxies = ["RELAYRISK_TRUSTED_PROXY": "10.0.0.0/8, 10.1.2.3/8"]
    #expect(try await run(["serve"], proxies).errors.contains("the range that holds it is 10.0.0.0/8"))
    let signOn = [
      "ISSUER": "https://sign-on.example", "AUDIENCE": "a", "JWKS": "http://sign-on.example/keys",
      "ROLE": "portal=scores:read;chief=admin", "ROLES_CLAIM": "/realm_access/roles",
    ].reduce(into: [:]) { $0["RELAYRISK_OIDC_\($1.key)"] = $1.value }
    #expect(try await run(["serve"], signOn).errors.contains("is not https, and not on this machine"))
    let keys = ["RELAYRISK_OIDC_JWKS": "/nonexistent"]
    #expect(try await run(["serve"], signOn.merging(keys) { $1 }).errors.contains("the keys in /nonexistent cannot be"))
    #expect(try await run(["serve"], ["RELAYRISK_OIDC_ROLE": "portal"]).errors.contains("role=scope"))
    #expect(try await run(["serve"], ["RELAYRISK_TLS_CLIENT_CA": "ca.pem"]).errors.contains("needs --tls-certificate"))
    #expect(try await run(["serve"], ["RELAYRISK_TLS_CLIENT_AUTH": "maybe"]).errors.contains("optional or required"))
  }

  @Test func subcommandsWorkWithoutTheServiceAndWhileItRuns() async throws {
    let service = RunningService()
    let before = try await service.createKey()
    #expect(before.wholeMatch(of: /rr_[0-9a-f-]{36}_[0-9a-f]{72}/) != nil)
    #expect(service.postmaster == nil)

    try await service.start()
    let admin = service.client(key: before)
    #expect(try await admin.get("/v1/concerns").status == 200)
    let during = try await service.createKey("scores:read")
    #expect(try await service.client(key: during).get("/v1/concerns").status == 200)

    _ = try await admin.post(
      "/v1/providers", #"{"slug":"acme","name":"A","hosts":["relay-good.test","old-relay.invalid"]}"#)
    _ = try await admin.post("/v1/sources", #"{"slug":"lab","name":"L"}"#)
    let report = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../ServiceTests/Fixtures/testssl/real-weak-pretty.json").standardized.path
    let arguments = ["--provider", "acme", "--source", "lab", "--data-dir", service.dataDirectory]
    let imported = try await Program.run(["import", "testssl", report] + arguments)
    #expect(imported.status == 0, "\(imported.errors)")
    #expect(imported.output.contains("accepted  fail  encryption.legacy-tls-protocol"))
    let again = try await Program.run(
      ["import", "testssl", "-"] + arguments, input: try Data(contentsOf: URL(fileURLWithPath: report)))
    #expect(again.output.contains("duplicate  fail  encryption.legacy-tls-protocol"))
    // The running service follows what the command stored.
    _ = try await waitFor("the imported results") {
      try await admin.get("/v1/providers/acme/score").json["reasons"].array.isEmpty ? nil : true
    }

    let verified = try await Program.run(["verify", "--data-dir", service.dataDirectory])
    #expect(verified.status == 0 && verified.output.contains("no difference"), "\(verified)")
    let inputs = try await admin.get("/v1/providers/acme/score/inputs")
    let score = try await admin.get(
      "/v1/providers/acme/score?detail=full&as_of=\(inputs.json["at"].string!)")
    let recomputed = try await Program.run(["score", "-"], input: inputs.body)
    #expect(recomputed.status == 0 && recomputed.output == score.text + "\n", "\(recomputed.errors)")
    let refused = try await Program.run(["score", "-"], input: Data(#"{"at":"x","surprise":1}"#.utf8))
    #expect(refused.status == 1 && refused.output.isEmpty)
    for pointer in ["/at ", "/surprise ", "/methodology_hash ", "/results "] {
      #expect(refused.errors.contains("  \(pointer)"), "\(refused.errors)")
    }
    let cell = "update evidence_cell set fail_weight = 2 where check_id = 'encryption.legacy-tls-protocol'"
    let socket = try service.socketDirectory
    #expect(
      Shell.run(["/usr/bin/psql", "-q", "host=\(socket) user=relayrisk dbname=relayrisk", "-c", cell]) == 0)
    let corrupted = try await Program.run(["verify", "--data-dir", service.dataDirectory])
    #expect(corrupted.status == 1 && corrupted.output.contains("encryption.legacy-tls-protocol on "), "\(corrupted)")

    let listed = try await Program.run(["keys", "list", "--data-dir", service.dataDirectory])
    #expect(listed.output.split(separator: "\n").count == 2)
    let id = String(during.split(separator: "_")[1])
    #expect(try await Program.run(["keys", "revoke", id, "--data-dir", service.dataDirectory]).status == 0)
    _ = try await waitFor("the revocation") {
      try await service.client(key: during).get("/v1/concerns").status == 401 ? true : nil
    }
    #expect(try await Program.run(["keys", "revoke", "x", "--data-dir", service.dataDirectory]).status != 0)
    let checked = try await Program.run(["migrate", "--check", "--data-dir", service.dataDirectory])
    #expect(checked.status == 0 && checked.output.isEmpty)

    #expect(await service.end(SIGTERM) == 0)
    #expect(service.postmaster == nil)
  }

  @Test func anotherDatabaseIsNeverMigratedBySomethingElseThanMigrate() async throws {
    let service = RunningService()
    try await service.start()
    let socket = try service.socketDirectory
    let own = "host=\(socket) user=relayrisk"
    #expect(Shell.run(["/usr/bin/psql", "-q", "\(own) dbname=relayrisk", "-c", "create database other"]) == 0)
    let url = "\(own) dbname=other"
    let behind = try await Program.run(["migrate", "--check", "--database-url", url])
    #expect(behind.status == 1)
    #expect(behind.output.contains("pending 1 registry"))
    let refused = try await Program.run(["keys", "list"], environment: ["RELAYRISK_DATABASE_URL": url])
    #expect(refused.status != 0 && refused.errors.contains("relayrisk migrate"))
    let applied = try await Program.run(["migrate", "--database-url", url])
    #expect(applied.output.contains("applied 1 registry"))
    #expect(try await Program.run(["migrate", "--check", "--database-url", url]).status == 0)
    await service.end(SIGTERM)
  }

  @Test func aDatabaseOfOnesOwnIsServedWithARoleOfFewRights() async throws {
    let other = RunningService()
    try await other.start()
    for statement in ["create database other", "create role serving"] { try await other.sql(statement) }
    let url = "host=\(try other.socketDirectory) user=relayrisk dbname=other"
    let serving = "\(url) options='-c role=serving'"
    #expect(try await Program.run(["migrate", "--database-url", url]).status == 0)

    let service = RunningService()
    let starting = Task { try await service.start(arguments: ["--database-url", serving]) }
    _ = try await waitFor("the reason") {
      service.errors.contains("may not") && service.errors.contains("--serve-role") ? true : nil
    }
    let granted = try await Program.run(["migrate", "--database-url", url, "--serve-role", "serving"])
    #expect(granted.output == "granted to serving\n", "\(granted)")
    // It waited, and goes on by itself.
    try await starting.value
    let key = try await Program.run(
      ["keys", "create", "--name", "n", "--scope", "admin", "--database-url", serving])
    let admin = service.client(key: key.output.trimmingCharacters(in: .newlines))
    #expect(try await admin.post("/v1/sources", #"{"slug":"lab","name":"L"}"#).status == 201)
    #expect(try await Program.run(["audit", "verify", "--database-url", serving]).status == 0)
    #expect(try await Program.run(["maintain", "--database-url", serving]).errors.contains("42501"))
    #expect(try await Program.run(["maintain", "--database-url", url]).status == 0)

    // Somebody writes to the database behind the service's back.
    let head = try await Program.run(["audit", "head", "--database-url", serving]).output
      .trimmingCharacters(in: .newlines)
    _ = try await waitFor("the head in the log") { service.errors.contains("audit log head=") ? true : nil }
    let psql = [
      "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "alter table audit_entry disable trigger all", "-c",
      "delete from audit_entry where sequence = 2", url,
    ]
    #expect(try await Program.run(psql, of: "/usr/bin/psql").status == 0)
    let found = try await Program.run(["audit", "verify", "--head", head, "--database-url", serving])
    #expect(found.status == 1 && found.output == "entry 2 is missing\n", "\(found)")
    await service.end(SIGTERM)
    await other.end(SIGTERM)
  }
}
