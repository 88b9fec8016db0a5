import Logging
import Postgres
import Synchronization

/// Keeps memory at what is stored: everything at the start, then what each change names.
///
/// Asking every 250 ms is enough by itself; a notification only makes the next question come sooner. LISTEN passes
/// neither a transaction pooler nor a standby.
actor ChangeFeed {
  private let changes: ChangeLog
  private let keys: KeyStore
  private let signingKeys: SigningKeyStore
  private let sources: SourceStore
  private let providers: ProviderStore
  private let results: ResultStore
  private let methodologies: MethodologyStore
  private let decisions: DecisionStore
  private let disputes: DisputeStore
  private let horizon: Horizon
  private let keyRing: KeyRing
  private let signingKeyRing: SigningKeyRing
  private let registry: Registry
  private let board: ScoreBoard
  private let scorer: Scorer
  private let clock: Clock
  private let logger: Logger

  private var version = 0
  private var catchingUp: Task<Void, any Error>?
  private let hints: AsyncStream<Void>
  private let hint: AsyncStream<Void>.Continuation

  static let pollMilliseconds = 250

  init(_ parts: RiskService.Parts) {
    changes = parts.changes
    keys = parts.keys
    signingKeys = parts.signingKeys
    sources = parts.sources
    providers = parts.providers
    results = parts.results
    methodologies = parts.methodologyStore
    decisions = parts.decisions
    disputes = parts.disputes
    horizon = parts.horizon
    keyRing = parts.keyRing
    signingKeyRing = parts.signingKeyRing
    registry = parts.registry
    board = parts.board
    scorer = parts.scorer
    clock = parts.clock
    logger = parts.logger
    (hints, hint) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Reads everything. What changes meanwhile is read again afterwards, since the version is taken first.
  func load(evidence: Bool) async throws {
    let now = clock.now()
    version = try await changes.head()
    try await loadAccess()
    try await horizon.load()
    methodologies.register.replace(with: try await methodologies.load())
    try await loadProviders(nil, evidence: evidence)
    changes.tookOver(through: version)
    board.confirm(asOf: now)
  }

  /// Makes `follow` look for changes now.
  nonisolated func readSoon() { hint.yield() }

  private func loadAgain() async throws {
    let now = clock.now()
    version = try await changes.head()
    try await loadAccess()
    try await horizon.load()
    try await loadMethodologies()
    try await loadProviders(nil, evidence: true)
    changes.tookOver(through: version)
    board.confirm(asOf: now)
  }

  /// Follows the changes until the task is cancelled.
  func follow() async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [changes, hint] in
        await changes.database.listen(
          to: ChangeLog.channel, onNotification: { if !changes.isOwnBatch($0) { hint.yield() } },
          onConnect: { hint.yield() })
      }
      group.addTask { [hint] in
        while !Task.isCancelled {
          try? await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
          hint.yield()
        }
      }
      var wasLost = false
      for await _ in hints {
        do {
          try await catchUp()
          if wasLost { logger.info("the database answers again") }
          wasLost = false
        } catch {
          if !wasLost {
            logger.warning(
              "the database does not answer: scores are served from memory", metadata: ["error": "\(error)"])
          }
          wasLost = true
        }
        if Task.isCancelled { break }
      }
      group.cancelAll()
    }
  }

  /// Reads what is newer than what is here. Callers that come while it is under way share one reading that begins
  /// after they came, so that many unknown keys cost one statement.
  func catchUp() async throws {
    if let running = catchingUp {
      _ = try? await running.value
      if let next = catchingUp, next != running { return try await next.value }
    }
    let task = Task { try await readChanges() }
    catchingUp = task
    defer { if catchingUp == task { catchingUp = nil } }
    try await task.value
  }

  private func readChanges() async throws {
    while true {
      let now = clock.now()
      let entries = try await changes.entries(after: version)
      // Versions have no gaps: what is missing was removed since, and can only be read as a whole.
      if let last = entries.last, last.version != version + entries.count { return try await loadAgain() }
      let news = entries.filter { !changes.isApplied($0) }
      if news.contains(where: \.access) { try await loadAccess() }
      if news.contains(where: \.horizon) { try await horizon.load() }
      if news.contains(where: \.methodologies) { try await loadMethodologies() }
      let changed = Array(Set(news.flatMap(\.providers)))
      if !changed.isEmpty { try await loadProviders(changed, evidence: true) }
      if let last = entries.last { version = max(version, last.version) }
      changes.tookOver(through: version)
      board.confirm(asOf: now)
      if entries.count < ChangeLog.entriesCountMax { return }
    }
  }

  private func loadAccess() async throws {
    // Keys are read before sources, so that no key is known whose source is not.
    let stored = try await keys.all()
    let storedSigningKeys = try await signingKeys.all()
    for source in try await sources.all() { registry.apply(source) }
    keyRing.replace(with: stored)
    signingKeyRing.replace(with: storedSigningKeys)
  }

  /// The cells of a methodology are here before anything is scored from them.
  private func loadMethodologies() async throws {
    let register = methodologies.register
    let set = try await methodologies.load()
    let known = register.current
    let complete = set.all.filter { methodology in
      let before = known[methodology.id]
      return methodology.isComplete
        && (before?.isComplete != true || before?.foldingVersion != methodology.foldingVersion)
    }
    if !complete.isEmpty { try await loadCells(of: registry.providers.map(\.id), under: complete.map(\.id)) }
    if set.active.id != known.active.id {
      // What the lists show is computed before it is asked for.
      for (index, provider) in registry.providers.enumerated() {
        if index % 64 == 63 { await Task.yield() }
        _ = scorer.standing(of: provider, under: set.active)
      }
    }
    register.replace(with: set)
    let folded = Set(set.folding.methodologies.map(\.id))
    board.forget(but: folded)
    scorer.forget(but: folded)
  }

  private func loadCells(of providers: [Identifier], under methodologies: [String]) async throws {
    try await results.eachCells(of: providers, under: methodologies) { [board] in board.apply($0) }
  }

  private func loadProviders(_ ids: [Identifier]?, evidence: Bool) async throws {
    let loaded = try await providers.providers(ids)
    for provider in loaded { registry.apply(provider) }
    guard evidence else { return }
    let folded = methodologies.register.folding.methodologies.map(\.id)
    try await loadCells(of: ids ?? loaded.map(\.id), under: folded)
    let waivers = try await decisions.waivers(of: ids)
    let incidents = try await decisions.incidents(of: ids)
    let disputes = try await disputes.disputes(of: ids)
    for id in ids ?? Array(Set(waivers.keys).union(incidents.keys).union(disputes.keys)) {
      board.apply(
        waivers: (waivers[id] ?? []).map(\.waiver), incidents: (incidents[id] ?? []).map(\.incident),
        disputes: disputes[id] ?? [], of: id)
    }
  }
}
