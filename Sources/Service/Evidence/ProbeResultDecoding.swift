import JSON
import RiskModel

/// Turns what was sent into a `ProbeResult`, or into every fault in it.
struct ProbeResultDecoder: Sendable {
  let registry: Registry
  let signingKeys: SigningKeyRing
  let methodology: Methodology
  let principal: Principal
  let now: Instant

  /// How far a sender's clock may be ahead.
  static let clockSkewMillisecondsMax: Int64 = 5 * 60 * 1000
  private static let year2000 = Instant(milliseconds: 946_684_800_000)

  /// - Parameter readerFaults: what the JSON reader found inside this value, with pointers relative to it.
  func decode(_ value: JSONValue, readerFaults: [JSONFault] = []) throws(JSONFaults) -> ProbeResult {
    var fields = JSONFields(value, faults: readerFaults)
    // Without a fault there is a provider.
    return try decode(&fields, signedAs: value) { $0.required("provider", provider) }!
  }

  /// - Parameters:
  ///   - sent: the whole of it, of which it may have a signature; nil where it may not.
  ///   - subject: reads the provider, whose faults it may leave to others.
  /// - Returns: nil without a provider.
  func decode(
    _ fields: inout JSONFields, signedAs sent: JSONValue? = nil, of subject: (inout JSONFields) -> Provider?
  ) throws(JSONFaults) -> ProbeResult? {
    let provider = subject(&fields)
    let source = source(&fields)
    let check = fields.required("check", check)
    let outcome = fields.required("outcome") { try $0.oneOf(Outcome.self) }
    let observedAt = fields.required("observed_at") { try Self.instant($0, now: now) }
    let target = fields.optional("target") { try TargetAddress(try $0.string()) }
    let model = fields.optional("model") { try $0.string(bytesMin: 1, bytesMax: 128) }
    let confidence = fields.optional("confidence", Self.confidence)
    let externalID = fields.optional("external_id") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let runID = fields.optional("run_id") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let vantage = fields.optional("vantage", Self.vantage)
    let scanner = fields.optional("scanner", ProbeResult.Scanner.init)
    let note = fields.optional("note") { try $0.string(bytesMax: 2_000) }
    let evidence = fields.optional("evidence", Self.evidence)
    let signature = sent.flatMap { verifiedSignature(&fields, of: $0, by: source, note: note, evidence: evidence) }
    try fields.finish()
    guard let provider else { return nil }
    return ProbeResult(
      provider: provider.id, source: source!.id, check: check!, checkID: methodology.checks[check!].id,
      outcome: outcome!, observedAt: observedAt!,
      target: Target(address: (target ?? TargetAddress(of: provider.details.hosts[0])).text, model: model),
      confidence: confidence ?? 1, externalID: externalID, runID: runID, vantage: vantage ?? nil, scanner: scanner,
      note: note, evidence: evidence, signature: signature)
  }

  // MARK: - References

  func provider(_ field: JSONField) throws -> Provider {
    let reference = try field.string()
    guard let provider = registry.provider(reference) else {
      throw field.fault("no provider has this id, slug or host")
    }
    guard provider.status != .retired else { throw field.fault("is retired and takes no new results") }
    return provider
  }

  /// The source that the key is bound to, or the one that an unbound key, an admin's, names.
  private func source(_ fields: inout JSONFields) -> Source? {
    if principal.sourceID == nil { return fields.required("source", namedSource) }
    let named = fields.optional("source", namedSource)
    if boundSource == nil { fields.fault("source", Self.boundSourceIsUnknown) }
    return named ?? boundSource
  }

  /// The source that the key is bound to. Sources are never deleted, but this instance may not have read it yet.
  var boundSource: Source? { principal.sourceID.flatMap { registry.source(id: $0) } }

  static let boundSourceIsUnknown = "the source that the key is bound to is not known here yet"

  /// A source by the name that the sender gave, if the sender may post for it.
  func namedSource(_ field: JSONField) throws -> Source {
    guard let source = registry.source(try field.string()) else { throw field.fault("no source has this id or slug") }
    if let bound = principal.sourceID, bound != source.id {
      throw field.fault("the key is bound to another source and posts for that one only")
    }
    guard source.status == .active else { throw field.fault("is suspended") }
    return source
  }

  private func check(_ field: JSONField) throws -> Int {
    guard let index = methodology.checkIndex(try field.string()) else {
      throw field.fault("no such check; GET /v1/checks lists them")
    }
    return index
  }

  func checkID(_ field: JSONField) throws -> String { methodology.checks[try check(field)].id }

  // MARK: - Values

  static func instant(_ field: JSONField, now: Instant) throws -> Instant {
    guard let instant = Instant(rfc3339: try field.string()) else {
      throw field.fault("must be a time as RFC 3339 writes it, such as 2026-11-23T08:00:00.000Z")
    }
    guard instant >= year2000 else { throw field.fault("is before the year 2000") }
    guard instant <= now + clockSkewMillisecondsMax else { throw field.fault("is more than 5 minutes ahead") }
    return instant
  }

  private static func confidence(_ field: JSONField) throws -> Double {
    let confidence = try field.double()
    guard confidence > 0, confidence <= 1 else { throw field.fault("must be above 0 and at most 1") }
    return confidence
  }

  /// Nil when it says nothing, as if it had not been sent.
  private static func vantage(_ field: JSONField) throws -> ProbeResult.Vantage? {
    try field.object { fields in
      let country = fields.optional("country", CountryCode.read)
      let asn = fields.optional("asn") { try $0.integer(in: 1...4_294_967_295) }
      return country == nil && asn == nil ? nil : ProbeResult.Vantage(country: country, asn: asn)
    }
  }

  private static func evidence(_ field: JSONField) throws -> JSONValue {
    guard case .object = field.value else { throw field.fault("must be an object, not \(field.value.typeName)") }
    var json = JSONWriter()
    json.value(field.value)
    guard json.bytes.count <= ProbeResult.evidenceBytesMax else {
      throw field.fault("is \(json.bytes.count) bytes long, at most \(ProbeResult.evidenceBytesMax) are allowed")
    }
    return field.value
  }
}

extension ProbeResult.Scanner {
  init(_ field: JSONField) throws {
    self = try field.object { fields in
      let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 100) }
      let version = fields.optional("version") { try $0.string(bytesMin: 1, bytesMax: 100) }
      try fields.finish()
      return ProbeResult.Scanner(name: name!, version: version)
    }
  }
}
