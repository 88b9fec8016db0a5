import HTTPServer
import JSON
import RiskModel

/// Computes a score document from what `GET /v1/providers/{p}/score/inputs` gives, without a database.
public enum OfflineScore {
  /// Why no score can be computed.
  public enum Fault: Error, Sendable, Equatable, CustomStringConvertible {
    /// A document that is not JSON at all: which one, and why.
    case unreadable(document: String, reason: String)
    /// Everything that is wrong with a document: which one, and a place and a sentence each.
    case invalid(document: String, faults: [JSONFault])

    public var description: String {
      switch self {
      case .unreadable(let document, let reason): "the \(document) is not JSON: \(reason)"
      case .invalid(let document, let faults):
        (["the \(document) is wrong:"] + faults.map { "  \($0.pointer.isEmpty ? "/" : $0.pointer) \($0.detail)" })
          .joined(separator: "\n")
      }
    }
  }

  /// The document, with `checks`; to the last bit that of the service for the same instant.
  /// - Parameters:
  ///   - inputs: the body of the answer.
  ///   - methodology: the methodology's document; nil for the one that the program ships with.
  public static func document(inputs: [UInt8], methodology bytes: [UInt8]?) throws -> [UInt8] {
    let shipped = try Catalogue()
    let candidates = try bytes.map { try read(methodology: $0) } ?? [shipped.scoringMethodology]
    let (inputs, methodology) = try reading("input", inputs) { value, faults in
      let methodology = candidates.first { .string($0.hash) == value["methodology_hash"] } ?? candidates[0]
      let inputs = try ScoreInputs(value, faults: faults, methodology, catalogue: shipped.methodology)
      return (inputs, methodology)
    }
    var fold = EvidenceFold(methodology.methodology, inputs.carried)
    // What is observed later does not exist yet.
    for result in inputs.results where result.countedAt <= inputs.at { fold.add(result) }
    let evidence = Evidence(
      sources: inputs.sources, entries: fold.entries, openIncidents: inputs.incidents, waivedChecks: inputs.waivers)
    var json = JSONWriter(reservingBytes: 32_768)
    ScoreEncoding(
      provider: inputs.provider, methodology: methodology, catalogue: shipped,
      assessment: methodology.methodology.assess(evidence, at: inputs.at), evaluatedAt: inputs.at,
      waivers: inputs.waivers.count, incidents: inputs.incidents.count, disputes: inputs.disputes, isFull: true,
      language: .english
    ).write(to: &json)
    return json.bytes
  }

  /// As it is and as it is stored, without white space: their hashes differ.
  private static func read(methodology bytes: [UInt8]) throws -> [ScoringMethodology] {
    try reading("methodology", bytes) { value, faults in
      if !faults.isEmpty { throw JSONFaults(faults) }
      return try [bytes, ScoringMethodology.canonical(value)].map { try ScoringMethodology(document: $0, value) }
    }
  }

  private static func reading<Value>(
    _ name: String, _ bytes: [UInt8], _ body: (JSONValue, [JSONFault]) throws -> Value
  ) throws -> Value {
    do {
      let (value, faults) = try JSONReader.read(bytes)
      return try body(value, faults)
    } catch let error as JSONSyntaxError {
      throw Fault.unreadable(document: name, reason: error.description)
    } catch let error as JSONFaults {
      throw Fault.invalid(document: name, faults: error.faults)
    }
  }
}

extension JSONValue {
  fileprivate subscript(name: String) -> JSONValue? { if case .object(let object) = self { object[name] } else { nil } }
}

/// What a score is computed from, read from a document.
struct ScoreInputs {
  let provider: ScoredProvider?
  let at: Instant
  let sources: [Evidence.Source]
  let incidents, waivers: Set<String>
  /// How many are open; they move nothing.
  let disputes: Int
  let results: [CountedResult]
  /// What results that are no longer kept contributed.
  let carried: [CarriedCell]

