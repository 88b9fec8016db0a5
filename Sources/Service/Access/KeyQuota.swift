import HTTPServer
import JSON
import Synchronization

/// How much a key may ask of each instance in a minute; nil for as much as it likes.
public struct KeyQuota: Sendable, Equatable {
  public var requestsPerMinute: Int?
  /// Probe results that are posted or imported, in whatever batches.
  public var resultsPerMinute: Int?

  public static let range = 1...10_000_000

  public init(requestsPerMinute: Int? = nil, resultsPerMinute: Int? = nil) {
    self.requestsPerMinute = requestsPerMinute
    self.resultsPerMinute = resultsPerMinute
  }

  /// The members of a key, or of a merge patch of one.
  init(_ fields: inout JSONFields) {
    requestsPerMinute = fields.optional("requests_per_minute") { try $0.integer(in: Self.range) }
    resultsPerMinute = fields.optional("results_per_minute") { try $0.integer(in: Self.range) }
  }

  func write(to json: inout JSONWriter) {
    json.member("requests_per_minute", requestsPerMinute)
    json.member("results_per_minute", resultsPerMinute)
  }

  var isUnlimited: Bool { self == KeyQuota() }
}

/// How many requests were refused, by the quota that was used up.
final class QuotaRefusals: Sendable {
  let requests = Atomic<Int>(0)
  let results = Atomic<Int>(0)

  func write(to text: inout PrometheusText) {
    text.metric(
      "relayrisk_quota_refused_total", .counter, "Requests refused by the quota of their key that they exceed.")
    text.sample(requests.load(ordering: .relaxed), ["quota": "requests"])
    text.sample(results.load(ordering: .relaxed), ["quota": "results"])
  }
}

/// What is left of a key's quota on this instance.
final class KeyMeter: Sendable {
  let quota: KeyQuota
  private let requests: TokenBucket?
  private let results: TokenBucket?
  private let refusals: QuotaRefusals
  private let clock: Clock

  /// - Parameter former: whose buckets go on where their quota is the same.
  init(_ quota: KeyQuota, keeping former: KeyMeter?, clock: Clock, refusals: QuotaRefusals) {
    self.quota = quota
    self.clock = clock
    self.refusals = refusals
    func bucket(_ quota: Int?, _ former: TokenBucket?) -> TokenBucket? {
      if let former, former.quota == quota { return former }
      return quota.map { TokenBucket(quota: $0, at: clock.now()) }
    }
    requests = bucket(quota.requestsPerMinute, former?.requests)
    results = bucket(quota.resultsPerMinute, former?.results)
  }

  /// - Throws: 429 when no request is left.
  func takeRequest() throws(Problem) {
    guard let requests, let seconds = requests.take(1, at: clock.now()) else { return }
    refusals.requests.add(1, ordering: .relaxed)
    throw .quotaExceeded("The key may send \(requests.quota) requests a minute and has used them up.", seconds)
  }

  /// - Throws: 429 when fewer results are left, 413 when there are never so many.
  func takeResults(_ count: Int) throws(Problem) {
    guard let results else { return }
    guard count <= results.quota else {
      refusals.results.add(1, ordering: .relaxed)
      throw Problem(
        .batchOverQuota, "The batch has \(count) results, and the key may send \(results.quota) in a minute.")
    }
    guard let seconds = results.take(count, at: clock.now()) else { return }
    refusals.results.add(1, ordering: .relaxed)
    throw .quotaExceeded(
      "The key may send \(results.quota) results a minute, of which fewer than \(count) are left now.", seconds)
  }

  /// What is allowed and what is left, by draft-ietf-httpapi-ratelimit-headers-10.
  func headers() -> [(name: String, value: String)] {
    let now = clock.now()
    var (policies, levels): ([String], [String]) = ([], [])
    for (name, unit, bucket) in [("requests", "", requests), ("results", ";qu=\"results\"", results)] {
      guard let bucket else { continue }
      let (remaining, seconds) = bucket.level(at: now)
      policies.append("\"\(name)\";q=\(bucket.quota);w=\(TokenBucket.windowSeconds)\(unit)")
      levels.append("\"\(name)\";r=\(remaining);t=\(seconds)")
    }
    return [("RateLimit-Policy", policies.joined(separator: ", ")), ("RateLimit", levels.joined(separator: ", "))]
  }
}

extension Problem.Kind {
  static let quotaExceeded = Problem.Kind(
    code: "quota-exceeded", status: 429, title: "The key's quota is used up",
    explanation:
      "Nothing was done. Send it again after `Retry-After` seconds. `RateLimit` says on every answer what is "
      + "left of the quotas in `RateLimit-Policy`; an admin sets them.")
  static let batchOverQuota = Problem.Kind(
    code: "batch-over-quota", status: 413, title: "The batch is larger than the key's quota",
    explanation: "It has more results than the key may send in a minute, so it can never pass, and nothing of it was "
      + "stored. Send smaller batches, or ask an admin for a larger quota.")
}

extension Problem {
  fileprivate static func quotaExceeded(_ detail: String, _ seconds: Int) -> Problem {
    Problem(.quotaExceeded, detail, headers: [("Retry-After", "\(seconds)")])
  }
}
