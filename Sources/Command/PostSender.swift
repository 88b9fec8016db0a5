import Glibc
import HTTPClient
import JSON

/// Sends batches to one service and tries again for as long as that may help.
final class PostSender {
  enum Outcome {
    /// An entry for each result, in their order: nil for one that is stored.
    case answered(accepted: Int, duplicates: Int, rejections: [PostReport.Rejection?])
    /// More than the service, or a proxy before it, takes in one request.
    case tooLarge(String)
    /// The service took the whole batch for wrong.
    case refused(reason: String, faults: [JSONFault])
    /// No other batch would fare better: the key or the address is wrong.
    case hopeless(String)
    /// The service did not answer in time, or not yet.
    case undelivered(String)
  }

  private static let answerBytesMax = 64 * 1024 * 1024
  private static let backoffSeconds = (first: 0.5, max: 30.0)
  private static let exchangeSecondsMin = 5

  private let client: HTTPClient
  private let url: String
  private let headers: [String]
  private let timeoutSeconds: Int
  private let report: PostReport

  /// - Parameters:
  ///   - base: the service's address, without a slash at the end.
  ///   - timeoutSeconds: how long a batch is tried.
  init(base: String, key: String, authorities: String?, timeoutSeconds: Int, report: PostReport) throws {
    do {
      client = try HTTPClient(
        userAgent: "relayrisk-post", authorities: authorities, answerBytesMax: Self.answerBytesMax,
        isInterrupted: { Interruption.isAsked })
    } catch {
      throw CommandFailure("no request can be made: \(error)")
    }
    url = base + "/v1/probe-results"
    headers = ["Authorization: Bearer \(key)", "Content-Type: application/json", "Accept: application/json"]
    self.timeoutSeconds = timeoutSeconds
    self.report = report
  }

  /// Results need no `Idempotency-Key`: what was stored although its answer was lost is a duplicate the next time.
  func send(_ batch: PostBatch) -> Outcome {
    let body = batch.body
    let deadline = ContinuousClock.now + .seconds(timeoutSeconds)
    var attempts = 0
    while true {
      let (reason, retryAfterSeconds): (String, Int?)
      do throws(HTTPClient.TransportError) {
        let left = Int((deadline - ContinuousClock.now).components.seconds)
        let answer = try client.post(
          url, headers: headers, body: body, timeoutSeconds: max(left, Self.exchangeSecondsMin))
        guard [429, 502, 503, 504].contains(answer.status) else { return outcome(of: answer, batch) }
        (reason, retryAfterSeconds) = (Self.description(of: answer), answer.retryAfterSeconds)
      } catch {
        (reason, retryAfterSeconds) = (error.description, nil)
      }
      // Full jitter, so that scanners that were turned away together do not come back together.
      let ceiling = min(Self.backoffSeconds.max, Self.backoffSeconds.first * Double(1 << min(attempts, 10)))
      let wait = Double(retryAfterSeconds ?? 0) + .random(in: 0...ceiling)
      guard ContinuousClock.now + .seconds(wait) < deadline, !Interruption.isAsked else { return .undelivered(reason) }
      report.showWaiting(reason, seconds: Int(wait.rounded(.up)))
      usleep(UInt32(wait * 1_000_000))
      if Interruption.isAsked { return .undelivered(reason) }
      attempts += 1
    }
  }

  // MARK: - Answers

  private func outcome(of answer: HTTPClient.Answer, _ batch: PostBatch) -> Outcome {
    let document = try? JSONReader.read(answer.body).value
    switch answer.status {
    case 200:
      guard let outcome = Self.outcome(document, batch) else { return .hopeless("\(url) is no relayrisk service") }
      return outcome
    case 300..<400, 401, 403, 404, 405: return .hopeless("\(url) answers \(Self.description(of: answer))")
    case 413: return .tooLarge(Self.description(of: answer))
    default: return .refused(reason: Self.description(of: answer), faults: Self.faults(of: document))
    }
  }

  private static func outcome(_ document: JSONValue?, _ batch: PostBatch) -> Outcome? {
    guard let document, case .number(let accepted)? = document.member("accepted"),
      case .number(let duplicates)? = document.member("duplicates"),
      case .array(let entries)? = document.member("results"), entries.count == batch.count
    else { return nil }
    let rejections = zip(entries, batch.origins).map { entry, origin -> PostReport.Rejection? in
      guard entry.member("status") == .string("rejected") else { return nil }
      let problem = entry.member("problem")
      let faults = faults(of: problem)
      let detail = problem?.text("detail") ?? "the service does not say why"
      return .init(origin: origin, reason: faults.isEmpty ? detail : problem?.text("title") ?? detail, faults: faults)
    }
    return .answered(
      accepted: accepted.integer ?? 0, duplicates: duplicates.integer ?? 0, rejections: rejections)
  }

  /// `401: A valid key is needed. Send ...`, or the status alone when the answer is none of the service's.
  private static func description(of answer: HTTPClient.Answer) -> String {
    guard let problem = try? JSONReader.read(answer.body).value, let title = problem.text("title") else {
      return "\(answer.status)"
    }
    return "\(answer.status): \(title). \(problem.text("detail") ?? "")"
  }

  private static func faults(of problem: JSONValue?) -> [JSONFault] {
    guard case .array(let errors)? = problem?.member("errors") else { return [] }
    return errors.map { JSONFault(pointer: $0.text("pointer") ?? "", detail: $0.text("detail") ?? "") }
  }
}

extension JSONValue {
  fileprivate func member(_ name: String) -> JSONValue? {
    if case .object(let object) = self { object[name] } else { nil }
  }

  fileprivate func text(_ name: String) -> String? {
    if case .string(let text)? = member(name) { text } else { nil }
  }
}
