import Crypto
import Postgres
import RiskModel

/// The published scores in memory, what of them is out of date, and what has to be published instead.
///
/// Every instance follows what is published and knows what is pending; the one that holds the lock of `ScoreSweeper`
/// publishes it. So another can go on at once, and all give the same answers.
actor ScorePublisher {
  private let scorer: Scorer
  private let index: ScoreIndex
  private let store: PublicationStore
  private let onEvents: @Sendable (_ events: [ScoreEvent], _ versions: Range<Int>) -> Void

  private var published: [Identifier: PublishedScore] = [:]
  /// Everything published up to this version is here.
  private(set) var version = 0
  /// The last event of each provider that had one.
  private var lastEvents: [Identifier: ScoreEvent] = [:]
  private var lastEventVersion = 0
  /// Whose published score is out of date.
  private var pending: Set<Identifier> = []
  /// Whether something that was pending is on its way to the database.
  private var isPublishing = false
  /// Whose evidence, decisions or entry changed since the last event.
  private var changed: Set<Identifier> = []
  /// The trust that sources had when the scores were last looked at, and when it was seen to be another.
  private var sourceGeneration = -1
  private var sourcesChangedAt: Instant?
  private var checksum: (version: Int, text: String)?

  /// So many are published in one statement, which takes about 30 ms to put together.
  private static let batchCountMax = 200

  /// - Parameter onEvents: told of each event once, in their order: all that there are behind the range's lower bound
  ///   and up to its upper bound.
  init(
    scorer: Scorer, index: ScoreIndex, store: PublicationStore,
    onEvents: @escaping @Sendable ([ScoreEvent], Range<Int>) -> Void
  ) {
    self.scorer = scorer
    self.index = index
    self.store = store
    self.onEvents = onEvents
  }

  /// What is published is of the active methodology.
  private var scoring: ScoringMethodology { scorer.methodologies.active }

  // MARK: - Keeping up

  /// Reads what is published.
  func load() async throws {
    let events = try await store.lastEvents()
    for event in events { lastEvents[event.provider] = event }
    lastEventVersion = events.map(\.version).max() ?? 0
    onEvents([], lastEventVersion..<lastEventVersion)
    try await catchUp()
  }

  /// Reads what was published since.
  func catchUp() async throws {
    while true {
      let rows = try await store.published(after: version)
      for row in rows where row.version > published[row.provider]?.version ?? 0 {
        published[row.provider] = row
        if pending.contains(row.provider), !isDue(row.provider) { pending.remove(row.provider) }
      }
      version = max(version, rows.last?.version ?? 0)
      if rows.count < PublicationStore.rowsCountMax { break }
    }
    while lastEventVersion < version {
      let (known, head) = (lastEventVersion, version)
      let stored = try await store.events(after: known)
      // Somebody else may have read them meanwhile.
      guard lastEventVersion == known else { continue }
      // The news of a provider that was registered just now may still be on its way.
      let events = stored.prefix { scorer.registry.provider(id: $0.provider) != nil }
      for event in events {
        lastEvents[event.provider] = event
        changed.remove(event.provider)
      }
      let isAll = events.count == stored.count && events.count < PublicationStore.rowsCountMax
      lastEventVersion = max(events.last?.version ?? known, isAll ? head : known)
      onEvents(Array(events), known..<lastEventVersion)
      if events.count < stored.count { return }
    }
  }

  /// Looks at the scores that may have moved.
  func refresh() async {
    let renewed = await index.takeRenewed()
    if sourceGeneration != renewed.sourceGeneration {
      if sourceGeneration >= 0 { sourcesChangedAt = scorer.clock.now() }
      sourceGeneration = renewed.sourceGeneration
    }
    changed.formUnion(renewed.changed)
    for id in renewed.changed.union(renewed.aged) {
      if isDue(id) { pending.insert(id) } else { pending.remove(id) }
    }
  }

  private func isDue(_ id: Identifier) -> Bool {
    guard let provider = scorer.registry.provider(id: id), provider.status != .retired else {
      return published[id]?.body != nil
    }
    let scoring = scoring
    let live = scorer.standing(of: provider, under: scoring)
    guard let score = published[id] else { return true }
    return score.isStale(beside: live, of: provider, methodologyHash: scoring.hash) || isEventDue(live, of: id)
  }

  private func isEventDue(_ live: Standing, of id: Identifier) -> Bool {
    guard let last = lastEvents[id] else { return live.hasEvidence }
    return ScoreEvent.isDue(from: last.after, to: ScoreEvent.State(live))
  }

  // MARK: - Publishing

  /// Publishes what is pending.
  /// - Parameter connection: the one whose session holds the lock, so that who lost it cannot write.
  func publish(on connection: Connection) async throws {
    isPublishing = true
    defer { isPublishing = false }
    while !pending.isEmpty {
      let (head, ids) = (version, Array(pending.prefix(Self.batchCountMax)))
      pending.subtract(ids)
      do {
        let drafts = ids.compactMap(draft)
        if !drafts.isEmpty {
          try await store.publish(drafts, after: head, at: scorer.clock.now(), on: connection)
          try await catchUp()
          // Somebody else is publishing: what is left has its turn with the next sweep.
          if version == head { return pending.formUnion(ids) }
        }
      } catch {
        pending.formUnion(ids)
        throw error
      }
      // Whatever was not stored, because another had published meanwhile, is still due.
      pending.formUnion(ids.filter(isDue))
    }
  }

  private func draft(_ id: Identifier) -> PublicationStore.Draft? {
    guard isDue(id) else { return nil }
    guard let provider = scorer.registry.provider(id: id), provider.status != .retired else {
      let basis = published[id]!.basis
      return PublicationStore.Draft(provider: id, basis: basis, body: nil, event: nil)
    }
    let scoring = scoring
    let document = scorer.document(of: provider, isFull: false, in: .english, under: scoring, isKept: false)
    let live = document.standing
    let basis = PublishedScore.Basis(
      providerVersion: provider.version, methodologyHash: scoring.hash, newest: live.newest)
    let body = PublishedScore.body(of: provider, live, etag: document.etag)
    return PublicationStore.Draft(provider: id, basis: basis, body: body, event: event(live, of: id, under: scoring))
  }

  private func event(
    _ live: Standing, of id: Identifier, under scoring: ScoringMethodology
  ) -> PublicationStore.Draft.Event? {
    guard isEventDue(live, of: id) else { return nil }
    let last = lastEvents[id]
    return PublicationStore.Draft.Event(
      methodology: scoring.id, at: live.evaluatedAt,
      cause: cause(of: live, of: id, under: scoring, since: last),
      before: last?.after, after: ScoreEvent.State(live))
  }

  private func cause(
    of live: Standing, of id: Identifier, under scoring: ScoringMethodology, since last: ScoreEvent?
  ) -> ScoreEvent.Cause {
    if let last, last.methodologyHash != scoring.hash { return .methodology }
    // A decision is what came last when nothing newer was seen, or when it was taken since the last event.
    if let decided = scorer.board.evidence(of: id).evidence.decisions.lastTakenAt {
      if let last { if decided > last.at { return .decision } } else if decided == live.newest { return .decision }
    }
    if changed.contains(id) || live.newest > last?.at ?? Instant(milliseconds: 0) { return .evidence }
    // What another trust moves it moves at once.
    guard let sourcesChangedAt else { return .time }
    return live.evaluatedAt < sourcesChangedAt + 60_000 ? .decision : .time
  }

  // MARK: - Reading

  /// What changed since a version, and a way to tell whether a copy is right.
  struct Changes: Sendable {
    let version: Int
    /// Whether the items are all there are.
    let isFull: Bool
    let items: [PublishedScore]
    let removed: [Identifier]
    let checksum: String
  }

  /// Whether something that this instance knows of is still to be published.
  var isBehind: Bool { isPublishing || !pending.isEmpty }

  /// - Parameter since: nil for everything.
  func changes(since: Int?) -> Changes {
    let isFull = since.map { $0 < 1 || $0 > version } ?? true
    let changed = published.values.filter { isFull || $0.version > since! }
    return Changes(
      version: version, isFull: isFull,
      items: changed.filter { $0.body != nil }.sorted { $0.provider < $1.provider },
      removed: isFull ? [] : changed.filter { $0.body == nil }.map(\.provider).sorted(),
      checksum: currentChecksum())
  }

  /// SHA-256 over a line `id:etag` for each provider that is not retired, in the order of ids.
  private func currentChecksum() -> String {
    if let checksum, checksum.version == version { return checksum.text }
    var hash = SHA256()
    var isFirst = true
    for score in published.values.filter({ $0.body != nil }).sorted(by: { $0.provider < $1.provider }) {
      hash.update(data: Array("\(isFirst ? "" : "\n")\(score.provider):\(score.etag)".utf8))
      isFirst = false
    }
    let text = hexadecimal(hash.finalize())
    checksum = (version, text)
    return text
  }
}
