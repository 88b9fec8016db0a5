import EventLoop
import HTTPServer
import JSON
import Logging
import Postgres
import Synchronization

/// Stores results, many at a time.
///
/// Posts that arrive while a batch is being written join the batch that is forming; it is written as soon as the one
/// before has committed. So nothing waits when there is nothing to wait for, and the busier it gets the more results
/// share one commit. An answer means: committed, and the score in memory shows it.
///
/// There are several such lines: one for posts of few results, which do not wait for somebody's thousands, and two for
/// those, so that one is stored while another is put together and taken over into memory. A post joins a line under a
/// lock, from whatever thread it is on: only the one that finds the line at rest wakes another.
final class Intake: Sendable {
  /// What became of one result.
  enum Disposition: Sendable {
    case accepted(ResultStore.Candidate)
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
  fileprivate struct Line {
    var forming: [Submission] = []
    var isWriting = false

    /// How many are to be written before another one.
    var load: Int { forming.count + (isWriting ? 1 : 0) }
  }

  private let writer: BatchWriter
  private let metrics: IntakeMetrics
  private let clock: Clock
  private let identifiers: IdentifierGenerator
  private let digestKey: ResultIdentity.DigestKey
  private let redactor: Redactor
  private let limits: Limits

  fileprivate struct State {
    var lines = Array(repeating: Line(), count: 1 + Intake.bulkLinesCount)
    var waiting = (results: 0, bytes: 0)
  }
  private let state = Mutex(State())
  /// Where each line is written.
  private let executors: [any TaskExecutor]
  private static let singles = 0

  /// What may wait for a batch; more means that the database cannot keep up.
  struct Limits: Sendable {
    var waitingResultsMax: Int
    var waitingBytesMax: Int

    init(waitingResultsMax: Int = 200_000, waitingBytesMax: Int = 128 * 1024 * 1024) {
      self.waitingResultsMax = waitingResultsMax
      self.waitingBytesMax = waitingBytesMax
    }
  }

  fileprivate static let bulkLinesCount = 2
  /// From so many results on a submission goes with the bulk: it takes milliseconds by itself.
  private static let bulkCountMin = 50
  /// Results in one batch, so that no transaction takes long and while one is stored others are read and answered.
  fileprivate static let batchCountMax = 2_000
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
    // A few rows on the loop of the connections, which no third thread is woken for. Thousands are put together and
    // taken apart off it, where every statement would wait for them.
    let bulk = Array<any TaskExecutor>(repeating: globalConcurrentExecutor, count: Self.bulkLinesCount)
    executors = [loop] + bulk
  }

  /// Stores results and says what became of each, in their order.
  /// - Parameter isStream: it comes piece by piece, the next when this one is stored, and so holds itself back: such a
  ///   piece waits however much else does.
  /// - Throws: a `Problem` or `PostgresError` when none was stored. After a lost connection some may have been: posting
  ///   again is safe, since identities make repeats duplicates.
  func submit(
    _ results: [ProbeResult], isAtomic: Bool = false, isStream: Bool = false
  ) async throws -> [Disposition] {
    if results.isEmpty { return [] }
    // The hashing of many is done off the loop, which answers requests; and so is evidence, which is looked through for
    // secrets and encrypted.
    let (candidates, bytes) =
      results.count < Self.bulkCountMin && results.allSatisfy({ $0.evidence == nil })
      ? try await self.candidates(results)
      : try await withTaskExecutorPreference(globalConcurrentExecutor) { try await self.candidates(results) }
    return try await join(candidates, bytes, isAtomic: isAtomic, isStream: isStream)
  }

  private func candidates(
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
    try await withCheckedThrowingContinuation { continuation in
      let submission = Submission(candidates: candidates, bytes: bytes, isAtomic: isAtomic, finish: continuation)
      switch enter(submission, isStream: isStream) {
      case .refused:
        continuation.resume(
          throwing: Problem(
            .databaseUnavailable, "More results are waiting than can be stored now; nothing was stored.",
            headers: [("Retry-After", "2")]))
      case .joined: break
      case .begins(let line): Task(executorPreference: executors[line]) { await self.writeUntilEmpty(line) }
      }
    }
  }

  private enum Entry {
    case refused
    /// Whoever writes the line takes it with the next batch.
    case joined
    /// Nobody writes the line.
    case begins(line: Int)
  }

  private func enter(_ submission: Submission, isStream: Bool) -> Entry {
    state.withLock { state in
      let count = submission.candidates.count
      guard
        isStream
          || state.waiting.results + count <= limits.waitingResultsMax
            && state.waiting.bytes + submission.bytes <= limits.waitingBytesMax
      else { return .refused }
      // An atomic one may have to be rolled back and stands alone: singles need not wait for that.
      let isBulk = submission.isAtomic || count >= Self.bulkCountMin
      let line = isBulk ? state.shortestBulkLine : Self.singles
      state.lines[line].forming.append(submission)
      state.waiting.results += count
      state.waiting.bytes += submission.bytes
      metrics.setWaiting(results: state.waiting.results, bytes: state.waiting.bytes)
      if state.lines[line].isWriting { return .joined }
      state.lines[line].isWriting = true
      return .begins(line: line)
    }
  }

  private func writeUntilEmpty(_ line: Int) async {
    while let batch = takeBatch(line) { await writer.write(batch) }
  }

  /// The next submissions that share a transaction.
  /// - Returns: nil when there are none; the line rests then.
  private func takeBatch(_ line: Int) -> [Submission]? {
    state.withLock { state in
      guard let batch = state.lines[line].takeBatch() else {
        state.lines[line].isWriting = false
        return nil
      }
      for submission in batch {
        state.waiting.results -= submission.candidates.count
        state.waiting.bytes -= submission.bytes
      }
      metrics.setWaiting(results: state.waiting.results, bytes: state.waiting.bytes)
      return batch
    }
  }
}

extension Intake.State {
  fileprivate var shortestBulkLine: Int {
    lines.indices.dropFirst().min { lines[$0].load < lines[$1].load }!
  }
}

extension Intake.Line {
  /// An atomic submission stands alone, as it may have to be rolled back.
  fileprivate mutating func takeBatch() -> [Intake.Submission]? {
    var count = 0
    var end = 0
    while end < forming.count {
      if forming[end].isAtomic {
        if end == 0 { end = 1 }
        break
      }
      count += forming[end].candidates.count
      if end > 0, count > Intake.batchCountMax { break }
      end += 1
    }
    guard end > 0 else { return nil }
    let batch = Array(forming[..<end])
    forming.removeFirst(end)
    return batch
  }
}

extension Intake.Disposition {
  var isConflict: Bool { if case .conflict = self { true } else { false } }

  var acceptedID: Identifier? { if case .accepted(let candidate) = self { candidate.stored.id } else { nil } }
}
