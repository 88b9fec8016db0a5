import Logging
import Postgres

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

  private struct RolledBack: Error { let dispositions: [[Intake.Disposition]] }

  private func commit(_ batch: [Intake.Submission]) async throws -> [[Intake.Disposition]] {
    let unique = Self.firstOfEachIdentity(in: batch)
    let now = clock.now()
    do {
      let (outcome, dispositions) = try await methodologies.folding { set in
        if batch[0].isAtomic {
          return try await store.database.withTransaction { connection in
            let (outcome, dispositions) = try await self.store(
              unique, of: batch, under: set, at: now, on: connection, isPartOfTransaction: true)
            if dispositions[0].contains(where: \.isConflict) { throw RolledBack(dispositions: dispositions) }
            return (outcome, dispositions)
          }
        }
        return try await store.database.withConnection { connection in
          try await self.store(unique, of: batch, under: set, at: now, on: connection, isPartOfTransaction: false)
        }
      }
      if let version = outcome.version { await takeOver(outcome.cells, version) }
      return dispositions
    } catch let rolledBack as RolledBack {
      return rolledBack.dispositions
    }
  }

  private func store(
    _ unique: [ResultStore.Candidate], of batch: [Intake.Submission], under set: FoldingSet, at now: Instant,
    on connection: Connection, isPartOfTransaction: Bool
  ) async throws -> (ResultStore.Outcome, [[Intake.Disposition]]) {
    let outcome = try await store.store(
      unique, foldingUnder: set, at: now, on: connection, isPartOfTransaction: isPartOfTransaction)
    return (outcome, Self.dispositions(of: batch, after: outcome, unique: unique))
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
    var seen: Set<ResultStore.IdentityKey> = []
    return batch.flatMap(\.candidates).filter { seen.insert($0.key).inserted }
  }

  private static func dispositions(
    of batch: [Intake.Submission], after outcome: ResultStore.Outcome, unique: [ResultStore.Candidate]
  ) -> [[Intake.Disposition]] {
    // Mostly all are new and there are no repetitions in the batch: then nothing has to be looked up by identity.
    if outcome.fresh.count == batch.reduce(0, { $0 + $1.candidates.count }) {
      return batch.map { $0.candidates.map { .accepted($0.stored) } }
    }
    var holders = outcome.holders
    for candidate in unique where outcome.fresh.contains(candidate.stored.id) {
      holders[candidate.key] = ResultStore.Holder(id: candidate.stored.id, digest: candidate.identity.digest)
    }
    return batch.map { submission in
      submission.candidates.map { candidate in
        if outcome.fresh.contains(candidate.stored.id) { return .accepted(candidate.stored) }
        // Every identity was either claimed by this batch or held before it.
        let holder = holders[candidate.key]!
        return holder.digest == candidate.identity.digest ? .duplicate(holder.id) : .conflict(holder.id)
      }
    }
  }
}

extension ResultStore.Candidate {
  fileprivate var key: ResultStore.IdentityKey {
    ResultStore.IdentityKey(provider: stored.result.provider, identity: identity.identity)
  }
}
