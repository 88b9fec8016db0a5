import JSON
import Postgres
import RiskModel

/// What was decided of a result: that it does not count, or that its evidence is gone for good.
struct ResultDecision: Sendable, Equatable {
  let at: Instant
  let by: String
  let reason: String

  /// Reads `recorded_at, recorded_by, reason`, which are null where nothing was decided.
  static func decode(_ row: inout Row) throws -> ResultDecision? {
    let at = try row.next(Timestamp?.self)
    let (by, reason) = (try row.next(String?.self), try row.next(String?.self))
    guard let at, let by, let reason else { return nil }
    return ResultDecision(at: Instant(at), by: by, reason: reason)
  }

  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("at", at.rfc3339)
      json.member("by", by)
      json.member("reason", reason)
    }
  }

  /// As the audit log says it.
  func writeRecordMembers(to json: inout JSONWriter) {
    json.member("recorded_at", at.rfc3339)
    json.member("recorded_by", by)
    json.member("reason", reason)
  }
}
