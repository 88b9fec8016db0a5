import JSON

/// Where a score of the past is looked at from: `as_of` and `known_at`.
struct Viewpoint: Sendable {
  /// The instant that the score is evaluated at.
  let asOf: Instant
  /// Only what was recorded until then is known; nil: all that is recorded by now, whatever the clocks say.
  let knownAt: Instant?

  static let parameters = ["as_of", "known_at"]

  /// The query's, evaluated now where it names no instant.
  init(_ parameters: Parameters, now: Instant) throws(JSONFaults) {
    var reader = InstantParameters(parameters: parameters, now: now)
    self.init(&reader)
    try reader.finish()
  }

  /// Whose faults the reader keeps.
  init(_ reader: inout InstantParameters) {
    asOf = reader.instant("as_of") ?? reader.now
    knownAt = reader.instant("known_at")
  }

  init(asOf: Instant, knownAt: Instant?) {
    self.asOf = asOf
    self.knownAt = knownAt
  }
}

/// Reads times from the query, with every fault and not only the first.
struct InstantParameters {
  let parameters: Parameters
  let now: Instant
  private(set) var faults: [JSONFault] = []

  init(parameters: Parameters, now: Instant) {
    self.parameters = parameters
    self.now = now
  }

  /// Nil when the query does not have it, or together with a fault.
  mutating func instant(_ name: String) -> Instant? {
    let now = now
    return optional(name) { try ProbeResultDecoder.instant($0, now: now) }
  }

  /// Another parameter, whose faults belong to the same list.
  mutating func optional<Value>(_ name: String, _ read: (JSONField) throws -> Value) -> Value? {
    guard let field = parameters.field(name) else { return nil }
    do {
      return try read(field)
    } catch {
      faults.append(error as? JSONFault ?? field.fault("\(error)"))
      return nil
    }
  }

  mutating func fault(_ name: String, _ detail: String) {
    faults.append(JSONFault(pointer: "?\(name)", detail: detail))
  }

  func finish() throws(JSONFaults) {
    if !faults.isEmpty { throw JSONFaults(faults) }
  }
}
