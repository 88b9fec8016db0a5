import Synchronization

/// What becomes of probe results, by their source, and how the batches that they are stored in fare.
final class IntakeMetrics: Sendable {
  private struct Dispositions {
    var accepted = 0
    var duplicates = 0
    var conflicts = 0
    var rejected = 0

    mutating func add(_ disposition: Intake.Disposition) {
      switch disposition {
      case .accepted: accepted += 1
      case .duplicate: duplicates += 1
      case .conflict: conflicts += 1
      }
    }

    mutating func add(_ other: Dispositions) {
      accepted += other.accepted
      duplicates += other.duplicates
      conflicts += other.conflicts
      rejected += other.rejected
    }
  }

  private struct State {
    /// Nil stands for results that no source could be told of.
    var sources: [Identifier?: Dispositions] = [:]
    var waiting = (results: 0, bytes: 0)
    var batchSizes = Histogram(bounds: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000])
    var batchSeconds = Histogram(bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
    var batchesFailed = 0
  }
  private let state = Mutex(State())

  // MARK: - Results

  func count(_ dispositions: [Intake.Disposition], of results: [ProbeResult]) {
    // Added up first, since a batch is of one source mostly.
    var sources: [Identifier: Dispositions] = [:]
    for (disposition, result) in zip(dispositions, results) {
      sources[result.source, default: Dispositions()].add(disposition)
    }
    state.withLock { state in
      for (source, counts) in sources { state.sources[source, default: Dispositions()].add(counts) }
    }
  }

  /// Counts results that were wrong, or belong to an atomic batch that was rolled back.
  /// - Parameter source: the one that the key is bound to; nil when it is bound to none.
  func countRejected(_ count: Int, of source: Identifier?) {
    if count == 0 { return }
    state.withLock { $0.sources[source, default: Dispositions()].rejected += count }
  }

  // MARK: - Batches

  /// Says what waits for a batch now.
  func setWaiting(results: Int, bytes: Int) { state.withLock { $0.waiting = (results, bytes) } }

  func finished(_ count: Int, in duration: Duration) {
    let seconds = duration / .seconds(1)
    state.withLock { state in
      state.batchSizes.add(Double(count))
      state.batchSeconds.add(seconds)
    }
  }

  func failed() { state.withLock { $0.batchesFailed += 1 } }

  // MARK: - Reading

  func write(to text: inout PrometheusText, slugOf: (Identifier) -> String?) {
    let state = state.withLock { $0 }
    text.metric("relayrisk_probe_results_total", .counter, "Probe results by source and what became of them.")
    let named = state.sources.map { source, counts in (source.flatMap(slugOf) ?? "unknown", counts) }
    for (source, counts) in named.sorted(by: { $0.0 < $1.0 }) {
      text.sample(counts.accepted, ["source": source, "disposition": "accepted"])
      text.sample(counts.duplicates, ["source": source, "disposition": "duplicate"])
      text.sample(counts.conflicts, ["source": source, "disposition": "conflict"])
      text.sample(counts.rejected, ["source": source, "disposition": "rejected"])
    }
    text.gauge(
      "relayrisk_intake_results_waiting", "Probe results that wait for a batch; at 200,000 more are refused.",
      Double(state.waiting.results))
    text.gauge(
      "relayrisk_intake_bytes_waiting", "What results that wait for a batch take; at 128 MiB more are refused.",
      Double(state.waiting.bytes))
    text.metric("relayrisk_intake_batch_results", .histogram, "Probe results in each batch that was written.")
    state.batchSizes.write(to: &text)
    text.metric(
      "relayrisk_intake_batch_duration_seconds", .histogram, "From the begin of a batch to the end of its commit.")
    state.batchSeconds.write(to: &text)
    text.counter("relayrisk_intake_batches_failed_total", "Batches that were not stored.", state.batchesFailed)
  }
}
