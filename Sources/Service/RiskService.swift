import Crypto
import EventLoop
import HTTPServer
import Logging
import Postgres
import RiskModel
import Synchronization

/// The service without its sockets: the parts, put together, and the routes over them.
public final class RiskService: Sendable {
  /// What the capabilities are made of.
  struct Parts: Sendable {
    let database: Database
    let catalogue: Catalogue
    let clock: Clock
    let identifiers: IdentifierGenerator
    let logger: Logger
    let changes: ChangeLog
    let audit: AuditLog
    let keys: KeyStore
    let signingKeys: SigningKeyStore
    let sources: SourceStore
    let providers: ProviderStore
    let vault: EvidenceVault
    let results: ResultStore
    let methodologies: MethodologyRegister
    let methodologyStore: MethodologyStore
    let decisions: DecisionStore
    let disputes: DisputeStore
    let horizon: Horizon
    let retention: RetentionStore
    let keyRing: KeyRing
    let signingKeyRing: SigningKeyRing
    let registry: Registry
    let board: ScoreBoard
    let scorer: Scorer
    let scoreIndex: ScoreIndex
    let publications: PublicationStore
    let publisher: ScorePublisher
    let events: EventHub
    let streamPermits: StreamPermits
    let resultStreamPermits: StreamPermits
    let requestMetrics: RequestMetrics
    let intakeMetrics: IntakeMetrics

    /// Slow clients that began in different minutes keep as many states of all scores: some 10 MB of 10,000 providers.
    private static let streamsCountMax = 32

    init(database: Database, catalogue: Catalogue, masterKeys: MasterKeyRing?, clock: Clock, logger: Logger) {
      self.database = database
      self.catalogue = catalogue
      self.clock = clock
      self.logger = logger
      identifiers = IdentifierGenerator()
      changes = ChangeLog(database: database, instance: identifiers.next(at: clock.now()))
      audit = AuditLog(database: database)
      keys = KeyStore(database: database, changes: changes)
      signingKeys = SigningKeyStore(database: database, changes: changes)
      sources = SourceStore(database: database, changes: changes)
      providers = ProviderStore(database: database, changes: changes)
      vault = EvidenceVault(database: database, masterKeys: masterKeys, logger: logger)
      results = ResultStore(
        database: database, methodology: catalogue.methodology, changes: changes, vault: vault)
      methodologies = MethodologyRegister(shipped: catalogue.scoringMethodology)
      methodologyStore = MethodologyStore(database: database, changes: changes, register: methodologies)
      decisions = DecisionStore(database: database, changes: changes)
      disputes = DisputeStore(database: database, changes: changes, methodologies: methodologyStore)
      horizon = Horizon(database: database)
      retention = RetentionStore(database: database, methodologies: methodologyStore, changes: changes)
      keyRing = KeyRing(clock: clock)
      signingKeyRing = SigningKeyRing()
      registry = Registry()
      board = ScoreBoard()
      scorer = Scorer(
        catalogue: catalogue, methodologies: methodologies, registry: registry, board: board, clock: clock)
      scoreIndex = ScoreIndex(scorer: scorer)
      publications = PublicationStore(database: database)
      let events = EventHub(store: publications, registry: registry, keys: keyRing, clock: clock)
      self.events = events
      publisher = ScorePublisher(
        scorer: scorer, index: scoreIndex, store: publications, onEvents: { events.append($0, of: $1) })
      streamPermits = StreamPermits(countMax: Self.streamsCountMax, of: "whole lists")
      resultStreamPermits = StreamPermits(countMax: ResultStream.streamsCountMax, of: "streams of results")
      requestMetrics = RequestMetrics()
      intakeMetrics = IntakeMetrics()
    }
  }

  let parts: Parts
  let feed: ChangeFeed
  private let intakeOnceLoaded = Mutex<Intake?>(nil)
  private let idempotencyOnceLoaded = Mutex<Idempotency?>(nil)
  private let gateOfServer = Mutex<ConnectionGate?>(nil)
  private let reader: EventLoop
  private let signOn: SignOn?
  private let intakeLimits: Intake.Limits

  /// The migrations that the service needs.
  public static var migrations: [Migration] { ShippedFiles.migrations }

