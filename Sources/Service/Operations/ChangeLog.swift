import Postgres
import Synchronization

/// The `change` table: one row a committed change of what instances hold in memory.
final class ChangeLog: Sendable {
  let database: Database
  /// This process.
  let instance: Identifier
  /// Versions of this process's own changes that are committed for certain and in memory already, so that they need
  /// not be read again. After a COMMIT whose outcome is unknown the version is not among them.
  private let applied = Mutex<Set<Int>>([])
  private let latest = Mutex((known: 0, applied: 0))

  init(database: Database, instance: Identifier) {
    self.database = database
    self.instance = instance
  }

  /// The newest version that this process knows of, and the one up to which memory holds everything.
  var versions: (known: Int, applied: Int) { latest.withLock { $0 } }

  private func know(_ version: Int) { latest.withLock { $0.known = max($0.known, version) } }

  /// Says that memory holds what the change of this version made.
  func markApplied(_ version: Int) {
    know(version)
    applied.withLock { _ = $0.insert(version) }
  }

  /// Whether memory holds the change already. Called once a version, in their order.
  func isApplied(_ entry: Entry) -> Bool {
    entry.instance == instance && applied.withLock { $0.remove(entry.version) != nil }
  }

  /// Says that memory holds everything up to this version, so that those marked before it can be forgotten.
  func tookOver(through version: Int) {
    latest.withLock { $0 = (max($0.known, version), max($0.applied, version)) }
    applied.withLock { $0 = $0.filter { $0 > version } }
  }

  /// What NOTIFY is sent on; the payload is the version and a mere hint.
  static let channel = "relayrisk_change"

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
