import Logging
import Postgres
import Synchronization

/// Writes one batch of submissions in one transaction, takes what came of it over into memory, and tells each.
struct BatchWriter: Sendable {
  let store: ResultStore
  let methodologies: MethodologyStore
  let changes: ChangeLog
  let board: ScoreBoard
  let clock: Clock
  let metrics: IntakeMetrics
  let logger: Logger
  /// Makes the feed read what others have changed, now.
  let readChanges: @Sendable () -> Void

  private let repetitions = RecentRepetitions()

  /// How long memory waits for what was committed before: what another instance wrote is here in a quarter of a second
  /// even where no notification arrives.
  private static let earlierChangesLimit = Duration.seconds(1)

  func write(_ batch: [Intake.Submission]) async {
    let begin = ContinuousClock.now
    do {
      let dispositions = try await commit(batch)
      metrics.finished(batch.reduce(0) { $0 + $1.candidates.count }, in: .now - begin)
      for (submission, dispositions) in zip(batch, dispositions) { submission.finish.resume(returning: dispositions) }
    } catch PostgresError.server(let error) where batch.count > 1 && Self.blamesData(error) {
      // One of them is to blame: each gets a transaction of its own, and only that one its error.
      logger.warning("a batch was refused and is written one by one", metadata: ["sqlstate": "\(error.code)"])
      for submission in batch { await write([submission]) }
    } catch {
      metrics.failed()
      for submission in batch { submission.finish.resume(throwing: error) }
    }
  }

  /// Whether the error is one row's (data exception, constraint) and not the server's, which writing one by one would
  /// only meet again, as often as there are submissions.
  private static func blamesData(_ error: ServerError) -> Bool {
    error.code.hasPrefix("22") || error.code.hasPrefix("23")
  }

  private func commit(_ batch: [Intake.Submission]) async throws -> [[Intake.Disposition]] {
    let unique = Self.firstOfEachIdentity(in: batch)
    let (stored, dispositions) = try await methodologies.folding { set in
      try await store.database.withConnection { connection in
        try await self.store(unique, of: batch, under: set, on: connection)
      }
    }
    if let stored { await takeOver(stored.cells, stored.version) }
    return dispositions
  }

  /// Takes results to be new until it shows that they are not.
  /// - Returns: what was stored; nil when nothing was.
  private func store(
    _ unique: [ResultStore.Candidate], of batch: [Intake.Submission], under set: FoldingSet, on connection: Connection
  ) async throws -> (ResultStore.Stored?, [[Intake.Disposition]]) {
    let now = clock.now()
    if !batch[0].isAtomic, !repetitions.areExpected,
      let stored = try await store.storeAllNew(unique, foldingUnder: set, at: now, on: connection)
    {
      return (stored, Self.dispositions(of: batch, fresh: Set(unique.map(\.stored.id)), holders: [:]))
    }
    let fresh = try await store.claim(unique, on: connection)
    let claimed = unique.filter { fresh.contains($0.stored.id) }
    let known = unique.filter { !fresh.contains($0.stored.id) }
    if !known.isEmpty { repetitions.note() }
    let holders = known.isEmpty ? [:] : try await store.holders(of: known, on: connection)
    let dispositions = Self.dispositions(of: batch, fresh: fresh, holders: holders)
    if claimed.isEmpty || batch[0].isAtomic && dispositions[0].contains(where: \.isConflict) {
      try await connection.execute("ROLLBACK")
      return (nil, dispositions)
    }
    return (try await store.store(claimed, foldingUnder: set, at: now, on: connection), dispositions)
  }

  /// What was committed before is taken over before: a cell of this batch may hold a part of it, and a score must not
  /// show that part without the rest.
  private func takeOver(_ cells: [StoredCell], _ version: Int) async {
    if changes.versions.applied < version - 1 {
      readChanges()
      await changes.wait(for: version - 1, atMost: Self.earlierChangesLimit)
    }
    board.apply(cells)
    changes.markApplied(version)
  }

  private static func firstOfEachIdentity(in batch: [Intake.Submission]) -> [ResultStore.Candidate] {
    let all = batch.flatMap(\.candidates)
    if all.count == 1 { return all }
    var seen = Set<ResultStore.IdentityKey>(minimumCapacity: all.count)
    return all.filter { seen.insert($0.key).inserted }
  }

  private static func dispositions(
    of batch: [Intake.Submission], fresh: Set<Identifier>, holders: [ResultStore.IdentityKey: ResultStore.Holder]
  ) -> [[Intake.Disposition]] {
    // Mostly all are new and there are no repetitions in the batch: then nothing has to be looked up by identity.
    if fresh.count == batch.reduce(0, { $0 + $1.candidates.count }) {
      return batch.map { $0.candidates.map(Intake.Disposition.accepted) }
    }
    var holders = holders
    for candidate in batch.flatMap(\.candidates) where fresh.contains(candidate.stored.id) {
      holders[candidate.key] = ResultStore.Holder(id: candidate.stored.id, digest: candidate.identity.digest)
    }
    return batch.map { submission in
      submission.candidates.map { candidate in
        if fresh.contains(candidate.stored.id) { return .accepted(candidate) }
        // Every identity was either claimed by this batch or held before it.
        let holder = holders[candidate.key]!
        return holder.digest == candidate.identity.digest ? .duplicate(holder.id) : .conflict(holder.id)
      }
    }
  }
}

/// Whether results were posted again of late, so that more of that is to be expected. To store a batch as if it were
/// all new fails in the database then, which writes a line to its log: one a minute is enough.
private final class RecentRepetitions: Sendable {
  private let lastAt = Mutex<ContinuousClock.Instant?>(nil)

  var areExpected: Bool { lastAt.withLock { $0.map { .now - $0 < .seconds(60) } ?? false } }

  func note() { lastAt.withLock { $0 = .now } }
}

extension ResultStore.Candidate {
  fileprivate var key: ResultStore.IdentityKey {
    ResultStore.IdentityKey(provider: stored.result.provider, identity: identity.identity)
  }
}
