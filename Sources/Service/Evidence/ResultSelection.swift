import JSON
import Postgres
import RiskModel

/// Results that something is done to together; all conditions hold.
struct ResultSelection: Sendable {
  var result: (provider: Identifier, id: Identifier)?
  var provider: Identifier?
  var source: Identifier?
  var runID: String?
  /// Both inclusive.
  var receivedFrom, receivedUntil: Instant?

  /// Reads what requests select by, the provider aside.
  /// - Parameter fields: gets the faults.
  init(_ fields: inout JSONFields, registry: Registry, now: Instant) {
    source = fields.optional("source") { field in
      guard let source = registry.source(try field.string()) else {
        throw field.fault("no source has this id or slug")
      }
      return source.id
    }
    runID = fields.optional("run_id") { try $0.string(bytesMin: 1, bytesMax: 200) }
    receivedFrom = fields.optional("received_from") { try ProbeResultDecoder.instant($0, now: now) }
    receivedUntil = fields.optional("received_until") { try ProbeResultDecoder.instant($0, now: now) }
    if let from = receivedFrom, let until = receivedUntil, from > until {
      fields.fault("received_until", "is before received_from")
    }
  }

  init() {}

  init(result id: Identifier, of provider: Identifier) { result = (provider, id) }

  /// Whether it would select everything.
  var isEmpty: Bool {
    result == nil && provider == nil && source == nil && runID == nil && receivedFrom == nil && receivedUntil == nil
  }

  /// What holds for the rows `r` of `result` that are selected; only what is asked for, so that each has its own plan.
  var condition: Query {
    var condition: Query = "true"
    if let result { condition = "r.provider_id = \(result.provider) and r.id = \(result.id)" }
    if let provider { condition = "\(condition) and r.provider_id = \(provider)" }
    if let source {
      // Nothing is received from a source before it is registered, but for the difference of two instances' clocks.
      let earliest = Instant(milliseconds: Int64(source.high >> 16)) + -ProbeResultDecoder.clockSkewMillisecondsMax
      condition = "\(condition) and r.source_id = \(source) and r.id >= \(Identifier(leastAt: earliest))"
    }
    if let runID { condition = "\(condition) and r.run_id = \(runID)" }
    if let receivedFrom {
      // Ids begin with the time of receipt or, when the clock was set back, a later one: old partitions are left out.
      condition = """
        \(condition) and r.received_at >= \(receivedFrom.timestamp) and r.id >= \(Identifier(leastAt: receivedFrom))
        """
    }
    if let receivedUntil { condition = "\(condition) and r.received_at <= \(receivedUntil.timestamp)" }
    return condition
  }

  /// As the audit log says it, with ids, which stay.
  func writeMembers(to json: inout JSONWriter) {
    json.member("source_id", source?.description)
    json.member("run_id", runID)
    json.member("received_from", receivedFrom?.rfc3339)
    json.member("received_until", receivedUntil?.rfc3339)
  }
}
