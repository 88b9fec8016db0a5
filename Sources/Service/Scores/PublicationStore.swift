import Postgres

/// The statements on published scores and their events.
struct PublicationStore: Sendable {
  let database: Database

  /// What is to be published of one provider.
  struct Draft: Sendable {
    let provider: Identifier
    let basis: PublishedScore.Basis
    /// Nil to remove it.
    let body: String?
    let event: Event?

    /// An event but for its version and provider.
    struct Event: Sendable {
      let methodology: String
      let at: Instant
      let cause: ScoreEvent.Cause
      let before: ScoreEvent.State?
      let after: ScoreEvent.State
    }
  }

  // MARK: - Reading

  /// At most so many rows are read at once; a reader that gets as many asks again.
  static let rowsCountMax = 1_000

  /// What was published after `version`, in that order. One statement, so that no version before its last is missing.
  func published(after version: Int) async throws -> [PublishedScore] {
    try await database.query(
      """
      select provider_id, version, provider_version, methodology_hash, newest, body from published_score
      where version > \(version) order by version limit \(Self.rowsCountMax)
      """
    ) { row in
      PublishedScore(
        provider: try row.next(Identifier.self), version: try row.next(Int.self),
        basis: PublishedScore.Basis(
          providerVersion: try row.next(Int.self), methodologyHash: try row.next(String.self),
          newest: Instant(try row.next(Timestamp.self))), body: try row.next(String?.self))
    }
  }

  /// The events after `version`, in their order.
  func events(after version: Int, count: Int = rowsCountMax) async throws -> [ScoreEvent] {
    try await database.query(
      """
      select \(unsafeRaw: Self.eventColumns) from score_event where version > \(version)
      order by version limit \(count)
      """, Self.event)
  }

  /// One provider's events after `version` and from `instant` on, in their order.
  func events(
    of provider: Identifier, after version: Int, from instant: Instant?, count: Int
  ) async throws -> [ScoreEvent] {
    let start = instant ?? Instant(milliseconds: 0)
    return try await database.query(
      """
      select \(unsafeRaw: Self.eventColumns) from score_event
      where provider_id = \(provider) and version > \(version) and at >= \(start.timestamp)
      order by version limit \(count)
      """, Self.event)
  }

  /// The last event of every provider.
  func lastEvents() async throws -> [ScoreEvent] {
    try await database.query(
      """
      select distinct on (provider_id) \(unsafeRaw: Self.eventColumns) from score_event
      order by provider_id, version desc
      """, Self.event)
  }

  /// The version of the newest event recorded before `instant`; 0 when there is none.
  func lastEventVersion(before instant: Instant) async throws -> Int {
    try await database.query(
      """
      select version from score_event where recorded_at < \(instant.timestamp)
      order by recorded_at desc, version desc limit 1
      """
    ) { try $0.next(Int.self) }.first ?? 0
  }

  private static let eventColumns = """
    version, provider_id, methodology, methodology_hash, at, cause, before_score, before_provisional_score,
    before_grade, before_verdict, after_score, after_provisional_score, after_grade, after_verdict
    """

  @Sendable private static func event(_ row: inout Row) throws -> ScoreEvent {
    let (version, provider) = (try row.next(Int.self), try row.next(Identifier.self))
    let (methodology, hash) = (try row.next(String.self), try row.next(String.self))
    let at = Instant(try row.next(Timestamp.self))
    let cause = ScoreEvent.Cause(rawValue: try row.next(String.self))!
    let (score, provisional) = (try row.next(Double?.self), try row.next(Double?.self))
    let (grade, verdict) = (try row.next(String?.self), try row.next(String?.self))
    var before: ScoreEvent.State?
    if let provisional, let verdict {
      before = ScoreEvent.State(score: score, provisionalScore: provisional, grade: grade, verdict: verdict)
    }
    let after = ScoreEvent.State(
      score: try row.next(Double?.self), provisionalScore: try row.next(Double.self),
      grade: try row.next(String?.self), verdict: try row.next(String.self))
    return ScoreEvent(
      version: version, provider: provider, methodology: methodology, methodologyHash: hash, at: at, cause: cause,
      before: before, after: after)
  }

  /// The newest version.
  func head() async throws -> Int {
    try await database.query("select version from score_head") { try $0.next(Int.self) }[0]
  }

  // MARK: - Writing

  /// Publishes all of it, each with a version of its own, or nothing.
  /// - Parameter head: the newest version that the drafts were made with.
  /// - Returns: false when something was published after `head`: then nothing was stored.
  @discardableResult
  func publish(
    _ drafts: [Draft], after head: Int, at now: Instant, on connection: Connection
  ) async throws -> Bool {
    let numbered = drafts.enumerated().compactMap { index, draft in draft.event.map { (index, draft, $0) } }
    let bases = try await connection.query(
      """
      with head as (
        update score_head set version = version + \(drafts.count) where version = \(head) returning \(head) as base
      ), published as (
        insert into published_score (provider_id, version, provider_version, methodology_hash, newest, body)
        select provider, base + place, provider_version, methodology_hash, newest, body
        from head, unnest(
          \(drafts.map(\.provider)), \(drafts.map(\.basis.providerVersion)), \(drafts.map(\.basis.methodologyHash)),
          \(drafts.map(\.basis.newest.timestamp)), \(drafts.map(\.body))
        ) with ordinality as draft (provider, provider_version, methodology_hash, newest, body, place)
        on conflict (provider_id) do update set
          version = excluded.version, provider_version = excluded.provider_version,
          methodology_hash = excluded.methodology_hash, newest = excluded.newest, body = excluded.body
      ), events as (
        insert into score_event (
          version, recorded_at, provider_id, methodology, methodology_hash, at, cause, before_score,
          before_provisional_score, before_grade, before_verdict, after_score, after_provisional_score, after_grade,
          after_verdict)
        select base + place, \(now.timestamp), provider, methodology, hash, at, cause, score_before,
          provisional_before, grade_before, verdict_before, score, provisional, grade, verdict
        from head, unnest(
          \(numbered.map { $0.0 + 1 }), \(numbered.map(\.1.provider)), \(numbered.map(\.2.methodology)),
          \(numbered.map(\.1.basis.methodologyHash)), \(numbered.map(\.2.at.timestamp)),
          \(numbered.map(\.2.cause.rawValue)), \(numbered.map(\.2.before?.score)),
          \(numbered.map(\.2.before?.provisionalScore)), \(numbered.map(\.2.before?.grade)),
          \(numbered.map(\.2.before?.verdict)), \(numbered.map(\.2.after.score)),
          \(numbered.map(\.2.after.provisionalScore)), \(numbered.map(\.2.after.grade)),
          \(numbered.map(\.2.after.verdict))
        ) as event (
          place, provider, methodology, hash, at, cause, score_before, provisional_before, grade_before,
          verdict_before, score, provisional, grade, verdict)
      )
      select base from head
      """
    ) { try $0.next(Int.self) }
    return !bases.isEmpty
  }
}
