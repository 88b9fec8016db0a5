import Postgres
import Synchronization

/// The `change` table: one row a committed change of what instances hold in memory.
final class ChangeLog: Sendable {
  let database: Database
  /// This process.
  let instance: Identifier
  private let progress = Mutex(Progress())

  /// Which changes memory holds.
  private struct Progress {
    /// The newest version that this process knows of.
    var known = 0
    /// Everything up to this version is in memory, read by the feed or this process's own.
    var applied = 0
    /// Versions of own changes above `applied`, or not yet seen by the feed, that are committed for certain and in
    /// memory, so that they need not be read again. After a COMMIT whose outcome is unknown the version is not here.
    var own: Set<Int> = []
    var waiters: [(version: Int, turn: Int, continuation: CheckedContinuation<Bool, Never>)] = []
    var turns = 0

    func holds(_ version: Int) -> Bool { version <= applied || own.contains(version) }

    /// - Returns: who need not wait any longer.
    mutating func advance() -> [CheckedContinuation<Bool, Never>] {
      while own.contains(applied + 1) { applied += 1 }
      known = max(known, applied)
      if waiters.isEmpty { return [] }
      let all = waiters
      waiters = all.filter { !holds($0.version) }
      return all.filter { holds($0.version) }.map(\.continuation)
    }
  }

  init(database: Database, instance: Identifier) {
    self.database = database
    self.instance = instance
  }

  /// The newest version that this process knows of, and the one up to which memory holds everything.
  var versions: (known: Int, applied: Int) { progress.withLock { ($0.known, $0.applied) } }

  private func know(_ version: Int) { progress.withLock { $0.known = max($0.known, version) } }

  private func change(_ body: (inout Progress) -> Void) {
    let ready = progress.withLock { progress in
      body(&progress)
      return progress.advance()
    }
    for continuation in ready { continuation.resume(returning: true) }
  }

  /// Says that memory holds what the change of this version made.
  func markApplied(_ version: Int) {
    change { progress in
      progress.known = max(progress.known, version)
      progress.own.insert(version)
    }
  }

  /// Whether memory holds the change already: it is this process's own, and it was said so.
  func isApplied(_ entry: Entry) -> Bool {
    entry.instance == instance && progress.withLock { $0.own.contains(entry.version) }
  }

  /// Says that memory holds everything up to this version.
  func tookOver(through version: Int) {
    change { progress in
      progress.applied = max(progress.applied, version)
      progress.own = progress.own.filter { $0 > version }
    }
  }

  /// Waits until memory holds all up to this version, or what this process itself changed with it; not for ever.
  /// - Returns: whether it does.
  @discardableResult
  func wait(for version: Int, atMost limit: Duration) async -> Bool {
    await withCheckedContinuation { continuation in
      let turn = progress.withLock { progress -> Int? in
        if progress.holds(version) { return nil }
        progress.turns += 1
        progress.waiters.append((version, progress.turns, continuation))
        return progress.turns
      }
      guard let turn else { return continuation.resume(returning: true) }
      Task {
        try? await Task.sleep(for: limit)
        let late = progress.withLock { progress in
          let index = progress.waiters.firstIndex { $0.turn == turn }
          return index.map { progress.waiters.remove(at: $0) }
        }
        late?.continuation.resume(returning: false)
      }
    }
  }

  /// What NOTIFY is sent on; the payload is a mere hint: the version, and the instance when a batch of results made it.
  static let channel = "relayrisk_change"

  /// Whether a notification is of results that this instance stored: they are in memory by the time or soon will be.
  func isOwnBatch(_ payload: String) -> Bool { payload.hasSuffix(instance.description) }

  /// Records a change. The last statement of its transaction: it takes the lock that orders commits.
  /// - Parameters:
  ///   - methodologies: whether it is a change of the set of methodologies.
  ///   - horizon: whether old results were dropped.
  ///   - set: what the transaction folded results under; nil when it folded none.
  /// - Returns: the change's version.
  /// - Throws: `MethodologiesChanged` when results are to be folded under another set by now.
  @discardableResult
  func append(
    providers: [Identifier] = [], access: Bool = false, methodologies: Bool = false, horizon: Bool = false,
    foldedUnder set: FoldingSet? = nil, at now: Instant, to connection: Connection
  ) async throws -> Int {
    let versions = try await connection.query(
      """
      with head as (
        update change_head set version = version + 1, methodologies = methodologies + \(methodologies ? 1 : 0)
        returning version, methodologies
      ),
      added as (
        insert into change (version, recorded_at, instance, providers, access, methodologies, horizon)
        select version, \(now.timestamp), \(instance), \(providers), \(access), \(methodologies), \(horizon) from head
      )
      select version, methodologies, pg_notify(\(Self.channel), version::text) is null from head
      """
    ) { row in (try row.next(Int.self), try row.next(Int.self)) }
    if let set, set.version != versions[0].1 { throw MethodologiesChanged() }
    return versions[0].0
  }

  /// Records a change by a batch of results, as `append` does; returns its version. It divides by zero when results are
  /// to be folded under another set by now.
  func recording(_ providers: [Identifier], foldedUnder set: FoldingSet, at now: Instant) -> Query {
    """
    with head as (
      update change_head set version = version + 1 / (methodologies = \(set.version))::int returning version
    ),
    added as (
      insert into change (version, recorded_at, instance, providers, access, methodologies)
      select version, \(now.timestamp), \(instance), \(providers), false, false from head
      where pg_notify(\(Self.channel), version || ' ' || \(instance.description)) is not null
    )
    select version from head
    """
  }

  struct Entry: Sendable {
    let version: Int
    let instance: Identifier
    let providers: [Identifier]
    let access: Bool
    let methodologies: Bool
    let horizon: Bool
  }

  /// At most this many changes are read at once; a reader that gets as many asks again.
  static let entriesCountMax = 1_000

  /// The changes after `version`, in the order of their commits.
  func entries(after version: Int) async throws -> [Entry] {
    let entries = try await database.query(
      """
      select version, instance, providers, access, methodologies, horizon from change where version > \(version)
      order by version limit \(Self.entriesCountMax)
      """
    ) { row in
      Entry(
        version: try row.next(Int.self), instance: try row.next(Identifier.self),
        providers: try row.next([Identifier].self), access: try row.next(Bool.self),
        methodologies: try row.next(Bool.self), horizon: try row.next(Bool.self))
    }
    if let last = entries.last { know(last.version) }
    return entries
  }

  /// How long a change is kept: who was away for longer reads everything again.
  private static let keptMilliseconds: Int64 = 7 * 86_400_000
  private static let removedCountMax = 10_000

  /// Removes old changes, or only counts them. The newest stays, so that who asks for what is newer sees that some are
  /// missing.
  func removeOld(at now: Instant, isDryRun: Bool) async throws -> Int {
    let before = (now + -Self.keptMilliseconds).timestamp
    if isDryRun {
      return try await database.query(
        """
        select count(*) from change where recorded_at < \(before) and version < (select version from change_head)
        """
      ) { try $0.next(Int.self) }[0]
    }
    var count = 0
    while true {
      let removed = try await database.execute(
        """
        delete from change
        where recorded_at < \(before) and version < (select version from change_head)
          and version >= (select min(version) from change)
          and version < (select min(version) from change) + \(Self.removedCountMax)
        """)
      count += removed
      if removed < Self.removedCountMax { return count }
    }
  }

  /// The version of the newest change.
  func head() async throws -> Int {
    try await database.query("select version from change_head") { try $0.next(Int.self) }[0]
  }
}
