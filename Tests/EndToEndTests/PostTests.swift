import Foundation
import TestHarness
import Testing

/// `relayrisk post` against a service that listens.
@Suite(.serialized) struct PostTests {
  /// A line of NDJSON.
  static func line(_ number: Int, outcome: String = "fail", note: String = "") -> String {
    #"{"provider":"acme","check":"encryption.hsts-missing","outcome":"\#(outcome)","external_id":"\#(number)","#
      + #""observed_at":"2026-01-01T00:00:00Z","note":"\#(note)"}"#
  }

  /// A service with a relay and a source, and what the command needs to post for that source.
  static func withService(
    _ body: (_ service: RunningService, _ environment: [String: String], _ admin: APIClient) async throws -> Void
  ) async throws {
    let service = RunningService()
    try await service.start()
    let admin = service.client(key: try await service.createKey())
    _ = try await admin.post("/v1/providers", #"{"slug":"acme","name":"A","hosts":["acme.example"]}"#)
    _ = try await admin.post("/v1/sources", #"{"slug":"lab","name":"L"}"#)
    let key = try await admin.post("/v1/keys", #"{"name":"lab","scopes":["results:write"],"source":"lab"}"#)
    let secret = try #require(key.json["key"].string, "\(key.text)")
    try await body(service, ["RELAYRISK_URL": service.address, "RELAYRISK_KEY": secret], admin)
    await service.end(SIGTERM)
  }

  static func post(
    _ input: String, _ environment: [String: String], _ arguments: [String] = []
  ) async throws -> Program.Outcome {
    try await Program.run(["post"] + arguments, environment: environment, input: Data(input.utf8))
  }

  static func stored(_ admin: APIClient) async throws -> [String] {
    let list = try await admin.get("/v1/providers/acme/probe-results?limit=500")
    return list.json["items"].array.compactMap { $0["external_id"].string }
  }

  @Test func everyFormOfInputIsTaken() async throws {
    try await Self.withService { service, environment, admin in
      let line = Self.line
      let forms = [
        ("\(line(1, "fail", ""))\n\(line(2, "fail", ""))\n", 2),
        ("\u{FEFF}\(line(3, "fail", ""))\r\n\r\n\(line(4, "fail", ""))", 2),
        ("[\(line(5, "fail", "")),\n\(line(6, "fail", ""))\n]", 2), ("[]", 0), (#" { "results" : [ ] } "#, 0),
        (#"{"results":[\#(line(7, "fail", "")),\#(line(8, "fail", ""))]}"#, 2),
        // One object over several lines, a nested one at the beginning of a line, signs within a text.
        (line(9, "fail", #"}{][\" "#).replacingOccurrences(of: ",", with: ",\n"), 1),
        (
          line(10, "fail", "").replacingOccurrences(of: #""note""#, with: "\"evidence\":\n{\"a\":[\n{}\n]},\"note\""), 1
        ),
        ("[\(line(11, "fail", ""))]\n[\(line(12, "fail", ""))] {\"results\": [\(line(13, "fail", ""))]}\n", 3), ("", 0),
      ]
      for (input, count) in forms {
        let first = try await Self.post(input, environment)
        #expect(
          first.output == "accepted \(count), duplicates 0, rejected 0\n" && first.status == 0, "\(input) \(first)")
        #expect(first.errors.isEmpty, "\(first.errors)")
        let again = try await Self.post(input, environment, ["-"])
        #expect(again.output == "accepted 0, duplicates \(count), rejected 0\n", "\(input) \(again)")
      }
      #expect(Set(try await Self.stored(admin)) == Set((1...13).map(String.init)))
      // Files, more than fit into one request, and the key from a file.
      let files = ["many.ndjson", "key"].map { service.dataDirectory + $0 }
      let many = (0..<2_500).map { line(100 + $0, "pass", "") }.joined(separator: "\n")
      try many.write(toFile: files[0], atomically: true, encoding: .utf8)
      try "\(environment["RELAYRISK_KEY"]!)\n".write(toFile: files[1], atomically: true, encoding: .utf8)
      let outcome = try await Program.run(
        ["post", files[0], "--url", service.address + "/", "--key-file", files[1]])
      #expect(outcome.output == "accepted 2500, duplicates 0, rejected 0\n", "\(outcome)")
    }
  }

  @Test func whatIsWrongIsNamedByItsLineAndTheOthersGo() async throws {
    try await Self.withService { service, environment, admin in
      let file = service.dataDirectory + "mixed.ndjson"
      let long = #"{"evidence":{"a":"\#(String(repeating: "x", count: 200_000))"}}"#
      let lines = [
        Self.line(1), "hello", Self.line(2), #"{"provider":"acme","#, Self.line(3), "[INFO] done", Self.line(4), long,
        #"{"provider":"acme","check":"nonsense","outcome":"perhaps"}"#, #"{"a":1,"a":2}"#, #"{"a":"b"#, Self.line(5),
        #"{"a":nothing}"#, Self.line(1, outcome: "pass"), #"{"provider": "#,
      ]
      try lines.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
      let outcome = try await Program.run(["post", file], environment: environment)
      #expect(outcome.status == 1 && outcome.output == "accepted 5, duplicates 0, rejected 10\n", "\(outcome)")
      for (line, sentence) in [
        (2, "not JSON: an object expected"), (4, "not JSON: it is not closed"), (6, "not JSON: an object expected"),
        (8, "longer than 131072 bytes"), (9, "The request is readable but wrong\n  /check  no such check"),
        (10, "the JSON is faulty\n  /a  the member appears more than once"), (11, "not JSON: a text is not closed"),
        (13, "not JSON: "), (14, "other content"), (15, "not JSON: it is not closed"),
      ] {
        let named = outcome.errors.components(separatedBy: "\(file):\(line): rejected: ").dropFirst().first
        #expect(named?.prefix(300).contains(sentence) == true, "\(line): \(outcome.errors)")
      }
      for pointer in ["/check", "/outcome", "/observed_at"] { #expect(outcome.errors.contains("\n  \(pointer)  ")) }
      #expect(Set(try await Self.stored(admin)) == ["1", "2", "3", "4", "5"])

      // Between the elements of an array there is no telling where the next begins.
      let broken = try await Self.post("[\(Self.line(6)),\n\(Self.line(7))\n\(Self.line(8))]", environment)
      #expect(broken.status == 1 && broken.output == "accepted 2, duplicates 0, rejected 1\n", "\(broken)")
      #expect(broken.errors.contains("stdin:3: rejected: not JSON: a comma or the end of the array expected; what"))
      // A file that is not there does not hold up the others.
      let partly = try await Program.run(["post", "/nonexistent", file], environment: environment)
      #expect(partly.status == 1 && partly.output.hasPrefix("accepted 0, duplicates 5,"), "\(partly)")
      #expect(partly.errors.contains("cannot open /nonexistent"))
    }
  }

  @Test func signaturesOfResultsPassAsTheyAre() async throws {
    try await Self.withService { service, environment, admin in
      let files = ["key.pem", "public.pem", "signed", "value"].map { service.dataDirectory + $0 }
      func openssl(_ arguments: [String]) async throws {
        let made = try await Program.run(arguments, of: "/usr/bin/openssl")
        #expect(made.status == 0, "\(made.errors)")
      }
      try await openssl(["genpkey", "-algorithm", "ed25519", "-out", files[0]])
      try await openssl(["pkey", "-in", files[0], "-pubout", "-out", files[1]])
      let registered = try await admin.post(
        "/v1/sources/lab/signing-keys",
        object: ["name": "k", "public_key": try String(contentsOfFile: files[1], encoding: .utf8)])
      let id = try #require(registered.json["id"].string, "\(registered.text)")
      let signed =
        #"{"check":"encryption.hsts-missing","confidence":0.5,"observed_at":"2026-01-01T00:00:00Z","#
        + #""outcome":"fail","provider":"acme"}"#
      try signed.write(toFile: files[2], atomically: true, encoding: .utf8)
      try await openssl(["pkeyutl", "-sign", "-inkey", files[0], "-rawin", "-in", files[2], "-out", files[3]])
      let value = try Data(contentsOf: URL(fileURLWithPath: files[3])).base64EncodedString()
      // The same result in another form: blanks, other digits.
      let line = signed.dropLast().replacing("0.5", with: " 5.0e-1")
      let input = line + #", "signature": {"keyid": "\#(id)", "value": "\#(value)"}}"#
      let outcome = try await Self.post("\(input)\n\(input.replacing("fail", with: "pass"))\n", environment)
      #expect(outcome.output == "accepted 1, duplicates 0, rejected 1\n", "\(outcome)")
      #expect(outcome.errors.contains("\n  /signature/value  is not the key's signature"), "\(outcome.errors)")
      let stored = try await admin.get("/v1/providers/acme/probe-results").json["items"][0]["signature"]
      #expect(stored["signed"].string == signed && stored["value"].string == value)
    }
  }

  @Test func aWrongKeyOrAddressIsSaidOnceAndNotTriedAgain() async throws {
    try await Self.withService { service, environment, _ in
      for (change, status, sentence) in [
        (["RELAYRISK_KEY": "rr_x"], 1, "answers 401: A valid key is needed"),
        (["RELAYRISK_URL": service.address + "/elsewhere"], 1, "answers 404"),
        (["RELAYRISK_KEY": "two words"], 1, "the key is no key"),
        (["RELAYRISK_KEY": ""], 64, "RELAYRISK_KEY_FILE"), (["RELAYRISK_URL": ""], 64, "RELAYRISK_URL"),
        (["RELAYRISK_URL": "http://user@relay.example"], 64, "no address of a service"),
      ] as [([String: String], Int32, String)] {
        let outcome = try await Self.post(Self.line(1), environment.merging(change) { $1 })
        #expect(outcome.status == status && outcome.errors.contains(sentence), "\(change): \(outcome)")
        #expect(outcome.output.isEmpty || outcome.output.hasSuffix("not sent 1\n"), "\(outcome)")
      }
      // An argument would show in the list of processes.
      let argument = try await Self.post(Self.line(1), environment, ["--key", environment["RELAYRISK_KEY"]!])
      #expect(argument.status == 64 && argument.errors.contains("--key"))
    }
  }

  /// A scanner that writes a result now and then, and stays.
  @Test func whatHasComeIsSentWhileThePipeStaysOpen() async throws {
    try await Self.withService { _, environment, admin in
      let (process, pipe) = try Self.start([], environment)
      for number in 1...2 {
        try pipe.fileHandleForWriting.write(contentsOf: Data("\(Self.line(number))\n".utf8))
        _ = try await waitFor("result \(number)") {
          try await Self.stored(admin).contains("\(number)") ? true : nil
        }
      }
      try pipe.fileHandleForWriting.close()
      #expect(await process.end() == 0)
    }
  }

  /// What was read and not sent yet is put away.
  @Test func aRunThatIsEndedSpoolsWhatItHasRead() async throws {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    // Takes connections and never answers.
    let (held, port) = try listeningSocket()
    let environment = ["RELAYRISK_URL": "http://127.0.0.1:\(port)", "RELAYRISK_KEY": "rr_x"]
    let (process, pipe) = try Self.start(["--spool", directory], environment)
    try pipe.fileHandleForWriting.write(contentsOf: Data("\(Self.line(1))\n\(Self.line(2))\n".utf8))
    let connection = await withCheckedContinuation { continuation in
      Thread.detachNewThread { continuation.resume(returning: accept(held.fileDescriptor, nil, nil)) }
    }
    defer { close(connection) }
    kill(process.processIdentifier, SIGTERM)
    #expect(await process.end() == -SIGTERM)
    let files = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".ndjson") }
    #expect(files.count == 1)
    let kept = try String(contentsOfFile: "\(directory)/\(files.first ?? "")", encoding: .utf8)
    #expect(kept.split(separator: "\n").count == 2 && kept.contains(#"{"from":"stdin:2","result":{"#), "\(kept)")
  }

  /// With standard input as a pipe that stays open.
  private static func start(
    _ arguments: [String], _ environment: [String: String]
  ) throws -> (Process, Pipe) {
    let (process, pipe) = (Process(), Pipe())
    process.executableURL = URL(fileURLWithPath: Program.path)
    process.arguments = ["post"] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = pipe
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return (process, pipe)
  }
}
