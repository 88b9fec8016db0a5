import EventLoop
import Foundation
import HTTPServer
import Logging
import Postgres
import Synchronization
import TestHarness

@testable import Service

/// The PostgreSQL that all tests of this process share, with one migrated database that the others are copied from.
final class TestPostgres: Sendable {
  static let shared = Task { try await TestPostgres() }

  let connectionString: String
  private let cluster: PrivateCluster
  private let count = Mutex(0)

  private init() async throws {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    cluster = PrivateCluster(dataDirectory: directory, logger: quietLogger)
    connectionString = try await cluster.start()
    _ = try await onDatabase("relayrisk") { try await $0.execute("create database template_of_tests") }
    try await onDatabase("template_of_tests") { database in
      try await Migrator(migrations: RiskService.migrations).migrate(database)
      // Tests have clocks of their own, so partitions reach back to their times.
      let first = Timestamp(microsecondsSince1970: 1_735_689_600_000_000)
      let last = Timestamp(microsecondsSince1970: 1_800_000_000_000_000)
      _ = try await database.query("select make_result_partitions(\(first), \(last))") { try $0.next(Int32.self) }
    }
  }

  /// A database of its own for one test, migrated and empty.
  func makeDatabase() async throws -> String {
    let name = "test_\(count.withLock { count in count += 1; return count })"
    _ = try await onDatabase("relayrisk") { database in
      try await database.execute("create database \(unsafeRaw: name) template template_of_tests")
    }
    return name
  }

  func configuration(_ name: String) -> DatabaseConfiguration {
    DatabaseConfiguration(connectionString: connectionString, overrides: [("dbname", name)])
  }

  /// Runs something beside the service, for as long as it takes: a machine under load may copy a database for 10 s.
  func onDatabase<Value: Sendable>(
    _ name: String, _ body: @Sendable (Database) async throws -> Value
  ) async throws -> Value {
    let loop = EventLoop(name: "test-db")
    loop.start()
    var configuration = configuration(name)
    configuration.statementTimeoutMilliseconds = 0
    let database = Database(configuration, loop: loop, logger: quietLogger)
    let result: Result<Value, any Error>
    do { result = .success(try await body(database)) } catch { result = .failure(error) }
    await database.close()
    loop.stop()
    return try result.get()
  }
}

var quietLogger: Logger {
  var logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) }
  logger.logLevel = .critical
  return logger
}

/// What evidence is encrypted under in tests.
let testMasterKey = MasterKey(base64: String(repeating: "A", count: 43) + "=")!

/// A clock that a test sets.
final class TestClock: Sendable {
  private let milliseconds: Mutex<Int64>
  init(_ time: String) { milliseconds = Mutex(Instant(rfc3339: time)!.milliseconds) }
  func advance(milliseconds delta: Int64) { milliseconds.withLock { $0 += delta } }
  var now: Instant { Instant(milliseconds: milliseconds.withLock { $0 }) }
  var clock: Service.Clock { Service.Clock { self.now } }
}

/// One instance of the service behind a real socket.
final class TestInstance: Sendable {
  let service: RiskService
  let database: Database
  let client: APIClient
  let adminKey: String
  let configuration: DatabaseConfiguration
  private let server: Server
  private let loops: [EventLoop]
  private let following: Task<Void, Never>

  static func start(
    on databaseName: String, clock: Service.Clock = .system, intakeLimits: Intake.Limits = Intake.Limits(),
    adminKey: String? = nil, trustedProxies: TrustedProxies = TrustedProxies([]), signOn: SignOn? = nil,
    masterKey: MasterKey? = testMasterKey
  ) async throws -> TestInstance {
    let configuration = try await TestPostgres.shared.value.configuration(databaseName)
    return try await start(
      on: configuration, clock: clock, intakeLimits: intakeLimits, adminKey: adminKey, trustedProxies: trustedProxies,
      signOn: signOn, masterKey: masterKey)
  }

  static func start(
    on configuration: DatabaseConfiguration, clock: Service.Clock = .system,
    intakeLimits: Intake.Limits = Intake.Limits(), adminKey: String? = nil,
    trustedProxies: TrustedProxies = TrustedProxies([]), signOn: SignOn? = nil, masterKey: MasterKey? = testMasterKey,
    masterKeys: MasterKeyRing? = nil
  ) async throws -> TestInstance {
    let loop = EventLoop(name: "test-pg")
    loop.start()
    let database = Database(configuration, loop: loop, logger: quietLogger)
    let reader = EventLoop(name: "test-reader")
    reader.start()
    let service = try RiskService(
      database: database, masterKeys: masterKeys ?? masterKey.map { MasterKeyRing([$0]) }, reader: reader, clock: clock,
      intakeLimits: intakeLimits,
      logger: quietLogger, signOn: signOn)
    try await service.load()
    var key = adminKey
    if key == nil { key = try await service.createKey(name: "admin", scopes: [.admin], source: nil) }
    let server = Server(
      router: try service.router(), listen: ListenAddress(host: "127.0.0.1", port: 0), loops: 1, logger: quietLogger,
      problem: RiskService.problem, observe: service.observe, trustedProxies: trustedProxies)
    service.observe(connectionsOf: server)
    let address = try server.start()
    return TestInstance(
      service: service, database: database, server: server, loops: [loop, reader],
      client: APIClient(base: "http://\(address)", key: key), adminKey: key!, configuration: configuration)
  }

  private init(
    service: RiskService, database: Database, server: Server, loops: [EventLoop], client: APIClient, adminKey: String,
    configuration: DatabaseConfiguration
  ) {
    self.service = service
    self.database = database
    self.server = server
    self.loops = loops
    self.client = client
    self.adminKey = adminKey
    self.configuration = configuration
    following = Task { await service.follow() }
  }

  func stop() async {
    await server.stop()
    following.cancel()
    await following.value
    await database.close()
    for loop in loops { loop.stop() }
  }

  /// A key for one scope.
  func key(_ scopes: Scope..., source: String? = nil) async throws -> APIClient {
    client.with(key: try await service.createKey(name: "test", scopes: scopes, source: source))
  }
}

/// Runs `body` with an instance on a database of its own.
func withInstance<Value: Sendable>(
  clock: Service.Clock = .system, intakeLimits: Intake.Limits = Intake.Limits(),
  _ body: @Sendable (TestInstance) async throws -> Value
) async throws -> Value {
  let instance = try await TestInstance.start(
    on: try await TestPostgres.shared.value.makeDatabase(), clock: clock, intakeLimits: intakeLimits)
  let result: Result<Value, any Error>
  do { result = .success(try await body(instance)) } catch { result = .failure(error) }
  await instance.stop()
  return try result.get()
}

/// An instance with the provider `acme` (acme.example, api.acme.example) and the source `lab` (trust 0.8).
func withRegisteredRelay<Value: Sendable>(
  clock: Service.Clock = .system, _ body: @Sendable (TestInstance) async throws -> Value
) async throws -> Value {
  try await withInstance(clock: clock) { instance in
    try await registerRelay(with: instance.client)
    return try await body(instance)
  }
}

func registerRelay(with client: APIClient) async throws {
  _ = try await client.post(
    "/v1/providers", #"{"slug":"acme","name":"Acme","hosts":["acme.example","api.acme.example"]}"#)
  _ = try await client.post("/v1/sources", #"{"slug":"lab","name":"Lab"}"#)
}
