import JSON
import RiskModel

/// One probe result as it was sent.
struct ProbeResult {
  var source: String
  var check: String
  var target: Target
  var outcome: Outcome
  var observedAt: Instant
  var confidence = 1.0
}

/// Everything that a score is computed from, results unfolded.
struct Scenario {
  var methodology = Fixtures.rm1
  /// Trust by slug.
  var sources: [String: Double]
  var incidents: Set<String> = []
  var waivers: Set<String> = []
  var results: [ProbeResult]
  var at: Instant

  func assess() -> Assessment { methodology.assess(evidence { fold($0) }, at: at) }

  /// Nothing is folded: each cell is the direct sum over its results at the instant, as the methodology words it.
  func assessDirectly(_ document: JSONValue) -> Assessment {
    let evidence = evidence { results in
      let (fail, pass) = Oracle.directSum(of: results, at: at, document)
      if fail + pass <= 0 { return nil }
      let check = checkAndConcern(results[0].check).0
      // The pass of a state is stored without its sensitivity.
      return EvidenceCell(
        newest: at, failWeight: fail, passWeight: check.kind == .state ? pass / check.sensitivity : pass)
    }
    return methodology.assess(evidence, at: at)
  }

  /// Folds with random order and random grouping.
  func assess(shuffling generator: inout SplitMix64) -> Assessment {
    let evidence = evidence { results in
      let check = checkAndConcern(results[0].check)
      var cells = results.compactMap(cell)
      while cells.count > 1 {
        let one = cells.remove(at: Int.random(in: cells.indices, using: &generator))
        let other = cells.remove(at: Int.random(in: cells.indices, using: &generator))
        cells.append(one.merged(with: other, check: check.0, concern: check.1))
      }
      return cells.first
    }
    return methodology.assess(evidence, at: at)
  }

  /// The provider without one source, as if it had never been heard.
  func without(_ source: String) -> Scenario {
    var rest = self
    rest.sources[source] = nil
    rest.results.removeAll { $0.source == source }
    return rest
  }

  struct Place: Hashable {
    let source, check: String
    let target: Target
  }

  /// The results that exist: of a known source and check, and not later than the instant.
  var counted: [ProbeResult] {
    results.filter { $0.observedAt <= at && sources[$0.source] != nil && methodology.checkIndex($0.check) != nil }
  }

  func cell(_ result: ProbeResult) -> EvidenceCell? {
    let (check, concern) = checkAndConcern(result.check)
    return EvidenceCell(
      outcome: result.outcome, observedAt: result.observedAt, confidence: result.confidence, check: check,
      concern: concern)
  }

  /// One after the other, in the order of arrival.
  func fold(_ results: [ProbeResult]) -> EvidenceCell? {
    let (check, concern) = checkAndConcern(results[0].check)
    return results.compactMap(cell).reduce(nil) { $0?.merged(with: $1, check: check, concern: concern) ?? $1 }
  }

  func checkAndConcern(_ id: String) -> (Check, Concern) {
    let check = methodology.checks[methodology.checkIndex(id)!]
    return (check, methodology.concerns[check.concern])
  }

  private func evidence(_ fold: ([ProbeResult]) -> EvidenceCell?) -> Evidence {
    let slugs = sources.keys.sorted()
    let numbers = Dictionary(uniqueKeysWithValues: slugs.enumerated().map { ($1, $0) })
    let places = Dictionary(grouping: counted) { Place(source: $0.source, check: $0.check, target: $0.target) }
    let entries = places.compactMap { place, results in
      fold(results).map {
        Evidence.Entry(
          check: methodology.checkIndex(place.check)!, target: place.target, source: numbers[place.source]!, cell: $0)
      }
    }
    return Evidence(
      sources: slugs.map { Evidence.Source(slug: $0, trust: sources[$0]!) }, entries: entries,
      openIncidents: incidents, waivedChecks: waivers)
  }
}

extension Scenario {
  /// One of the vectors' cases.
  init(vector: JSONValue) {
    sources = Dictionary(uniqueKeysWithValues: vector["sources"].members.map { ($0.name, $0.value.double!) })
    incidents = Set(vector["incidents"].array.map { $0.string! })
    waivers = Set(vector["waivers"].array.map { $0.string! })
    at = Instant(vector["at"].string!)
    results = vector["results"].array.map { result in
      ProbeResult(
        source: result["source"].string!, check: result["check"].string!,
        target: Target(address: result["target"].string!), outcome: Outcome(rawValue: result["outcome"].string!)!,
        observedAt: Instant(result["observed_at"].string!), confidence: result["confidence"].double ?? 1)
    }
  }
}
