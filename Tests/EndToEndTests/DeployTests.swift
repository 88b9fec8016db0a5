import Foundation
import TestHarness
import Testing

/// What lies in deploy/, held against the programs that read it.
@Suite struct DeployTests {
  /// Runs a script of bash in the repository's top folder, with `$work` as a directory of its own.
  /// - Returns: what it printed, on either output.
  @discardableResult
  private func succeed(_ script: String) throws -> String {
    let work = TemporaryDirectory.make()
    ExitCleanup.add(work)
    let output = work + "/printed"
    let status = Shell.run([
      "/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "work=\(work)", "program=\(Program.path)",
      "/bin/bash", "-c", "set -euo pipefail; cd \"$0\"; exec > \"$1\" 2>&1; \(script)", Document.top.path, output,
    ])
    let printed = try String(contentsOfFile: output, encoding: .utf8)
    #expect(status == 0, "\(printed)")
    return printed
  }

  @Test func systemdTakesTheUnitsWithoutAWordAndFindsThemHardened() throws {
    let printed = try succeed(
      """
      units="relayrisk.service relayrisk.socket relayrisk-maintain.service relayrisk-maintain.timer"
      for unit in $units; do sed "s|/usr/bin/relayrisk|$program|" deploy/systemd/$unit > $work/$unit; done
      cd $work
      systemd-analyze verify --man=no $units
      """)
    #expect(printed.isEmpty, "\(printed)")
    // Of 100, where less is better: 20 and below is what systemd calls OK at its best.
    for unit in ["relayrisk.service", "relayrisk-maintain.service"] {
      try succeed("systemd-analyze security --offline=true --threshold=20 --no-pager deploy/systemd/\(unit)")
    }
  }

  @Test func nginxTakesItsSite() throws {
    try succeed(
      """
      openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=relayrisk.example \\
        -keyout $work/key.pem -out $work/certificate.pem 2> /dev/null
      sed "s|/etc/ssl/relayrisk|$work|" deploy/nginx/relayrisk.conf > $work/site.conf
      echo "pid $work/pid; error_log stderr; events {}" > $work/nginx.conf
      echo "http { access_log off; include $work/site.conf; }" >> $work/nginx.conf
      nginx -t -p $work -c $work/nginx.conf
      """)
  }

  @Test func caddyTakesItsFile() throws {
    try succeed("HOME=$work caddy validate --adapter caddyfile --config deploy/caddy/Caddyfile")
  }

  /// The unit tests say what makes each alert fire; the guide says what to do then.
  @Test func prometheusTakesItsRulesAndEachAlertIsTestedAndExplained() throws {
    try succeed("promtool check rules --lint=all --lint-fatal deploy/prometheus/relayrisk.rules.yml")
    try succeed("cd deploy/prometheus && promtool test rules relayrisk.rules.test.yml")
    func text(_ path: String) throws -> String {
      try String(contentsOf: Document.top.appendingPathComponent(path), encoding: .utf8)
    }
    let alerts = try text("deploy/prometheus/relayrisk.rules.yml").matches(of: /- alert: (\w+)/).map(\.1)
    #expect(alerts.count > 8)
    for alert in alerts {
      #expect(try text("deploy/prometheus/relayrisk.rules.test.yml").contains(alert), "\(alert)")
      #expect(try text("docs/operators.md").contains("`\(alert)`"), "\(alert)")
    }
  }