  /// - Throws: `JSONFaults`, with every fault.
  init(
    _ value: JSONValue, faults: [JSONFault], _ methodology: ScoringMethodology, catalogue: Methodology
  ) throws {
    var fields = JSONFields(value, faults: faults)
    _ = fields.required("methodology") { field in
      if try field.string() != methodology.id { throw field.fault("is not \(methodology.id), the methodology at hand") }
    }
    _ = fields.required("methodology_hash") { field in
      if try field.string() != methodology.hash {
        throw field.fault("is not \(methodology.hash), the hash of the methodology's document at hand")
      }
    }
    provider = fields.optional("provider") { try $0.object { ScoredProvider(&$0) } }
    let at = fields.required("at", Self.instant)
    let trusts = fields.required("sources", Self.sources)
    incidents = Set(
      fields.optional("incidents") { field in
        try field.array { try Self.known($0, "concern") { id in catalogue.concerns.contains { $0.id == id } } }
      } ?? [])
    waivers = Set(
      fields.optional("waivers") { field in
        try field.array { try Self.known($0, "check") { catalogue.checkIndex($0) != nil } }
      } ?? [])
    disputes = fields.optional("disputes") { try $0.integer(in: 0...Int.max) } ?? 0
    let numbers = trusts.map { Dictionary(uniqueKeysWithValues: $0.enumerated().map { ($1.slug, $0) }) }
    let results = fields.required("results") { field in
      try field.array { try $0.object { Self.result(&$0, methodology.methodology, sources: numbers) } }
    }
    let carried = fields.optional("carried") { field in
      try field.array { try $0.object { Self.carried(&$0, methodology.methodology, sources: numbers, at: at) } }
    }
    try fields.finish()
    self.at = at!
    self.carried = carried?.map { $0! } ?? []
    sources = trusts!
    self.results = results!.map { $0! }
  }

  private static func instant(_ field: JSONField) throws -> Instant {
    guard let instant = Instant(rfc3339: try field.string()) else {
      throw field.fault("must be a time as RFC 3339 writes it, such as 2026-11-23T08:00:00.000Z")
    }
    return instant
  }

  private static func known(_ field: JSONField, _ kind: String, _ isKnown: (String) -> Bool) throws -> String {
    let id = try field.string()
    guard isKnown(id) else { throw field.fault("there is no \(kind) of this id") }
    return id
  }

  private static func sources(_ field: JSONField) throws -> [Evidence.Source] {
    guard case .object(let object) = field.value else {
      throw field.fault("must be an object, not \(field.value.typeName)")
    }
    var faults: [JSONFault] = []
    let sources: [Evidence.Source] = object.members.compactMap { slug, value in
      guard case .number(let number) = value, number.double > 0, number.double <= 1 else {
        faults.append(
          JSONFault(pointer: jsonPointer(field.pointer, slug), detail: "must be a number above 0 and at most 1"))
        return nil
      }
      return Evidence.Source(slug: slug, trust: number.double)
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
    return sources
  }

  private struct Place {
    let source, check: Int?
    let target: Target?

    init(_ fields: inout JSONFields, _ methodology: Methodology, sources: [String: Int]?) {
      source = fields.required("source") { field -> Int in
        let slug = try field.string()
        // Where the sources themselves are wrong, that is fault enough.
        guard let sources else { return 0 }
        guard let source = sources[slug] else { throw field.fault("is not one of the sources") }
        return source
      }
      check = fields.required("check") { field -> Int in
        guard let check = methodology.checkIndex(try field.string()) else {
          throw field.fault("is not a check of the methodology")
        }
        return check
      }
      let address = fields.required("target") { try $0.string(bytesMin: 1) }
      let model = fields.optional("model") { try $0.string(bytesMin: 1) }
      target = address.map { Target(address: $0, model: model) }
    }
  }

  /// Nil only together with a fault.
  private static func result(
    _ fields: inout JSONFields, _ methodology: Methodology, sources: [String: Int]?
  ) -> CountedResult? {
    let place = Place(&fields, methodology, sources: sources)
    let outcome = fields.required("outcome") { try $0.oneOf(Outcome.self) }
    let observedAt = fields.required("observed_at", instant)
    let confidence = fields.optional("confidence") { field -> Double in
      let confidence = try field.double()
      guard confidence > 0, confidence <= 1 else { throw field.fault("must be above 0 and at most 1") }
      return confidence
    }
    guard let source = place.source, let check = place.check, let target = place.target, let outcome, let observedAt
    else { return nil }
    return CountedResult(
      check: check, target: target, source: source, outcome: outcome, countedAt: observedAt,
      confidence: confidence ?? 1)
  }

  /// Nil only together with a fault.
  private static func carried(
    _ fields: inout JSONFields, _ methodology: Methodology, sources: [String: Int]?, at: Instant?
  ) -> CarriedCell? {
    let place = Place(&fields, methodology, sources: sources)
    let newest = fields.required("newest") { field -> Instant in
      let newest = try instant(field)
      if let at, newest > at { throw field.fault("is after `at`") }
      return newest
    }
    let weights = ["fail_weight", "pass_weight"].map { name in
      fields.required(name) { field -> Double in
        let weight = try field.double()
        guard weight >= 0 else { throw field.fault("must be 0 or more") }
        return weight
      }
    }
    guard let source = place.source, let check = place.check, let target = place.target, let newest,
      let failWeight = weights[0], let passWeight = weights[1]
    else { return nil }
    return CarriedCell(
      methodology: methodology.id, check: methodology.checks[check].id, target: target, source: source,
      cell: EvidenceCell(newest: newest, failWeight: failWeight, passWeight: passWeight))
  }
}
