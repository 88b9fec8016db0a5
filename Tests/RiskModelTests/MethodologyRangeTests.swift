import JSON
import RiskModel
import Testing

/// The edges of what a methodology's document may hold.
@Suite struct MethodologyRangeTests {
  /// Of every number: both ends are in its range, and what is next to them outside is not.
  @Test(arguments: [
    ("/saturation", 0.001, 1_000_000), ("/z", 0.01, 10), ("/single_source_limit", 0, 100),
    ("/kappa/state", 0.001, 1_000_000), ("/kappa/sample", 0.001, 1_000_000), ("/evasion/state", 0, 1),
    ("/evasion/sample", 0, 1), ("/severity_impact/info", 0, 1), ("/severity_impact/low", 0, 1),
    ("/severity_impact/medium", 0, 1), ("/severity_impact/high", 0, 1), ("/severity_impact/critical", 0, 1),
    ("/critical/confirm", 1.01, 1_000), ("/critical/provisional", 0.01, 1_000), ("/critical/provisional_floor", 0, 100),
    ("/sufficiency/min_evidence", 0.001, 1_000_000), ("/sufficiency/min_coverage", 0.001, 1),
    ("/sufficiency/min_concern_coverage", 0, 1), ("/verdict/block_low", 0, 100), ("/verdict/allow_high", 0, 100),
    ("/grades/0/max", 0, 100), ("/concerns/backdoor/impact", 0.001, 0.999),
    ("/concerns/backdoor/base_rate", 0.0001, 0.999), ("/concerns/backdoor/fail_half_life_days", 0.01, 36_500),
    ("/concerns/backdoor/pass_half_life_days", 0.01, 36_500), ("/concerns/backdoor/floor", 0, 100),
    ("/checks/3/sensitivity", 0.001, 1),
  ])
  func aRangeHasItsEnds(pointer: String, least: Double, most: Double) {
    #expect(!isOutOfRange(pointer, least) && !isOutOfRange(pointer, most))
    #expect(isOutOfRange(pointer, least - 1e-6) && isOutOfRange(pointer, most + 1e-6))
  }

  private func isOutOfRange(_ pointer: String, _ value: Double) -> Bool {
    faults(of: [pointer: "\(value)"]).contains { $0.pointer == pointer && $0.detail.hasPrefix("must be a number from") }
  }

  @Test(arguments: [
    ("/id", 100), ("/grades/0/grade", 20), ("/concerns/backdoor/title", 500), ("/checks/3/id", 200),
    ("/checks/3/title", 500), ("/checks/3/title_zh", 500),
  ])
  func aTextHasAGreatestLength(pointer: String, bytesMax: Int) {
    func text(_ count: Int) -> String { "\"\(String(repeating: "x", count: count))\"" }
    #expect(faults(of: [pointer: text(1)]).isEmpty && faults(of: [pointer: text(bytesMax)]).isEmpty)
    #expect(faults(of: [pointer: text(bytesMax + 1)]).map(\.pointer) == [pointer])
  }

  @Test func oneThresholdMayServeForBothCriticalStates() {
    #expect(faults(of: ["/critical/provisional": "1.5", "/critical/confirm": "1.5"]).isEmpty)
    #expect(
      faults(of: ["/critical/provisional": "1.51", "/critical/confirm": "1.5"]).map(\.pointer) == [
        "/critical/provisional"
      ])
  }

  @Test func gradesAndChecksAreCounted() {
    func grades(_ count: Int) -> String {
      "[\((1...count).map { #"{"max": \#(Double($0) / Double(count) * 100), "grade": "g"}"# }.joined(separator: ","))]"
    }
    #expect(faults(of: ["/grades": grades(1)]).isEmpty && faults(of: ["/grades": grades(100)]).isEmpty)
    #expect(faults(of: ["/grades": grades(101)]).map(\.pointer) == ["/grades"])
    func checks(_ count: Int) -> String {
      let one = #""severity": "high", "kind": "state", "sensitivity": 1, "objectivity": "A", "access": "none""#
      let all = (0..<count).map {
        #"{"id": "c\#($0)", "concern": "only", \#(one), "title": "t", "title_zh": "t"}"#
      }
      return "[\(all.joined(separator: ","))]"
    }
    let concern = """
      {"only": {"title": "t", "impact": 0.5, "base_rate": 0.1, "fail_half_life_days": 1, "pass_half_life_days": 1,
        "floor": 50}}
      """
    for count in [1, 10_000] { #expect(faults(of: ["/concerns": concern, "/checks": checks(count)]).isEmpty) }
    #expect(faults(of: ["/concerns": concern, "/checks": checks(10_001)]).map(\.pointer) == ["/checks"])
  }

  private func faults(of edits: [String: String?]) -> [JSONFault] {
    do throws(JSONFaults) {
      _ = try Methodology(Small.document.edited(edits))
      return []
    } catch {
      return error.faults
    }
  }
}
