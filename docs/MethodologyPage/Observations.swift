import Foundation
import JSON
import RiskModel

/// Results and what else a score is computed from, as `GET .../score/inputs` gives it.
struct Observations {
  struct Result {
    let source, check: String
    let target: Target
    let outcome: Outcome
    let at: Instant
    var confidence = 1.0
    /// How often it was seen, all at once.
    var times = 1
  }

  let methodology: Methodology
  /// Trust by slug.
  var sources: [String: Double]
  var results: [Result] = []
  let at: Instant

  func assess() -> Assessment {
    struct Place: Hashable {
      let source, check: String
      let target: Target
    }
    let slugs = sources.keys.sorted()
    var cells: [Place: EvidenceCell] = [:]
    for result in results {
      let check = methodology.checks[methodology.checkIndex(result.check)!]
      let concern = methodology.concerns[check.concern]
      let cell = EvidenceCell(
        outcome: result.outcome, observedAt: result.at, confidence: result.confidence, check: check, concern: concern)!
      let place = Place(source: result.source, check: result.check, target: result.target)
      // Grouping makes no difference to a fold, so that many of a kind double up.
      var group = cell
      for bit in 0..<(Int.bitWidth - result.times.leadingZeroBitCount) {
        if result.times >> bit & 1 == 1 {
          cells[place] = cells[place]?.merged(with: group, check: check, concern: concern) ?? group
        }
        group = group.merged(with: group, check: check, concern: concern)
      }
    }
    let entries = cells.map { place, cell in
      Evidence.Entry(
        check: methodology.checkIndex(place.check)!, target: place.target, source: slugs.firstIndex(of: place.source)!,
        cell: cell)
    }
    let evidence = Evidence(sources: slugs.map { Evidence.Source(slug: $0, trust: sources[$0]!) }, entries: entries)
    return methodology.assess(evidence, at: at)
  }
}

extension Observations {
  /// Reads what the worked example of the page has: no incidents, no waivers.
  init(_ document: JSONValue, under methodology: Methodology) throws {
    var fields = JSONFields(document)
    let at = fields.required("at") { try instant($0.string()) }
    let sources = fields.required("sources") { field in
      guard case .object(let object) = field.value else { throw field.fault("must be an object") }
      return Dictionary(
        uniqueKeysWithValues: object.members.compactMap { name, value in
          if case .number(let number) = value { (name, number.double) } else { nil }
        })
    }
    let results = fields.required("results") { field in
      try field.array(count: 1...100) { field in
        try field.object { fields in
          Result(
            source: fields.required("source") { try $0.string() } ?? "",
            check: fields.required("check") { try $0.string() } ?? "",
            target: Target(address: fields.required("target") { try $0.string() } ?? ""),
            outcome: fields.required("outcome") { try $0.oneOf(Outcome.self) } ?? .error,
            at: fields.required("observed_at") { try instant($0.string()) } ?? Instant(milliseconds: 0),
            confidence: fields.optional("confidence") { try $0.double() } ?? 1)
        }
      }
    }
    try fields.finish()
    self.init(methodology: methodology, sources: sources!, results: results!, at: at!)
  }
}

private func instant(_ text: String) throws -> Instant {
  Instant(milliseconds: Int64(try Date(text, strategy: .iso8601).timeIntervalSince1970 * 1_000))
}
