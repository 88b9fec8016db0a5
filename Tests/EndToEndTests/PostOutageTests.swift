import Foundation
import TestHarness
import Testing

/// `relayrisk post` while the service is away, behind a proxy, or with more than memory holds.
@Suite(.serialized) struct PostOutageTests {
  private static let nobody = ["--url", "http://127.0.0.1:1", "--timeout", "0"]

  private func names(_ directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".ndjson") }.sorted()
  }

  @Test func itTriesAgainThroughARestart() async throws {
    try await PostTests.withService { service, environment, admin in
      #expect(await service.end(SIGKILL) == -SIGKILL)
      let input = (0..<1_500).map { PostTests.line($0) }.joined(separator: "\n")
      async let posted = PostTests.post(input, environment, ["--timeout", "120"])
      try await service.start()
      let outcome = try await posted
      #expect(outcome.status == 0 && outcome.output == "accepted 1500, duplicates 0, rejected 0\n", "\(outcome)")
      #expect(outcome.errors.isEmpty)
    }
  }

  @Test func whatCannotBeSentIsSpooledAndSentFirstByTheNextRun() async throws {
    try await PostTests.withService { service, environment, admin in
      let spool = service.dataDirectory + "spool"
      let arguments = ["--spool", spool]
      // Without a spool it is lost, and says so.
      let lost = try await PostTests.post(PostTests.line(1), environment, Self.nobody)
      #expect(lost.status == 1 && lost.output.hasSuffix("not sent 1\n"), "\(lost)")
      // Of the same identity the first that is stored stands, which shows the order.
      let object = PostTests.line(2).replacingOccurrences(of: ",", with: ",\n")
      for (input, count) in [(PostTests.line(1) + "\n" + object, 2), (PostTests.line(1, outcome: "pass"), 1)] {
        let kept = try await PostTests.post(input, environment, arguments + Self.nobody)
        #expect(
          kept.status == 0 && kept.output == "accepted 0, duplicates 0, rejected 0, spooled \(count)\n", "\(kept)")
        #expect(kept.errors.contains("what is left is spooled"))
      }
      let before = try names(spool)
      #expect(before.count == 2)
      for (path, mode) in [(spool, 0o700)] + before.map({ ("\(spool)/\($0)", 0o600) }) {
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == mode)
      }
      // A damaged one, the oldest, does not block the others.
      try Data(#"{"from":"x:1","resu"#.utf8).write(to: URL(fileURLWithPath: "\(spool)/0.ndjson"))
      // What is being written may be another process's; what has been for hours is nobody's.
      let partials = ["0-1", "0-2"].map { "\(spool)/\($0).ndjson.partial" }
      for partial in partials { _ = FileManager.default.createFile(atPath: partial, contents: nil) }
      try FileManager.default.setAttributes([.modificationDate: Date() - 7_200], ofItemAtPath: partials[0])

      let sent = try await PostTests.post("", environment, arguments)
      #expect(sent.status == 1 && sent.output == "accepted 2, duplicates 0, rejected 1\n", "\(sent)")
      #expect(sent.errors.contains("stdin:1: rejected: ") && sent.errors.contains("\(spool)/0.ndjson.corrupt"))
      #expect(try names(spool).isEmpty)
      #expect(partials.map { FileManager.default.fileExists(atPath: $0) } == [false, true])
      #expect(Set(try await PostTests.stored(admin)) == ["1", "2"])
      let score = try await admin.get("/v1/providers/acme/probe-results?outcome=fail")
      #expect(score.json["items"].array.count == 2)
      #expect(try await PostTests.post("", environment, arguments).status == 0)

      // With a key that is refused nothing is lost either.
      let wrong = environment.merging(["RELAYRISK_KEY": "rr_x"]) { $1 }
      let refused = try await PostTests.post(PostTests.line(3), wrong, arguments)
      #expect(refused.status == 1 && refused.output.hasSuffix("spooled 1\n"), "\(refused)")
      #expect(try await PostTests.post(PostTests.line(4), environment, arguments).output.hasPrefix("accepted 2,"))
    }
  }

  @Test func twoProcessesSendASpoolOnce() async throws {
    try await PostTests.withService { service, environment, admin in
      let arguments = ["--spool", service.dataDirectory + "spool"]
      for file in 0..<8 {
        let input = (0..<50).map { PostTests.line(file * 50 + $0) }.joined(separator: "\n")
        #expect(try await PostTests.post(input, environment, arguments + Self.nobody).status == 0)
      }
      #expect(try names(arguments[1]).count == 8)
      async let one = PostTests.post("", environment, arguments)
      async let other = PostTests.post("", environment, arguments)
      let outcomes = try await [one, other]
      let counts = outcomes.map { $0.output.matches(of: /\d+/).map { Int($0.output)! } }
      #expect(outcomes.allSatisfy { $0.status == 0 } && counts.allSatisfy { $0.count == 3 }, "\(outcomes)")
      #expect(counts.reduce(0) { $0 + $1[0] } == 400 && counts.allSatisfy { $0[1] == 0 }, "\(outcomes)")
      #expect(try names(arguments[1]).isEmpty)
    }
  }

  @Test func proxiesAreUsedAndCertificatesChecked() async throws {
    try await PostTests.withService { service, environment, _ in
      // The service takes what a client sends to a proxy.
      let proxied = environment.merging(
        ["RELAYRISK_URL": "http://relayrisk.invalid", "http_proxy": service.address]) { $1 }
      #expect(try await PostTests.post(PostTests.line(1), proxied).output.hasPrefix("accepted 1,"))

      let (held, port) = try listeningSocket()
      try held.close()
      let work = service.dataDirectory + "tls"
      let setUp = """
        mkdir "$0" && cd "$0" && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=relayrisk \
          -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem 2> /dev/null
        echo "pid $0/pid; error_log $0/errors; daemon on; master_process off; events {} http { access_log off;
          client_body_temp_path $0/body; proxy_temp_path $0/proxy; fastcgi_temp_path $0/fastcgi;
          uwsgi_temp_path $0/uwsgi; scgi_temp_path $0/scgi; server { listen 127.0.0.1:$1 ssl;
          ssl_certificate $0/certificate.pem; ssl_certificate_key $0/key.pem;
          location / { proxy_pass $2; } } }" > nginx.conf
        exec /usr/sbin/nginx -e "$0/errors" -p "$0" -c "$0/nginx.conf"
        """
      #expect(Shell.run(["/bin/bash", "-c", setUp, work, "\(port)", service.address]) == 0)
      defer { Shell.run(["/bin/sh", "-c", "kill -9 $(cat $0/pid)", work]) }
      let secure = environment.merging(["RELAYRISK_URL": "https://127.0.0.1:\(port)"]) { $1 }
      let refused = try await PostTests.post(PostTests.line(2), secure, ["--timeout", "0"])
      #expect(refused.status == 1 && refused.errors.contains("certificate"), "\(refused)")
      let trusted = try await PostTests.post(PostTests.line(2), secure, ["--ca-file", "\(work)/certificate.pem"])
      #expect(trusted.output.hasPrefix("accepted 1,"), "\(trusted)")
      // More than nginx takes in one request unless it is told to.
      let note = String(repeating: "n", count: 1_500)
      let many = (10..<1_010).map { PostTests.line($0, note: note) }.joined(separator: "\n")
      let split = try await PostTests.post(many, secure, ["--ca-file", "\(work)/certificate.pem"])
      #expect(split.output == "accepted 1000, duplicates 0, rejected 0\n", "\(split)")
    }
  }

  /// The same results over and over, since what counts here is how much comes.
  @Test(.timeLimit(.minutes(60))) func itsMemoryIsBoundedHoweverMuchComes() async throws {
    try await PostTests.withService { service, environment, admin in
      let file = service.dataDirectory + "block.ndjson"
      let note = String(repeating: "x", count: 1_500)
      let block = (0..<2_000).map { PostTests.line($0, note: note) + "\n" }.joined()
      try block.write(toFile: file, atomically: true, encoding: .utf8)
      let times = Soak.count(short: 20, long: 200)
      // Of what Python runs, and not of this process, which is large and which a child is until its exec.
      let script = """
        import resource, subprocess, sys
        repeat = 'for i in $(seq "$2"); do cat "$1"; done | "$0" post'
        subprocess.run(["/bin/sh", "-c", repeat, *sys.argv[1:]], check=True)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        """
      let outcome = try await Program.run(
        ["-c", script, Program.path, file, "\(times)"], of: "/usr/bin/python3", environment: environment,
        timeoutSeconds: 3_600)
      #expect(outcome.status == 0 && outcome.output.hasPrefix("accepted "), "\(outcome)")
      let peakKiB = try #require(outcome.output.split(separator: "\n").last.flatMap { Int($0) })
      // The program itself, two batches, an answer: less than what went through.
      #expect(peakKiB < 48 * 1_024 && block.utf8.count * times > 48 << 20, "\(peakKiB) KiB")
    }
  }
}
