import JSON
import RiskModel
import Testing

/// The published cases: whoever implements the methodology must meet them to 1e-9.
@Suite struct VectorTests {
  static let cases = Fixtures.vectors["cases"].array

  @Test func thereAreNinetyCasesOfThisMethodology() {
    #expect(Self.cases.count == 90)
    #expect(Fixtures.vectors["methodology"].string == Fixtures.rm1.id)
    #expect(Fixtures.vectors["tolerance"].double == 1e-9)
  }

  @Test func summedDirectly() {
    for vector in Self.cases {
      let assessment = Scenario(vector: vector).assessDirectly(Fixtures.rm1Document)
      let faults = differences(of: assessment, from: vector["expected"])
      #expect(faults.isEmpty, "\(vector["name"].string!)")
    }
  }

  @Test func foldedInOrder() {
    for vector in Self.cases {
      let faults = differences(of: Scenario(vector: vector).assess(), from: vector["expected"])
      #expect(faults.isEmpty, "\(vector["name"].string!)")
    }
  }

  @Test func foldedInRandomOrderAndGrouping() {
    for (index, vector) in Self.cases.enumerated() {
      let seed = UInt64(4_000 + index)
      var generator = SplitMix64(seed: seed)
      let assessment = Scenario(vector: vector).assess(shuffling: &generator)
      let faults = differences(of: assessment, from: vector["expected"])
      #expect(faults.isEmpty, "\(vector["name"].string!), seed \(seed)")
    }
  }

  private func differences(of assessment: Assessment, from expected: JSONValue) -> [String] {
    var faults: [String] = []
    func compare(_ place: String, _ values: [(String, Double)], _ expected: JSONValue) {
      for (name, value) in values where !near(value, expected[name].double ?? .nan) {
        faults.append("\(place) \(name): \(value), not \(expected[name])")
      }
    }
    func compare(_ place: String, _ values: [(String, String?)], _ expected: JSONValue) {
      for (name, value) in values where value != expected[name].string {
        faults.append("\(place) \(name): \(value ?? "null"), not \(expected[name])")
      }
    }
    compare(
      "top",
      [
        ("score", assessment.score), ("base", assessment.base), ("low", assessment.low), ("high", assessment.high),
        ("single_source_adjustment", assessment.singleSourceAdjustment),
        ("floor_adjustment", assessment.floorAdjustment), ("robust_low", assessment.robustLow),
        ("robust_high", assessment.robustHigh), ("coverage", assessment.coverage),
      ], expected)
    compare(
      "top",
      [
        ("evidence", assessment.isSufficient ? "sufficient" : "insufficient"),
        ("verdict", assessment.verdict.rawValue), ("grade", assessment.grade),
      ], expected)
    if expected.members.count != 14 { faults.append("top: fields not compared") }

    if assessment.concerns.count != expected["concerns"].array.count { faults.append("the number of concerns") }
    for (concern, expected) in zip(assessment.concerns, expected["concerns"].array) {
      compare(
        concern.id, [("score", concern.score), ("points", concern.points), ("coverage", concern.coverage)], expected)
      compare(concern.id, [("concern", concern.id), ("critical", concern.critical.rawValue)], expected)
      if Fixtures.rm1.concerns[concern.concern].id != concern.id { faults.append("\(concern.id): index") }
      if expected.members.count != 5 { faults.append("\(concern.id): fields not compared") }
    }

    if assessment.checks.count != expected["checks"].array.count { faults.append("the number of checks") }
    for (check, expected) in zip(assessment.checks, expected["checks"].array) {
      let id = Fixtures.rm1.checks[check.check].id
      compare(
        id,
        [
          ("theta", check.theta), ("seen", check.seen), ("unseen", check.unseen), ("prior", check.prior),
          ("fail_evidence", check.failEvidence), ("pass_evidence", check.passEvidence),
          ("sources", Double(check.sources)), ("points", check.points),
        ], expected)
      compare(
        id, [("check", id), ("target", check.target?.address), ("critical", check.critical.rawValue)], expected)
      if expected.members.count != 11 { faults.append("\(id): fields not compared") }
    }
    return faults
  }
}
