import EventLoop
import HTTPServer
import JSON
import Logging
import Postgres

/// Stores results, many at a time.
///
/// Posts that arrive while a batch is being written join the batch that is forming; it is written as soon as the one
/// before has committed. So nothing waits when there is nothing to wait for, and the busier it gets the more results
/// share one commit. An answer means: committed, and the score in memory shows it.
///
/// There are several such lines: one for posts of few results, which do not wait for somebody's thousands, and two for
/// those, so that one is stored while another is put together and taken over into memory. The actor runs on the
/// loop of the connections: a post goes from its own loop to that one and back, and to no third thread.
actor Intake {
  /// What became of one result.
  enum Disposition: Sendable {
    case accepted(StoredResult)
    /// The same result was there before.
    case duplicate(Identifier)
    /// Another result of the same identity was there before.
    case conflict(Identifier)
  }

  struct Submission {
    let candidates: [ResultStore.Candidate]
    /// What they take in memory, about.
    let bytes: Int
    /// Whether a conflict in one result means that none is stored.
    let isAtomic: Bool
    let finish: CheckedContinuation<[Disposition], any Error>
  }

  /// One line of submissions; a batch of it is written at a time.
  private struct Line {
    let executor: any TaskExecutor
    var forming: [Submission] = []
    var isWriting = false

    /// How many are to be written before another one.
    var load: Int { forming.count + (isWriting ? 1 : 0) }
  }

  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  private let writer: BatchWriter
  private let metrics: IntakeMetrics
  private let clock: Clock
  private let identifiers: IdentifierGenerator
  private let digestKey: ResultIdentity.DigestKey
  private let redactor: Redactor
  private let limits: Limits

  private var lines: [Line]
  private static let singles = 0
  private var waiting = (results: 0, bytes: 0)

  /// What may wait for a batch; more means that the database cannot keep up.
  struct Limits: Sendable {
    var waitingResultsMax: Int
    var waitingBytesMax: Int

    init(waitingResultsMax: Int = 200_000, waitingBytesMax: Int = 128 * 1024 * 1024) {
      self.waitingResultsMax = waitingResultsMax
      self.waitingBytesMax = waitingBytesMax
    }
  }

  private static let bulkLinesCount = 2
  /// From so many results on a submission goes with the bulk: it takes milliseconds by itself.
  private static let bulkCountMin = 50
  /// Results in one batch, so that no transaction takes long and while one is stored others are read and answered.
  private static let batchCountMax = 2_000
  /// What a result without evidence takes, about.
  static let resultBytes = 512

  init(
    writer: BatchWriter, clock: Clock, identifiers: IdentifierGenerator, digestKey: [UInt8], redactor: Redactor,
    metrics: IntakeMetrics, limits: Limits, loop: EventLoop
  ) {
    self.writer = writer
    self.clock = clock
    self.identifiers = identifiers
    self.digestKey = ResultIdentity.DigestKey(digestKey)
    self.redactor = redactor
    self.metrics = metrics
    self.limits = limits
    self.loop = loop
    // Thousands of rows are put together and taken apart off the loop, where every statement would wait for them.
    let bulk = (0..<Self.bulkLinesCount).map { _ in Line(executor: globalConcurrentExecutor) }
    lines = [Line(executor: loop)] + bulk
  }

  /// Stores results and says what became of each, in their order.
  /// - Parameter isStream: it comes piece by piece, the next when this one is stored, and so holds itself back: such a
  ///   piece waits however much else does.
  /// - Throws: a `Problem` or `PostgresError` when none was stored. After a lost connection some may have been: posting
  ///   again is safe, since identities make repeats duplicates.
  nonisolated func submit(
    _ results: [ProbeResult], isAtomic: Bool = false, isStream: Bool = false
  ) async throws -> [Disposition] {
    if results.isEmpty { return [] }
    // Hashing is done before the actor is entered, where it would hold up everybody else's posts, and that of many off
    // the loop, which answers requests; and so is evidence, which is looked through for secrets and encrypted.
    let (candidates, bytes) =
      results.count < Self.bulkCountMin && results.allSatisfy({ $0.evidence == nil })
      ? try await self.candidates(results)
      : try await withTaskExecutorPreference(globalConcurrentExecutor) { try await self.candidates(results) }
    return try await join(candidates, bytes, isAtomic: isAtomic, isStream: isStream)
  }

  private nonisolated func candidates(
    _ results: [ProbeResult]
  ) async throws -> ([ResultStore.Candidate], bytes: Int) {
    let receivedAt = clock.now()
    var bytes = results.count * Self.resultBytes
    var candidates: [ResultStore.Candidate] = []
    candidates.reserveCapacity(results.count)
    for result in results {
      let stored = StoredResult(
        id: identifiers.next(at: receivedAt), receivedAt: receivedAt, result: redactor.redacted(result))
      var body: [UInt8]?
      if let evidence = stored.result.evidence {
        var json = JSONWriter()
        json.value(evidence)
        body = try await writer.store.vault.sealed(
          EvidenceVault.Body(owner: result.provider, id: stored.id, bytes: json.bytes))
        bytes += body!.count
      }
      if let signature = result.signature { bytes += signature.signed.utf8.count }
      candidates.append(
        ResultStore.Candidate(stored, ResultIdentity(of: result, digestKey: digestKey), evidence: body))
    }
    return (candidates, bytes)
  }

  private func join(
    _ candidates: [ResultStore.Candidate], _ bytes: Int, isAtomic: Bool, isStream: Bool
  ) async throws -> [Disposition] {
    guard
      isStream
        || waiting.results + candidates.count <= limits.waitingResultsMax
          && waiting.bytes + bytes <= limits.waitingBytesMax
    else {
      throw Problem(
        .databaseUnavailable, "More results are waiting than can be stored now; nothing was stored.",
        headers: [("Retry-After", "2")])
    }
    // An atomic one may have to be rolled back and stands alone: singles need not wait for that.
    let line = isAtomic || candidates.count >= Self.bulkCountMin ? shortestBulkLine : Self.singles
    return try await withCheckedThrowingContinuation { continuation in
      lines[line].forming.append(
        Submission(candidates: candidates, bytes: bytes, isAtomic: isAtomic, finish: continuation))
      waiting.results += candidates.count
      waiting.bytes += bytes
      metrics.setWaiting(results: waiting.results, bytes: waiting.bytes)
      if !lines[line].isWriting {
        lines[line].isWriting = true
        Task(executorPreference: lines[line].executor) { await self.writeUntilEmpty(line) }
      }
    }
  }

  private var shortestBulkLine: Int {
    lines.indices.dropFirst().min { lines[$0].load < lines[$1].load }!
  }

  private func writeUntilEmpty(_ line: Int) async {
    while let batch = takeBatch(line) { await writer.write(batch) }
  }

  /// The next submissions that share a transaction. An atomic one stands alone, as it may have to be rolled back.
  /// - Returns: nil when there are none; the line rests then.
  private func takeBatch(_ line: Int) -> [Submission]? {
    let forming = lines[line].forming
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
    guard end > 0 else {
      lines[line].isWriting = false
      return nil
    }
    let batch = Array(forming[..<end])
    lines[line].forming.removeFirst(end)
    for submission in batch {
      waiting.results -= submission.candidates.count
      waiting.bytes -= submission.bytes
    }
    metrics.setWaiting(results: waiting.results, bytes: waiting.bytes)
    return batch
  }
}

extension Intake.Disposition {
  var isConflict: Bool { if case .conflict = self { true } else { false } }

  var acceptedID: Identifier? { if case .accepted(let stored) = self { stored.id } else { nil } }
}
