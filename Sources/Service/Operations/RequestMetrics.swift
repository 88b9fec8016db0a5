import HTTPServer
import Synchronization

/// Finished requests by method, route and status, with their durations.
///
/// Every request is counted, so counting is cheap: each loop has figures of its own, found by the numbers of loop and
/// route, under a lock that only a reader of `/metrics` may hold meanwhile.
final class RequestMetrics: Sendable {
  /// From a read in memory to a request at its deadline.
  private static let boundsSeconds = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30,
  ]

  private struct ByMethod {
    let method: String
    var statuses: [(status: Int, count: Int)] = []
    /// By the first digit of the status, of those that there were: a refusal is quick, and would hide what is slow.
    var durations: [(statusClass: Int, histogram: Histogram)] = []

    mutating func count(_ status: Int, _ seconds: Double) {
      if let place = statuses.firstIndex(where: { $0.status == status }) {
        statuses[place].count += 1
      } else {
        statuses.append((status, 1))
      }
      let statusClass = status / 100
      if !durations.contains(where: { $0.statusClass == statusClass }) {
        durations.append((statusClass, Histogram(bounds: RequestMetrics.boundsSeconds)))
      }
      durations[durations.firstIndex { $0.statusClass == statusClass }!].histogram.add(seconds)
    }
  }

  private struct ByRoute {
    var pattern = ""
    /// One or two: HEAD goes to the route of GET.
    var methods: [ByMethod] = []

    mutating func count(_ summary: RequestSummary, _ seconds: Double) {
      if let place = methods.firstIndex(where: { $0.method == summary.method }) {
        return methods[place].count(summary.status, seconds)
      }
      // Any token may stand as a method; labels must stay few.
      let method = HTTPServer.Method(rawValue: summary.method)?.rawValue ?? "other"
      pattern = summary.route ?? "none"
      if !methods.contains(where: { $0.method == method }) { methods.append(ByMethod(method: method)) }
      let place = methods.firstIndex { $0.method == method }!
      methods[place].count(summary.status, seconds)
    }
  }

  private struct State {
    /// The first is of requests without a route.
    var routes: [ByRoute] = [ByRoute()]
    var repeated = 0
  }

  private final class Shard: Sendable {
    let state = Mutex(State())
    /// Keeps what two loops write out of one cache line.
    private let spacing = [16 of UInt64](repeating: 0)
  }

  /// More loops than these share.
  private let shards = (0..<16).map { _ in Shard() }

  func count(_ summary: RequestSummary) {
    let seconds = summary.duration / .nanoseconds(1) * 1e-9
    let place = summary.routeIndex.map { $0 + 1 } ?? 0
    shards[summary.loop % shards.count].state.withLock { state in
      while place >= state.routes.count { state.routes.append(ByRoute()) }
      state.routes[place].count(summary, seconds)
      if summary.isRepeated { state.repeated += 1 }
    }
  }

  // MARK: - Reading

  private struct Label: Hashable, Comparable {
    let route: String
    let method: String
    static func < (one: Label, other: Label) -> Bool { (one.route, one.method) < (other.route, other.method) }
  }

  func write(to text: inout PrometheusText) {
    var statuses: [Label: [Int: Int]] = [:]
    var durations: [Label: [Int: Histogram]] = [:]
    var repeated = 0
    for shard in shards {
      let state = shard.state.withLock { $0 }
      repeated += state.repeated
      for route in state.routes {
        for counts in route.methods {
          let label = Label(route: route.pattern, method: counts.method)
          for (status, count) in counts.statuses { statuses[label, default: [:]][status, default: 0] += count }
          for (statusClass, histogram) in counts.durations {
            durations[label, default: [:]][statusClass, default: Histogram(bounds: Self.boundsSeconds)].add(histogram)
          }
        }
      }
    }
    text.metric("relayrisk_http_requests_total", .counter, "Finished requests; status 0 was never answered.")
    for (label, counts) in statuses.sorted(by: { $0.key < $1.key }) {
      for (status, count) in counts.sorted(by: { $0.key < $1.key }) {
        text.sample(count, ["method": label.method, "route": label.route, "status": "\(status)"])
      }
    }
    text.metric(
      "relayrisk_http_request_duration_seconds", .histogram, "From the head's arrival to the last byte of the answer.")
    for (label, classes) in durations.sorted(by: { $0.key < $1.key }) {
      for (statusClass, histogram) in classes.sorted(by: { $0.key < $1.key }) {
        let name = statusClass == 0 ? "none" : "\(statusClass)xx"
        histogram.write(to: &text, ["method": label.method, "route": label.route, "status_class": name])
      }
    }
    text.counter(
      "relayrisk_http_answers_repeated_total", "Requests answered as the same request was before, without routing.",
      repeated)
  }
}
