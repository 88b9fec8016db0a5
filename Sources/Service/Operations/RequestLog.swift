import HTTPServer
import Logging

extension RiskService {
  /// Takes part in metrics and, for writes and failures, in the log.
  public func observe(_ summary: RequestSummary) {
    parts.requestMetrics.count(summary)
    // A successful read writes no line, nor do results that were taken: there are too many, and nothing to learn from
    // one. What a result says and whose it is stands in the database.
    let isFrequent =
      switch summary.method {
      case "GET", "HEAD", "OPTIONS": true
      default: summary.route == ProbeResultRoutes.pattern
      }
    if isFrequent, summary.status < 400, summary.isComplete { return }
    var metadata: Logger.Metadata = [
      "id": "\(summary.id)", "method": "\(summary.method)", "route": "\(summary.route ?? "-")",
      "status": "\(summary.status)", "milliseconds": "\(summary.duration.wholeMilliseconds)",
      "peer": "\(summary.peer.address)",
    ]
    if let traceParent = summary.traceParent { metadata["traceparent"] = "\(traceParent)" }
    parts.logger.info("request", metadata: metadata)
  }
}

extension Duration {
  var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }

  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
