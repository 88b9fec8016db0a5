import EventLoop
import Logging
import Postgres
import Service

/// The database that a subcommand works on: the one it was given, or the private cluster.
struct Backend {
  let database: Database
  /// As libpq takes it.
  let connectionString: String
  let isPrivate: Bool
  /// A private cluster has one always.
  let masterKeys: MasterKeyRing?
  /// Where the private cluster's master key is, unless the operator keeps it; nil for another database.
  let ownMasterKeyFile: String?
  private let cluster: PrivateCluster?
  /// For what would hold up a loop that answers requests.
  let reader: EventLoop
  private let loop: EventLoop

  /// Runs `body` with the database connected, and closes it once, whatever came of it.
  static func with<Value>(
    _ options: CommonOptions, logger: Logger, _ body: (Backend) async throws -> Value
  ) async throws -> Value {
    let backend = try await open(options, logger: logger)
    let result: Result<Value, any Error>
    do {
      result = .success(try await body(backend))
    } catch PostgresError.unavailable where !backend.isPrivate {
      result = .failure(CommandFailure.unreachableDatabase)
    } catch {
      result = .failure(error)
    }
    do {
      try await backend.close()
    } catch {
      // What went wrong first is what the user needs to know.
      _ = try result.get()
      throw error
    }
    return try result.get()
  }

  /// The same with every migration applied: a private cluster is migrated by the way, another database never is.
  static func withMigrated<Value>(
    _ options: CommonOptions, logger: Logger, _ body: (Backend) async throws -> Value
  ) async throws -> Value {
    try await with(options, logger: logger) { backend in
      if backend.isPrivate {
        try await backend.migrate()
      } else {
        try await backend.checkServable()
      }
      return try await body(backend)
    }
  }

  /// Connects; a private cluster is made and started when it is not there.
  private static func open(_ options: CommonOptions, logger: Logger) async throws -> Backend {
    var cluster: PrivateCluster?
    var masterKeys = try options.masterKeys()
    var ownMasterKeyFile: String?
    let url: String
    if let given = options.resolvedDatabaseURL {
      url = given
    } else {
      let own = PrivateCluster(dataDirectory: options.resolvedDataDirectory, logger: logger)
      do {
        url = try await own.start()
      } catch let fault as PrivateClusterError {
        guard case .system = fault else { throw fault }
        throw CommandFailure(
          "the data directory \(options.resolvedDataDirectory) cannot be used: \(fault); choose another with --data-dir"
        )
      }
      cluster = own
      if masterKeys == nil {
        do {
          let path = options.resolvedDataDirectory + "/" + MasterKeyFile.name
          masterKeys = MasterKeySource(keys: try MasterKeyFile.readOrMake(path), path: path)
          ownMasterKeyFile = path
        } catch {
          try await own.stop()
          throw error
        }
      }
    }
    let loop = EventLoop(name: "postgres")
    loop.start()
    let reader = EventLoop(name: "reader")
    reader.start()
    let database = Database(DatabaseConfiguration(connectionString: url), loop: loop, logger: logger)
    return Backend(
      database: database, connectionString: url, isPrivate: cluster != nil,
      masterKeys: masterKeys.map { $0.ring(on: reader) }, ownMasterKeyFile: ownMasterKeyFile, cluster: cluster,
      reader: reader, loop: loop)
  }

  /// - Throws: what has to be done first, where another database cannot be worked on.
  func checkServable() async throws {
    let lacking = try await ServingRole.lacking(in: database)
    guard lacking.isEmpty else {
      throw CommandFailure(
        "the database's role may not \(lacking.joined(separator: ", ")); run `relayrisk migrate --serve-role` as the "
          + "owner of the tables")
    }
    guard try await pending().isEmpty else {
      throw CommandFailure("the database lacks migrations; run `relayrisk migrate` as its owner first")
    }
  }

  func pending() async throws -> [Migration] {
    try await Migrator(migrations: RiskService.migrations).pending(in: database)
  }

  /// Applies what is pending and makes the partitions that results need.
  @discardableResult
  func migrate() async throws -> [Migration] {
    let applied = try await Migrator(migrations: RiskService.migrations).migrate(database)
    try await RiskService.makePartitions(in: database)
    return applied
  }

  /// Starts the private cluster's server again when it is gone.
  /// - Returns: whether it was; never with another database.
  func startAgainIfGone() async throws -> Bool { try await cluster?.startAgainIfGone() ?? false }

  /// Closes the connections and, when nobody else uses the private cluster, stops it.
  private func close() async throws {
    await database.close()
    // `stop` waits for the thread, which must not be one of the cooperative pool's; a loop ends within a turn.
    loop.stop()
    reader.stop()
    try await cluster?.stop()
  }
}

/// Why a command gives up, in one sentence that says what to do.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }

  static let unreachableDatabase = CommandFailure(
    "the database cannot be reached, for the reason logged above: see that its server runs and lets this user in, and "
      + "that --database-url (or RELAYRISK_DATABASE_URL) is right, such as 'host=db.internal dbname=relayrisk "
      + "user=relayrisk'")
}
