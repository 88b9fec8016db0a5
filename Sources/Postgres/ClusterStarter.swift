import CLibPQ
import Glibc
import Logging

/// The blocking steps that make, start, adopt and stop the private cluster. Runs on a `BlockingThread`, under the
/// exclusive lock of `PrivateCluster`.
struct ClusterStarter: Sendable {
  static let role = "relayrisk"
  static let startTimeoutSeconds = 300

  /// Without symbolic links.
  let dataDirectory: String
  let user: ClusterUser
  let logger: Logger

  var cluster: String { "\(dataDirectory)/postgres" }
  private var logFile: String { "\(dataDirectory)/postgres.log" }
  private var sockets: SocketDirectory { SocketDirectory(record: "\(dataDirectory)/postgres-socket", user: user) }

  init(dataDirectory: String, logger: Logger) throws(PrivateClusterError) {
    // As root the server's user must be able to pass, but nobody need be able to list it.
    try SystemCall.makeDirectories(dataDirectory, mode: geteuid() == 0 ? 0o711 : 0o700)
    self.dataDirectory = try SystemCall.realPath(dataDirectory)
    user = try ClusterUser.choose(cluster: "\(self.dataDirectory)/postgres")
    self.logger = logger
    try user.checkMayEnter(self.dataDirectory)
  }

  /// - Returns: the connection string.
  func ensureRunning() throws(PrivateClusterError) -> String {
    let programs = try PostgresInstallation.matching(cluster)
    if SystemCall.status(of: cluster) == nil { try initialise(programs) }
    if let adopted = try adopt(programs) { return adopted }
    try Postmaster.clearStale(in: cluster, waitSeconds: 10)
    let socket = try sockets.prepare()
    sockets.clearStale(socket)
    try start(programs, socket)
    guard let started = try prepareDatabase(socket) else {
      throw .unusableServer(
        directory: cluster, reason: "it ended right after its start:\n\(ChildProcess.lastLines(of: logFile))")
    }
    return started
  }

  /// - Returns: nil when there is no server to adopt, or it ended while it was asked, as a killed one does.
  private func adopt(_ programs: PostgresInstallation) throws(PrivateClusterError) -> String? {
    guard let postmaster = Postmaster.running(in: cluster) else { return nil }
    guard access(postmaster.socketDirectory, F_OK) == 0 else {
      logger.warning("the socket of the private PostgreSQL vanished: starting it again")
      try stop(programs)
      return nil
    }
    logger.info("using the running private PostgreSQL", metadata: ["pid": "\(postmaster.processID)"])
    return try prepareDatabase(postmaster.socketDirectory)
  }

  func stopIfRunning() throws(PrivateClusterError) {
    if Postmaster.running(in: cluster) != nil { try stop(PostgresInstallation.matching(cluster)) }
    sockets.remove()
  }

  // MARK: - Programs