  /// - Parameters:
  ///   - database: with all migrations applied by the time `load` is called.
  ///   - masterKeys: that evidence is encrypted under; nil: it is stored in the clear, where none is encrypted yet.
  ///   - reader: a loop that answers no requests, where large bodies are read; it runs for as long as the service.
  ///   - signOn: whose tokens are taken beside keys; nil for nobody's.
  /// - Throws: what is wrong with a shipped document; never in a build that passed its tests.
  public convenience init(
    database: Database, masterKeys: MasterKeyRing? = nil, reader: EventLoop, clock: Clock = .system, logger: Logger,
    signOn: SignOn? = nil
  ) throws {
    try self.init(
      database: database, masterKeys: masterKeys, reader: reader, clock: clock, intakeLimits: Intake.Limits(),
      logger: logger, signOn: signOn)
  }

  init(
    database: Database, masterKeys: MasterKeyRing?, reader: EventLoop, clock: Clock, intakeLimits: Intake.Limits,
    logger: Logger, signOn: SignOn?
  ) throws {
    self.intakeLimits = intakeLimits
    // Found out now: the system's answer may take a while, and comes from a place that all threads share.
    _ = Author.command
    parts = Parts(
      database: database, catalogue: try Catalogue(), masterKeys: masterKeys, clock: clock, logger: logger)
    feed = ChangeFeed(parts)
    self.reader = reader
    self.signOn = signOn
  }

  /// A body larger than this takes long enough to read that it is read elsewhere: about a millisecond.
  static let ownThreadBytesMin = 64 * 1024

  /// Runs `work` on the body of a request, off the loops that answer requests when the body is large.
  func reading<Value: Sendable>(
    _ body: [UInt8], _ work: @Sendable @escaping () throws -> Value
  ) async throws -> Value {
    if body.count < Self.ownThreadBytesMin { return try work() }
    return try await withTaskExecutorPreference(reader) { try work() }
  }

  /// Runs `work`, which may take milliseconds, off the loops that answer requests.
  func computing<Value: Sendable>(_ work: @Sendable @escaping () async throws -> Value) async throws -> Value {
    try await withTaskExecutorPreference(reader) { try await work() }
  }

  // MARK: - Life

  /// Reads what is stored; the service is ready afterwards.
  /// - Parameter evidence: false for a command that does not need scores.
  public func load(evidence: Bool = true) async throws {
    let digestKey = try await parts.database.query("select digest_key from installation") {
      try $0.next([UInt8].self)
    }[0]
    try await parts.vault.load()
    let fingerprintKey = try await parts.vault.fingerprintKey() ?? Redactor.key(from: digestKey)
    try await parts.methodologyStore.ship(parts.catalogue.scoringMethodology, at: parts.clock.now())
    try await feed.load(evidence: evidence)
    if evidence {
      try await parts.horizon.loadPartitions()
      // Computed from here on in the background; who asks for a list before that is done waits for it.
      await parts.scoreIndex.begin()
      try await parts.publisher.load()
    }
    idempotencyOnceLoaded.withLock {
      $0 = Idempotency(
        store: IdempotencyStore(database: parts.database), vault: parts.vault, results: parts.results,
        digestKey: SymmetricKey(data: digestKey), identifiers: parts.identifiers, clock: parts.clock, reader: reader)
    }
    intakeOnceLoaded.withLock {
      $0 = Intake(
        writer: BatchWriter(
          store: parts.results, methodologies: parts.methodologyStore, changes: parts.changes, board: parts.board,
          clock: parts.clock, metrics: parts.intakeMetrics, logger: parts.logger,
          readChanges: { [feed] in feed.readSoon() }),
        clock: parts.clock, identifiers: parts.identifiers, digestKey: digestKey,
        redactor: Redactor(key: fingerprintKey), metrics: parts.intakeMetrics, limits: intakeLimits,
        loop: parts.database.loop)
    }
  }

