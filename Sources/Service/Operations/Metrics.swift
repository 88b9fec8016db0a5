import HTTPServer
import Synchronization

/// Counters and histograms in Prometheus' text format.
final class Metrics: Sendable {
  private struct RequestLabel: Hashable {
    let method: String
    let route: String
    let status: Int
  }
  private struct ResultLabel: Hashable {
    let source: String
    let disposition: String
  }
  private struct State {
    var requests: [RequestLabel: Int] = [:]
    var durations: [String: Histogram] = [:]
    var results: [ResultLabel: Int] = [:]
  }
  private let state = Mutex(State())

  /// Upper bounds of the histogram, from a read in memory to a request at its deadline.
  static let bucketSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30]

  func count(_ summary: RequestSummary) {
    let route = summary.route ?? "none"
    // Any token may stand as a method; labels must stay few.
    let method = HTTPServer.Method(rawValue: summary.method)?.rawValue ?? "other"
    let seconds = summary.duration.inSeconds
    state.withLock { state in
      state.requests[RequestLabel(method: method, route: route, status: summary.status), default: 0] += 1
      state.durations[route, default: Histogram()].add(seconds)
    }
  }

  func count(_ dispositions: [Intake.Disposition], of results: [ProbeResult], registry: Registry) {
    state.withLock { state in
      for (disposition, result) in zip(dispositions, results) {
        let source = registry.source(id: result.source)?.slug.text ?? "unknown"
        state.results[ResultLabel(source: source, disposition: disposition.name), default: 0] += 1
      }
    }
  }

  /// What is read at the moment of asking, by name, help and value.
  struct Gauge {
    let name: String
    let help: String
    let value: Double
  }

  func text(gauges: [Gauge]) -> [UInt8] {
    let state = state.withLock { $0 }
    var text = """
      # HELP relayrisk_http_requests_total Finished requests; status 0 was never answered.
      # TYPE relayrisk_http_requests_total counter

      """
    for (label, count) in state.requests.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      text +=
        "relayrisk_http_requests_total{method=\"\(label.method)\",route=\"\(label.route)\",status=\"\(label.status)\"} "
        + "\(count)\n"
    }
    text += """
      # HELP relayrisk_http_request_duration_seconds From the head's arrival to the last byte of the answer.
      # TYPE relayrisk_http_request_duration_seconds histogram

      """
    for (route, histogram) in state.durations.sorted(by: { $0.key < $1.key }) { text += histogram.text(route: route) }
    text += """
      # HELP relayrisk_probe_results_total Probe results by source and what became of them.
      # TYPE relayrisk_probe_results_total counter

      """
    for (label, count) in state.results.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      text +=
        "relayrisk_probe_results_total{source=\"\(label.source)\",disposition=\"\(label.disposition)\"} \(count)\n"
    }
    for gauge in gauges {
      text += "# HELP \(gauge.name) \(gauge.help)\n# TYPE \(gauge.name) gauge\n\(gauge.name) \(gauge.value)\n"
    }
    return Array(text.utf8)
  }
}

/// The durations of one route's requests.
private struct Histogram {
  private var buckets = [Int](repeating: 0, count: Metrics.bucketSeconds.count)
  private var count = 0
  private var sumSeconds = 0.0

  mutating func add(_ seconds: Double) {
    count += 1
    sumSeconds += seconds
    if let bucket = Metrics.bucketSeconds.firstIndex(where: { seconds <= $0 }) { buckets[bucket] += 1 }
  }

  func text(route: String) -> String {
    let name = "relayrisk_http_request_duration_seconds"
    var text = ""
    var cumulated = 0
    for (bound, inBucket) in zip(Metrics.bucketSeconds, buckets) {
      cumulated += inBucket
      text += "\(name)_bucket{route=\"\(route)\",le=\"\(bound)\"} \(cumulated)\n"
    }
    text += "\(name)_bucket{route=\"\(route)\",le=\"+Inf\"} \(count)\n"
    return text + "\(name)_sum{route=\"\(route)\"} \(sumSeconds)\n\(name)_count{route=\"\(route)\"} \(count)\n"
  }
}

extension Intake.Disposition {
  fileprivate var name: String {
    switch self {
    case .accepted: "accepted"
    case .duplicate: "duplicate"
    case .conflict: "conflict"
    }
  }
}
