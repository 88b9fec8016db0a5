import JSON
import RiskModel

/// A small methodology of every sort of check, so that a thousand cases take a second: per concern a critical one
/// where there is one, a state, a sample; and the one that is not scored.
enum Small {
  static let checks = [
    "controls.default-admin-credentials", "controls.cross-tenant-leak", "controls.admin-panel-exposed",
    "controls.version-disclosure", "encryption.legacy-tls-protocol", "encryption.known-tls-vulnerability",
    "backdoor.tool-call-rewrite", "backdoor.conditional-trigger", "backdoor.custom-ca-required",
    "crossborder.no-icp-filing", "crossborder.egress-region-observed", "substitution.fingerprint-distribution",
    "substitution.backend-origin",
  ]

  /// The document of rm-1 without the other checks.
  static let document = Fixtures.rm1Document.edited(
    Dictionary(
      uniqueKeysWithValues: Fixtures.rm1Document["checks"].array.enumerated().filter {
        !checks.contains($0.element["id"].string!)
      }.map { ("/checks/\($0.offset)", nil) }))
  static let methodology = try! Methodology(document)

  /// The same with other constants in their ranges.
  static func randomDocument(_ generator: inout SplitMix64) -> JSONValue {
    var edits: [String: String?] = [:]
    func set(_ pointer: String, _ range: ClosedRange<Double>) {
      edits[pointer] = "\(Double.random(in: range, using: &generator))"
    }
    set("/saturation", 0.5...20)
    // Narrow ranges and narrow limits now and then: there the score leaves its own range and must widen it.
    set("/z", generator.chance(0.5) ? 0.01...0.1 : 0.5...3)
    set("/single_source_limit", generator.chance(0.5) ? 0...2 : 0...40)
    for kind in ["state", "sample"] {
      set("/kappa/\(kind)", 0.05...4)
      set("/evasion/\(kind)", 0...0.6)
    }
    set("/critical/confirm", 1.01...2)
    set("/critical/provisional", 0.1...1)
    set("/critical/provisional_floor", 0...100)
    set("/sufficiency/min_evidence", 0.01...0.5)
    set("/sufficiency/min_coverage", 0.05...0.8)
    set("/sufficiency/min_concern_coverage", 0...0.5)
    for concern in document["concerns"].members.map(\.name) {
      set("/concerns/\(concern)/fail_half_life_days", 1...200)
      set("/concerns/\(concern)/pass_half_life_days", 1...200)
      set("/concerns/\(concern)/floor", 0...100)
    }
    return document.edited(edits)
  }
}

extension Scenario {
  static let targets = [
    Target(address: "a.example"), Target(address: "b.example"), Target(address: "a.example", model: "m-1"),
    Target(address: "\u{FF5A}.example"), Target(address: "\u{1D538}.example"),
  ]

  /// From silent to well probed, from clean to bad; a tenth of the results is late, that is after the instant.
  static func random(_ generator: inout SplitMix64, of methodology: Methodology = Small.methodology) -> Scenario {
    let slugs = ["ash", "birch", "cedar", "dogwood"].prefix(Int.random(in: 1...4, using: &generator))
    let sources = Dictionary(
      uniqueKeysWithValues: slugs.map { slug in
        (slug, generator.chance(0.3) ? 1 : Double.random(in: 0.05...1, using: &generator))
      })
    let reach = generator.pick([0.0, 0.2, 0.7, 0.95])
    let failing = generator.pick([0.0, 0.02, 0.2, 0.8])
    let at = Instant(milliseconds: 1_780_000_000_000 + Int64.random(in: 0..<Instant.day, using: &generator))
    var scenario = Scenario(methodology: methodology, sources: sources, results: [], at: at)
    for check in methodology.checks {
      for slug in slugs where generator.chance(reach) {
        let target = generator.chance(0.7) ? targets[0] : generator.pick(targets)
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          scenario.results.append(
            .random(from: slug, check.id, target, outcome: generator.chance(failing) ? .fail : .pass, at, &generator))
        }
      }
    }
    if generator.chance(0.15) { scenario.incidents = [generator.pick(methodology.concerns).id] }
    for check in methodology.checks where generator.chance(0.04) { scenario.waivers.insert(check.id) }
    scenario.results.shuffle(using: &generator)
    return scenario
  }

  /// A further result that counts, perhaps on a new target. Where a result of a state stands it is as confident.
  func furtherResult(_ outcome: Outcome, _ generator: inout SplitMix64) -> ProbeResult {
    var result = ProbeResult.random(
      from: generator.pick(sources.keys.sorted()), generator.pick(methodology.checks).id,
      generator.pick(Self.targets + [Target(address: "new.example")]), outcome: outcome, at, &generator)
    result.observedAt = min(result.observedAt, at)
    let same = counted.filter {
      $0.source == result.source && $0.check == result.check && $0.target == result.target
    }
    if checkAndConcern(result.check).0.kind == .state, let cell = same.isEmpty ? nil : fold(same) {
      result.confidence = Double.random(in: max(cell.failWeight, cell.passWeight)...1, using: &generator)
    }
    return result
  }
}

extension ProbeResult {
  static func random(
    from source: String, _ check: String, _ target: Target, outcome: Outcome, _ at: Instant,
    _ generator: inout SplitMix64
  ) -> ProbeResult {
    // Whole days now and then, so that times tie.
    let age =
      generator.chance(0.3)
      ? Double(Int.random(in: 0...3, using: &generator)) : Double.random(in: -4...36, using: &generator)
    return ProbeResult(
      source: source, check: check, target: target,
      outcome: outcome, observedAt: at.earlier(days: age),
      confidence: generator.chance(0.6) ? 1 : Double.random(in: 0.05...1, using: &generator))
  }
}
