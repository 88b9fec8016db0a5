import JSON
import RiskModel

/// What a score is to be computed with that is not so.
struct SimulationRequest: Sendable {
  /// The methodologies when it was asked for.
  let set: MethodologySet
  let provider: Provider
  /// All of them of the provider.
  let added: [ProbeResult]
  let droppedSources: Set<Identifier>
  /// Ids of checks.
  let waivedChecks: Set<String>
  /// Ids of concerns.
  let openIncidents: Set<String>
  /// Nil: the active methodology as it is.
  let scoring: ScoringMethodology?
  /// The instant that both scores are evaluated at; nil: that of the live score.
  let at: Instant?

  static let countMax = 1_000

  /// - Throws: `JSONSyntaxError`; `JSONFaults`, all that is wrong.
  init(_ body: [UInt8], by caller: Principal, _ parts: RiskService.Parts, now: Instant) throws {
    let set = parts.methodologies.current
    let (value, readerFaults) = try JSONReader.read(body)
    var fields = JSONFields(value, faults: readerFaults)
    let decoder = ProbeResultDecoder(
      registry: parts.registry, signingKeys: parts.signingKeyRing, methodology: parts.catalogue.methodology,
      principal: caller.ofNoSource, now: now)
    let provider = fields.required("provider") { try $0.provider(in: parts.registry) }
    let counts = 0...Self.countMax
    let added = fields.optional("add") { field in
      try field.array(count: counts) { try Self.result($0, of: provider, decoder) }
    }
    let dropped = fields.optional("drop_sources") { field in
      try field.array(count: counts) { field in
        guard let source = parts.registry.source(try field.string()) else {
          throw field.fault("no source has this id or slug")
        }
        return source.id
      }
    }
    let waived = fields.optional("waive") { try $0.array(count: counts, decoder.checkID) }
    let original = fields.optional("methodology") { field in
      guard let methodology = set[try field.string()] else {
        throw field.fault("no such methodology; GET /v1/methodologies lists them")
      }
      return methodology.scoring
    }
    let base = original ?? set.active
    let incidents = fields.optional("incidents") { field in
      try field.array(count: counts) { try $0.concern(of: base.methodology) }
    }
    let changed = fields.optional("constants") { try ScoringMethodology(base, changedBy: $0) }
    at = fields.optional("at") { try ProbeResultDecoder.instant($0, now: now) }
    try fields.finish()
    self.set = set
    self.provider = provider!
    self.added = (added ?? []).compactMap(\.self)
    droppedSources = Set(dropped ?? [])
    waivedChecks = Set(waived ?? [])
    openIncidents = Set(incidents ?? [])
    scoring = changed ?? original
  }

  /// - Parameter provider: nil when it has a fault, which is said once and not for every result.
  /// - Returns: nil without a provider.
  private static func result(
    _ field: JSONField, of provider: Provider?, _ decoder: ProbeResultDecoder
  ) throws -> ProbeResult? {
    var fields = JSONFields(field.value, at: field.pointer)
    return try decoder.decode(&fields) { fields in
      _ = fields.optional("provider") { field in
        let named = try decoder.provider(field)
        if let provider, named.id != provider.id { throw field.fault("is not the provider of the simulation") }
      }
      return provider
    }
  }
}

extension JSONField {
  /// The id of one of a methodology's concerns.
  func concern(of methodology: Methodology) throws -> String {
    let concern = try string()
    let known = methodology.concerns.map(\.id)
    guard known.contains(concern) else { throw fault("must be one of \(known.joined(separator: ", "))") }
    return concern
  }
}