  @Test func composeTakesItsFile() throws {
    let printed = try succeed("docker-compose --file deploy/compose/compose.yaml config")
    #expect(printed.contains("service_completed_successfully"))
    // As it is resolved: two blanks before the names of services.
    let services = printed.components(separatedBy: "\nservices:\n")[1].split(separator: /(?m)^ {2}(?=\w)/)
    func service(_ name: String) throws -> Substring { try #require(services.first { $0.hasPrefix("\(name):") }) }
    // Who faces the network neither is the owner of the tables nor has the owner's password.
    let serving = try service("serve")
    #expect(serving.contains("user=relayrisk_serve ") && serving.contains("serving-password"))
    #expect(!serving.contains("database-password"))
    for owner in ["migrate", "maintain"] {
      #expect(try service(owner).contains("user=relayrisk ") && !service(owner).contains("serving-password"))
    }
    #expect(try service("migrate").contains("relayrisk_serve"))
  }

  @Test func composesRoleIsMadeOnceAndServes() async throws {
    let database = RunningService()
    try await database.start()
    for password in ["first 'one'", "second"] {
      try succeed(
        """
        printf '%s\\n' \(password.debugDescription) > $work/password
        export PGHOST=\(try database.socketDirectory) PGUSER=relayrisk PGDATABASE=relayrisk
        RELAYRISK_SERVING_PASSWORD_FILE=$work/password /bin/sh deploy/compose/serving-role
        ! RELAYRISK_SERVING_PASSWORD_FILE=$work/none /bin/sh deploy/compose/serving-role
        """)
      let role = try await database.sql(
        "select rolcanlogin, rolsuper, rolpassword is not null from pg_authid where rolname = 'relayrisk_serve'")
      #expect(role == "t|f|t")
    }
    try await database.sql("create database other")
    let url = "host=\(try database.socketDirectory) user=relayrisk dbname=other"
    let migrated = try await Program.run(["migrate", "--serve-role", "relayrisk_serve", "--database-url", url])
    #expect(migrated.status == 0 && migrated.output.hasSuffix("granted to relayrisk_serve\n"), "\(migrated)")
    let service = RunningService()
    try await service.start(arguments: ["--database-url", "\(url) options='-c role=relayrisk_serve'"])
    #expect(await service.end(SIGTERM) == 0)
    await database.end(SIGTERM)
  }

  /// The image has every library that the program is linked with, and the files that its build reads.
  @Test func theImageHasWhatTheProgramNeeds() throws {
    let file = try String(
      contentsOf: Document.top.appendingPathComponent("deploy/container/Containerfile"), encoding: .utf8)
    let run = try #require(file.components(separatedBy: "FROM docker.io/library/debian:12-slim").last)
    let packages = try succeed(
      #"""
      libraries=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^libswift\|^lib_\|^ld-')
      for library in $libraries; do
        path=$(ldconfig -p | awk -v name="$library" '$1 == name { path = $NF } END { print path }')
        { dpkg-query -S "$path" "$(readlink -f "$path")" 2> /dev/null || true; } | sed -n '1s/:.*//p'
      done | sort -u
      """#
    ).split(separator: "\n")
    #expect(packages.contains("libmicrohttpd12") && packages.contains("libpq5"))
    // These two every Debian has.
    for package in packages where !["libc6", "libgcc-s1"].contains(package) {
      #expect(run.contains(" \(package) ") || run.contains(" \(package)\n"), "\(package)")
    }
    let embedding = try String(
      contentsOf: Document.top.appendingPathComponent("Sources/CShippedFiles/CShippedFiles.c"), encoding: .utf8)
    for line in embedding.split(separator: "\n") where line.hasPrefix("#embed") {
      let path = line.split(separator: "\"")[1].dropFirst("../../".count)
      #expect(file.contains("COPY \(path.split(separator: "/")[0]) "), "\(path)")
    }
  }

  @Test func theContainersScriptsDoTheirPart() async throws {
    let service = RunningService()
    try await service.start()
    let port = service.address.split(separator: ":").last!
    try succeed("deploy/container/healthcheck \(port)")
    await service.end(SIGTERM)
    try succeed("! deploy/container/healthcheck \(port)")
    let help = try succeed(
      """
      export PATH=$(dirname $program):$PATH
      echo secret > $work/password
      RELAYRISK_DATABASE_PASSWORD_FILE=$work/password deploy/container/entrypoint --help
      ! RELAYRISK_DATABASE_PASSWORD_FILE=$work/none deploy/container/entrypoint --version
      """)
    #expect(help.contains("relayrisk serve") && help.contains("No such file"))
  }
}
