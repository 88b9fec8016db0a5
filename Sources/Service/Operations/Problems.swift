import HTTPServer
import JSON
import Postgres
import RiskModel

/// The service's own kinds of problem, beside those of the HTTP layer. Each is served at `/problems/<code>`.
extension Problem.Kind {
  static let malformedJSON = Problem.Kind(
    code: "malformed-json", status: 400, title: "The body is not JSON",
    explanation: "The body is not a JSON document in UTF-8, or it is nested too deeply. `detail` names the byte.")
  static let unauthorized = Problem.Kind(
    code: "unauthorized", status: 401, title: "A valid key is needed",
    explanation: "Send `Authorization: Bearer rr_<id>_<secret>` with a key that exists, was not revoked and has not "
      + "expired, or a token of the issuer whose tokens are taken.")
  static let forbidden = Problem.Kind(
    code: "forbidden", status: 403, title: "The key may not do this",
    explanation:
      "The key or token is valid but lacks the scope that `detail` names, may not be used from this address, "
      + "or its source is suspended.")
  static let conflict = Problem.Kind(
    code: "conflict", status: 409, title: "It conflicts with what is stored",
    explanation: "Something of that name or identity exists with other content. `detail` names the holder.")
  static let gone = Problem.Kind(
    code: "gone", status: 410, title: "Beyond what is kept",
    explanation: "Results are kept for as long as the operator says; `detail` names the horizon, before which there "
      + "are none. What they contributed to scores is carried on, and scores from the horizon on are what they were.")
  static let invalidRequest = Problem.Kind(
    code: "invalid-request", status: 422, title: "The request is readable but wrong",
    explanation:
      "`errors` names every fault with a JSON pointer, `?name` for a query parameter, or the name of a header. "
      + "Nothing of it was stored.")
  static let databaseUnavailable = Problem.Kind(
    code: "database-unavailable", status: 503, title: "The database does not answer",
    explanation: "Scores are still served from memory. Try again after `Retry-After` seconds.")

  static let tooManyStreams = Problem.Kind(
    code: "too-many-streams", status: 503, title: "Too many streams are open",
    explanation:
      "As many clients as may have streams of events or whole lists from this instance, or send it results as "
      + "streams. Try again after `Retry-After` seconds; in place of events `GET /v1/changes` will do, asked now and "
      + "then.")

  /// Every kind that the service answers with.
  static let served: [Problem.Kind] =
    Problem.Kind.all + [
      malformedJSON, unauthorized, invalidSignature, forbidden, conflict, gone, stillRunning, preconditionFailed,
      invalidRequest, quotaExceeded, batchOverQuota, issuerUnavailable, databaseUnavailable, tooManyStreams,
      evidenceKeyUnavailable,
    ]
}

extension Problem {
  static func invalid(_ faults: [JSONFault]) -> Problem {
    let count = faults.count == 1 ? "One fault" : "\(faults.count) faults"
    return Problem(.invalidRequest, "\(count), listed in `errors`.", faults: faults)
  }

  static func databaseUnavailable() -> Problem {
    Problem(.databaseUnavailable, "The database does not answer; nothing was stored.", headers: [("Retry-After", "2")])
  }

  /// How errors that are not problems by themselves are shown. Nil: an internal error, whose text stays in the log.
  @Sendable static func rendering(_ error: any Error) -> Problem? {
    switch error {
    case let error as JSONSyntaxError: Problem(.malformedJSON, "The body is not readable: \(error).")
    case let error as JSONFaults: .invalid(error.faults)
    case let error as JSONFault: .invalid([error])
    case let error as PostgresError: rendering(error)
    default: nil
    }
  }

  private static func rendering(_ error: PostgresError) -> Problem? {
    switch error {
    case .unavailable, .poolExhausted: .databaseUnavailable()
    case .connectionLost, .timeout:
      Problem(
        .databaseUnavailable,
        "The database stopped answering; whether it was stored is not known. Sending it again is safe for results.",
        headers: [("Retry-After", "2")])
    // A deadlock or a serialization failure: rolled back whole, and likely to pass the next time.
    case .server(let server) where server.code == "40P01" || server.code == "40001": .databaseUnavailable()
    // Classes 53 (out of resources, disk full among them), 57 (shut down, cancelled) and read-only transactions.
    case .server(let server)
    where server.code.hasPrefix("53") || server.code.hasPrefix("57") || server.code == "25006":
      .databaseUnavailable()
    default: nil
    }
  }
}
