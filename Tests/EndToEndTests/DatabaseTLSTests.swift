import Foundation
import TestHarness
import Testing

/// A database across a network, by a connection string that has its certificate verified.
@Suite struct DatabaseTLSTests {
  /// Makes a PostgreSQL in the folder $0 that takes connections over TLS alone, on 127.0.0.1 and port $1, with a
  /// certificate for the name `localhost`; and a root certificate that has nothing to do with it. As another user for
  /// root, whom PostgreSQL refuses.
  private static let setUp = """
    set -eu
    mkdir "$0" && cd "$0"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
      -keyout server.key -out server.crt 2> /dev/null
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout /dev/null -out other.crt 2> /dev/null
    chmod 600 server.key
    as=
    if [ "$(id -u)" = 0 ]; then
      chown -R postgres .
      as="setpriv --reuid=postgres --regid=postgres --init-groups --"
    fi
    bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
    $as "$bin/initdb" -D data -U relayrisk -A trust -N > /dev/null
    echo 'hostssl all all 127.0.0.1/32 trust' > data/pg_hba.conf
    $as "$bin/pg_ctl" start -w -s -D data -l data/log -o "-p $1 -c listen_addresses=127.0.0.1 \
      -c unix_socket_directories= -c fsync=off -c ssl=on -c ssl_cert_file=$0/server.crt -c ssl_key_file=$0/server.key"
    """

  @Test func itsCertificateIsVerifiedAsTheConnectionStringDemands() async throws {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    // Another user has to get through to the server's files.
    chmod(directory, 0o755)
    let (held, port) = try listeningSocket()
    try held.close()
    let work = directory + "/server"
    #expect(Shell.run(["/bin/sh", "-c", Self.setUp, work, "\(port)"]) == 0)
    defer { Shell.run(["/bin/sh", "-c", "kill -QUIT $(head -n 1 \"$0/data/postmaster.pid\")", work]) }

    func migrate(
      _ mode: String, host: String = "localhost", root: String = "server.crt"
    ) async throws -> Program.Outcome {
      let url = """
        host=\(host) hostaddr=127.0.0.1 port=\(port) user=relayrisk dbname=postgres sslmode=\(mode) \
        sslrootcert=\(work)/\(root)
        """
      return try await Program.run(["migrate", "--database-url", url])
    }
    for (outcome, said) in [
      (try await migrate("verify-full", root: "other.crt"), "certificate verify failed"),
      // The right certificate, and another server's name.
      (try await migrate("verify-full", host: "db.example"), "does not match host name"),
      (try await migrate("disable"), "no encryption"),
    ] {
      #expect(outcome.status != 0 && outcome.errors.contains(said), "\(outcome)")
    }
    let verified = try await migrate("verify-full")
    #expect(verified.status == 0, "\(verified)")
  }
}