  /// Follows what other instances and commands change, until the task is cancelled.
  public func follow() async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [feed] in await feed.follow() }
      group.addTask { [parts] in
        while !Task.isCancelled {
          let begin = ContinuousClock.now
          await parts.scoreIndex.sweep()
          await parts.publisher.refresh()
          // Without its database an instance shows what was published before.
          try? await parts.publisher.catchUp()
          try? await Task.sleep(for: Self.rest(after: ContinuousClock.now - begin))
        }
      }
      group.addTask { [parts] in
        while !Task.isCancelled {
          try? await Task.sleep(for: .seconds(EventHub.heartbeatSeconds))
          parts.events.beat()
        }
      }
      group.addTask { [parts] in
        while !Task.isCancelled {
          // Told in metrics alone; the next time is soon enough.
          try? await parts.horizon.loadPartitions()
          try? await Task.sleep(for: .seconds(Horizon.partitionsEverySeconds))
        }
      }
      group.addTask { [parts] in await AuditHeadLogger(log: parts.audit, logger: parts.logger).run() }
      group.addTask { [parts] in
        await KeyUseWriter(keys: parts.keyRing, store: parts.keys, logger: parts.logger).run()
      }
      if let signOn { group.addTask { await signOn.issuer.follow() } }
      group.addTask { [parts] in
        await ScoreSweeper(database: parts.database, publisher: parts.publisher, logger: parts.logger).run()
      }
    }
  }

  /// How long work rests that is done again and again: when all scores move all the time, looking after them takes a
  /// tenth of a core and no more.
  static func rest(after work: Duration) -> Duration { max(.milliseconds(ChangeFeed.pollMilliseconds), work * 9) }

  /// Makes the partitions that results will need; by the owner of the tables.
  public static func makePartitions(in database: Database, clock: Clock = .system) async throws {
    try await Partitions.ensure(in: database, at: clock.now())
  }

  /// Whether `load` has finished.
  var isLoaded: Bool { intakeOnceLoaded.withLock { $0 != nil } }

  /// - Throws: the problem that says that the service is still loading.
  func intake() throws -> Intake {
    guard let intake = intakeOnceLoaded.withLock({ $0 }) else { throw Problem.starting }
    return intake
  }

  /// - Throws: the problem that says that the service is still loading.
  private func idempotency() throws -> Idempotency {
    guard let idempotency = idempotencyOnceLoaded.withLock({ $0 }) else { throw Problem.starting }
    return idempotency
  }

  // MARK: - HTTP

  /// Every route with what it asks of its caller.
  var endpoints: [Endpoint] {
    let routes: [[Endpoint]] = [
      OperationsRoutes(service: self).endpoints, CatalogueRoutes(catalogue: parts.catalogue).endpoints,
      MethodologyRoutes(service: self).endpoints, ComparisonRoutes(service: self).endpoints,
      ProviderRoutes(service: self).endpoints, ProviderChangeRoutes(parts: parts).endpoints,
      ProviderTransferRoutes(service: self).endpoints, SourceRoutes(parts: parts).endpoints,
      ModelRoutes(models: ModelStore(database: parts.database), clock: parts.clock).endpoints,
      AdvisoryRoutes(parts: parts).endpoints, AuditRoutes(log: parts.audit).endpoints,
      KeyRoutes(parts: parts, catchUp: { [feed] in try await feed.catchUp() }).endpoints,
      SigningKeyRoutes(parts: parts, catchUp: { [feed] in try await feed.catchUp() }).endpoints,
      ProbeResultRoutes(service: self).endpoints, ImportRoutes(service: self).endpoints,
      ResultListRoutes(parts: parts).endpoints, VoidRoutes(parts: parts).endpoints,
      ErasureRoutes(parts: parts).endpoints,
      ScoreRoutes(service: self).endpoints, DecisionRoutes(parts: parts).endpoints,
      LookupRoutes(service: self).endpoints, ScoreListRoutes(service: self).endpoints,
      SimulationRoutes(service: self).endpoints, DisputeRoutes(parts: parts).endpoints,
      ProbePlanRoutes(service: self).endpoints,
      ChangeRoutes(service: self).endpoints, EventRoutes(parts: parts).endpoints,
    ]
    return routes.flatMap { $0 }
  }

  /// - Throws: `RouteConflict` when two routes cannot be told apart, which a test would have shown.
  public func router() throws -> Router {
    let gate = Gate(
      keys: parts.keyRing, tokens: signOn.map { TokenRing($0, clock: parts.clock) },
      signingKeys: parts.signingKeyRing, registry: parts.registry, clock: parts.clock,
      catchUp: { [feed] in try await feed.catchUp() })
    return try Router(
      endpoints.map { endpoint in
        endpoint.route(behind: gate, isLoaded: { [self] in isLoaded }, idempotency: { [self] in try idempotency() })
      })
  }

  /// How errors of handlers are shown.
  public static var problem: @Sendable (any Error) -> Problem? { Problem.rendering }

  /// Whose connections `/metrics` speaks of.
  var connectionGate: ConnectionGate? { gateOfServer.withLock { $0 } }

  /// Shows a server's connections in `/metrics`.
  public func observe(connectionsOf server: Server) { gateOfServer.withLock { $0 = server.gate } }
}
