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
      (["serve", "--listen", "nowhere"], 64, "such as 127.0.0.1:8080"),
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
    let created = try await run(["keys", "create"], ["RELAYRISK_NAME": "n", "RELAYRISK_SCOPE": "admin,scores:read"])
    #expect(created.output.wholeMatch(of: /rr_[0-9a-f-]{36}_[0-9a-f]{64}\n/) != nil, "\(created.errors)")
    let loaded = try await run(["demo"], ["RELAYRISK_LOG_FORMAT": "json"])
    #expect(loaded.errors.hasPrefix("{"))
    let bound = ["RELAYRISK_NAME": "n", "RELAYRISK_SCOPE": "results:write", "RELAYRISK_SOURCE": "demo-lab"]
    #expect(try await run(["keys", "create"], bound).status == 0)
    #expect(try await run(["keys", "list"], [:]).output.contains("results:write  demo-lab  n"))
    let limited = bound.merging(["RELAYRISK_REQUESTS_PER_MINUTE": "60", "RELAYRISK_RESULTS_PER_MINUTE": "900"]) { $1 }
    #expect(try await run(["keys", "create"], limited).status == 0)
    #expect(try await run(["keys", "list"], [:]).output.contains("n  (60 requests/min, 900 results/min)"))
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
    #expect(try await run(["serve"], ["RELAYRISK_RETENTION_MONTHS": "x"]).errors.contains("must be a number"))
    #expect(try await run(["serve"], ["RELAYRISK_LISTEN": "nowhere"]).errors.contains("nowhere"))
    #expect(try await run(["serve"], ["RELAYRISK_CORS_ORIGIN": "portal"]).errors.contains("portal"))
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
      ["serve"], ["migrate"], ["keys", "create"], ["keys", "list"], ["import", "testssl"], ["demo"], ["maintain"],
      ["post"],
    ] {
      flags.formUnion(try await Program.run(["help"] + command).output.matches(of: /--[a-z-]+/).map(\.output))
    }
    let known = [
      "--name", "--scope", "--source", "--provider", "--check", "--listen", "--database-url", "--data-dir",
      "--log-format", "--cors-origin", "--help", "--retention-months", "--dry-run", "--url", "--key-file", "--timeout",
      "--spool", "--ca-file", "--requests-per-minute", "--results-per-minute",
      "--master-key-file",
    ]
    #expect(flags.subtracting(known.map { $0[...] }).subtracting(["--jsonfile", "--jsonfile-pretty"]) == [])
  }

  @Test func subcommandsWorkWithoutTheServiceAndWhileItRuns() async throws {
    let service = RunningService()
    let before = try await service.createKey()
    #expect(before.wholeMatch(of: /rr_[0-9a-f-]{36}_[0-9a-f]{64}/) != nil)
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
}
