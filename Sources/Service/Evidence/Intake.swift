import Crypto
import HTTPServer
import Logging
import Postgres

/// Stores results, many at a time.
///
/// Posts that arrive while a batch is being written join the batch that is forming; it is written as soon as the one
/// before has committed. So nothing waits when there is nothing to wait for, and the busier it gets the more results
/// share one commit. An answer means: committed, and the score in memory shows it.
actor Intake {
  /// What became of one result.
  enum Disposition: Sendable {
    case accepted(StoredResult)
    /// The same result was there before.
    case duplicate(Identifier)
    /// Another result of the same identity was there before.
    case conflict(Identifier)
  }

  private struct Submission {
    let candidates: [ResultStore.Candidate]
    /// Whether a conflict in one result means that none is stored.
    let isAtomic: Bool
    let finish: CheckedContinuation<[Disposition], any Error>
  }

  private let store: ResultStore
  private let methodologies: MethodologyStore
  private let changes: ChangeLog
  private let board: ScoreBoard
  private let clock: Clock
  private let identifiers: IdentifierGenerator
  private let digestKey: SymmetricKey
  private let metrics: IntakeMetrics
  private let logger: Logger

  private var forming: [Submission] = []
  private var formingCount = 0
  private var isWriting = false

  /// Results waiting for a batch; more means that the database cannot keep up.
  private static let waitingCountMax = 200_000
  /// Results in one batch, so that no transaction takes long.
  private static let batchCountMax = 5_000

  init(
    store: ResultStore, methodologies: MethodologyStore, changes: ChangeLog, board: ScoreBoard, clock: Clock,
    identifiers: IdentifierGenerator, digestKey: [UInt8], metrics: IntakeMetrics, logger: Logger
  ) {
    self.store = store
    self.methodologies = methodologies
    self.changes = changes
    self.board = board
    self.clock = clock
    self.identifiers = identifiers
    self.digestKey = SymmetricKey(data: digestKey)
    self.metrics = metrics
    self.logger = logger
  }

  /// Stores results and says what became of each, in their order.
  /// - Throws: a `Problem` or `PostgresError` when none was stored. After a lost connection some may have been: posting
  ///   again is safe, since identities make repeats duplicates.
  nonisolated func submit(_ results: [ProbeResult], isAtomic: Bool = false) async throws -> [Disposition] {
    if results.isEmpty { return [] }
    // Hashing is done before the actor is entered: it would hold up everybody else's posts.
    let receivedAt = clock.now()
    let candidates = results.map { result in
      ResultStore.Candidate(
        stored: StoredResult(id: identifiers.next(at: receivedAt), receivedAt: receivedAt, result: result),
        identity: ResultIdentity(of: result, digestKey: digestKey))
    }
    return try await join(candidates, isAtomic: isAtomic)
  }

  private func join(_ candidates: [ResultStore.Candidate], isAtomic: Bool) async throws -> [Disposition] {
    guard formingCount + candidates.count <= Self.waitingCountMax else {
      throw Problem(
        .databaseUnavailable, "More results are waiting than can be stored now; nothing was stored.",
        headers: [("Retry-After", "2")])
    }
    return try await withCheckedThrowingContinuation { continuation in
      forming.append(Submission(candidates: candidates, isAtomic: isAtomic, finish: continuation))
      formingCount += candidates.count
      metrics.setWaiting(formingCount)
      if !isWriting {
        isWriting = true
        Task { await writeUntilEmpty() }
      }
    }
  }

  private func writeUntilEmpty() async {
    while !forming.isEmpty { await write(takeBatch()) }
    isWriting = false
  }

  /// The next submissions that share a transaction. An atomic one stands alone, as it may have to be rolled back.
  private func takeBatch() -> [Submission] {
    var count = 0
    var end = 0
    while end < forming.count {
      if forming[end].isAtomic {
        if end == 0 { end = 1 }
        break
      }
      count += forming[end].candidates.count
      if end > 0, count > Self.batchCountMax { break }
      end += 1
    }
    let batch = Array(forming[..<end])
    forming.removeFirst(end)
    formingCount -= batch.reduce(0) { $0 + $1.candidates.count }
    metrics.setWaiting(formingCount)
    return batch
  }

  private func write(_ batch: [Submission]) async {
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

  private struct RolledBack: Error { let dispositions: [[Disposition]] }

  private func commit(_ batch: [Submission]) async throws -> [[Disposition]] {
    let unique = Self.firstOfEachIdentity(in: batch)
    let (store, changes, now) = (store, changes, clock.now())
    do {
      let (outcome, dispositions, version) = try await methodologies.folding { set in
        try await store.database.withTransaction { connection in
          let outcome = try await store.store(unique, foldingUnder: set, on: connection)
          let dispositions = Self.dispositions(of: batch, after: outcome, unique: unique)
          if batch[0].isAtomic, dispositions[0].contains(where: \.isConflict) {
            throw RolledBack(dispositions: dispositions)
          }
          guard !outcome.fresh.isEmpty else { return (outcome, dispositions, nil as Int?) }
          let providers = Set(unique.map(\.stored.result.provider)).sorted()
          let version = try await changes.append(
            providers: providers, foldedUnder: set, at: now, to: connection)
          return (outcome, dispositions, version)
        }
      }
      board.apply(outcome.cells)
      if let version { changes.markApplied(version) }
      return dispositions
    } catch let rolledBack as RolledBack {
      return rolledBack.dispositions
    }
  }

  private static func firstOfEachIdentity(in batch: [Submission]) -> [ResultStore.Candidate] {
    var seen: Set<ResultStore.IdentityKey> = []
    return batch.flatMap(\.candidates).filter { seen.insert($0.key).inserted }
  }

  private static func dispositions(
    of batch: [Submission], after outcome: ResultStore.Outcome, unique: [ResultStore.Candidate]
  ) -> [[Disposition]] {
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

extension Intake.Disposition {
  var isConflict: Bool { if case .conflict = self { true } else { false } }

  var acceptedID: Identifier? { if case .accepted(let stored) = self { stored.id } else { nil } }
}

extension ResultStore.Candidate {
  fileprivate var key: ResultStore.IdentityKey {
    ResultStore.IdentityKey(provider: stored.result.provider, identity: identity.identity)
  }
}