  /// Made beside its place and renamed, so that a crash in the middle leaves nothing half-made behind.
  private func initialise(_ programs: PostgresInstallation) throws(PrivateClusterError) {
    let prefix = "postgres.initdb-"
    for name in SystemCall.names(in: dataDirectory) where name.hasPrefix(prefix) {
      try run(["/bin/rm", "-rf", "--", "\(dataDirectory)/\(name)"], isPrivileged: true)
    }
    logger.info("making a private PostgreSQL cluster", metadata: ["directory": "\(cluster)"])
    var template = Array("\(dataDirectory)/\(prefix)XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw .system(call: "mkdtemp", path: dataDirectory, errorNumber: errno) }
    let fresh = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    try user.own(fresh)
    try run(
      [
        "\(programs.binDirectory)/initdb", "--pgdata=\(fresh)", "--username=\(Self.role)", "--encoding=UTF8",
        "--locale=C", "--lc-ctype=C.UTF-8", "--data-checksums", "--auth-local=peer", "--auth-host=reject",
        "--no-instructions",
      ])
    // Nobody but the users of the map gets in, by the socket alone; initdb's own file would admit replication too.
    try SystemCall.write("local all all peer map=\(Self.role)\n", to: "\(fresh)/pg_hba.conf")
    try SystemCall.write(identityMap, to: "\(fresh)/pg_ident.conf")
    // As ALTER SYSTEM would: whoever wants other settings changes them the same way.
    let settings = ClusterSettings(memoryBytes: ClusterSettings.memoryBytes())
    try SystemCall.write(settings.text, to: "\(fresh)/postgresql.auto.conf")
    try SystemCall.check(rename(fresh, cluster), "rename", fresh)
  }

  /// Whoever runs the service and whoever runs the server are the one role.
  private var identityMap: String {
    let names = Set(["root", user.name]).sorted()
    return names.map { "\(Self.role) \"\($0)\" \(Self.role)\n" }.joined()
  }

  private func start(_ programs: PostgresInstallation, _ socket: String) throws(PrivateClusterError) {
    logger.info("starting the private PostgreSQL", metadata: ["directory": "\(cluster)"])
    // pg_ctl hands these to a shell; the socket's path was made from plain characters.
    let options = [
      "listen_addresses=''", "port=5432", "unix_socket_directories='\(socket)'", "fsync=on", "full_page_writes=on",
      "synchronous_commit=on",
    ]
    try run(
      [
        "\(programs.binDirectory)/pg_ctl", "start", "-w", "-t", "\(Self.startTimeoutSeconds)", "-s",
        "-o", options.map { "-c \($0)" }.joined(separator: " "),
      ])
  }

  private func stop(_ programs: PostgresInstallation) throws(PrivateClusterError) {
    logger.info("stopping the private PostgreSQL")
    try run(["\(programs.binDirectory)/pg_ctl", "stop", "-m", "fast", "-w", "-t", "120", "-s"])
  }

  /// The cluster's path is passed by PGDATA, not as an argument: pg_ctl would put it into a shell command, where
  /// quotes and dollar signs in it would be the shell's.
  private func run(_ command: [String], isPrivileged: Bool = false) throws(PrivateClusterError) {
    let environment = ["PATH=/usr/bin:/bin", "LC_ALL=C", "PGDATA=\(cluster)"]
    try ChildProcess(
      arguments: (isPrivileged ? [] : user.commandPrefix) + command, environment: environment,
      directory: dataDirectory, logFile: logFile
    ).run()
  }

  // MARK: - Database

  /// Checks that the server on the socket is this directory's, and makes the database.
  /// - Returns: the connection string; nil when the server ended meanwhile.
  private func prepareDatabase(_ socket: String) throws(PrivateClusterError) -> String? {
    guard let maintenance = try connect(connectionString(socket, database: "postgres")) else { return nil }
    defer { maintenance.close() }
    guard let directory = value("SHOW data_directory", maintenance), try SystemCall.realPath(directory) == cluster
    else { throw .unusableServer(directory: cluster, reason: "another server answers on its socket") }
    if value("SELECT 1 FROM pg_database WHERE datname = '\(Self.role)'", maintenance) == nil {
      _ = value("CREATE DATABASE \(Self.role)", maintenance)
    }
    return connectionString(socket, database: Self.role)
  }

  private func connect(_ connectionString: String) throws(PrivateClusterError) -> OpenedConnection? {
    let configuration = DatabaseConfiguration(connectionString: connectionString)
    let deadline = ContinuousClock.now + .seconds(Self.startTimeoutSeconds)
    while true {
      switch Connector.connect(configuration, logger: logger) {
      case .success(let opened): return opened
      case .failure(let failure):
        // An adopted server may still be replaying its log.
        guard Postmaster.running(in: cluster) != nil else { return nil }
        guard ContinuousClock.now < deadline else {
          throw .unusableServer(directory: cluster, reason: failure.reason)
        }
        usleep(100_000)
      }
    }
  }

  /// The first value of a statement of our own; nil when there is none.
  private func value(_ sql: String, _ connection: OpenedConnection) -> String? {
    guard let result = PQexec(connection.pointer, sql) else { return nil }
    defer { PQclear(result) }
    guard PQresultStatus(result) == PGRES_TUPLES_OK, PQntuples(result) > 0 else { return nil }
    return String(cString: PQgetvalue(result, 0, 0))
  }

  /// With the port, so that PGPORT of the environment does not matter.
  private func connectionString(_ socket: String, database: String) -> String {
    "host='\(socket)' port=5432 dbname=\(database) user=\(Self.role)"
  }
}
