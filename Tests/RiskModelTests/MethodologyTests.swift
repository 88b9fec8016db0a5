import JSON
import RiskModel
import Testing

/// Reading a methodology's document.
@Suite struct MethodologyTests {
  @Test func theDocumentIsReadAsItIs() {
    let methodology = Fixtures.rm1
    #expect(methodology.id == "rm-1")
    #expect(methodology.saturation == 6 && methodology.z == 1.6448536269514722)
    #expect(methodology.singleSourceLimit == 15)
    #expect(methodology.kappa[.state] == 0.25 && methodology.kappa[.sample] == 1)
    #expect(methodology.evasion[.state] == 0.05 && methodology.evasion[.sample] == 0.25)
    #expect(Severity.allCases.map { methodology.severityImpact[$0] } == [0, 0.1, 0.3, 0.6, 0.9])
    let critical = methodology.critical
    #expect(critical.confirm == 1.2 && critical.provisional == 0.5 && critical.provisionalFloor == 55)
    let sufficiency = methodology.sufficiency
    #expect(sufficiency.minEvidence == 0.15)
    #expect(sufficiency.minCoverage == 0.5 && sufficiency.minConcernCoverage == 0.2)
    #expect(methodology.verdict.blockLow == 60 && methodology.verdict.allowHigh == 55)
    #expect(methodology.grades.map(\.grade) == ["A", "B", "C", "D", "E", "F"])
    #expect(methodology.grades.map(\.max) == [15, 30, 45, 65, 80, 100])
    #expect(methodology.concerns.map(\.id) == ["controls", "encryption", "backdoor", "crossborder", "substitution"])
    let backdoor = methodology.concerns[2]
    #expect(backdoor.impact == 0.95 && backdoor.baseRate == 0.02 && backdoor.floor == 95)
    #expect(backdoor.failHalfLifeDays == 180 && backdoor.passHalfLifeDays == 30)
    #expect(backdoor.title == "Backdoors that bypass authentication, compromise accounts or watch developer devices")
  }

  @Test func theCatalogueKeepsItsOrderAndItsWords() throws {
    let checks = Fixtures.rm1.checks
    #expect(checks.map(\.id) == Fixtures.rm1Document["checks"].array.map { $0["id"].string })
    #expect(checks.filter { !$0.isScored }.map(\.id) == ["controls.version-disclosure"])
    let index = try #require(Fixtures.rm1.checkIndex("controls.cross-tenant-leak"))
    let check = checks[index]
    #expect(check.severity == .critical && check.kind == .sample && check.sensitivity == 0.3)
    #expect(check.objectivity == .positiveDecides && check.access == .twoAccounts)
    #expect(check.title == "Data of one tenant returned to another" && check.titleChinese == "跨租户数据泄露")
    #expect(check.concern == 0 && check.concernID == "controls")
    for (index, check) in checks.enumerated() { #expect(Fixtures.rm1.checkIndex(check.id) == index) }
    #expect(Fixtures.rm1.checkIndex("controls.unheard-of") == nil)
  }

  @Test func anUnprobedProviderHasTheBaseRisks() {
    let methodology = Fixtures.rm1
    var clean = 1.0
    for (index, concern) in methodology.concerns.enumerated() {
      let checks = methodology.checks.filter { $0.concern == index && $0.isScored }
      let left = checks.reduce(1) { $0 * (1 - $1.impact * $1.prior) }
      #expect(near(1 - left, concern.impact * concern.baseRate, within: 1e-15))
      #expect(near(checks.reduce(0) { $0 + $1.share }, 1, within: 1e-14))
      clean *= left
    }
    let points = methodology.checks.reduce(0) { $0 + $1.priorPoints }
    #expect(near(points, 100 * (1 - clean), within: 1e-12))
    let unscored = methodology.checks[methodology.checkIndex("controls.version-disclosure")!]
    #expect(unscored.prior == 0 && unscored.priorLambda == 0 && unscored.priorPoints == 0 && unscored.share == 0)
  }

  /// Each constant just outside its range, one at a time, and what is structurally wrong.
  @Test(arguments: [
    ("/saturation", "0"), ("/saturation", "\"6\""), ("/z", "0"), ("/z", "11"), ("/single_source_limit", "-1"),
    ("/single_source_limit", "101"), ("/kappa/state", "0"), ("/kappa/sample", "1e7"), ("/evasion/state", "-0.1"),
    ("/evasion/sample", "1.1"), ("/severity_impact/info", "-0.1"), ("/severity_impact/low", "1.1"),
    ("/severity_impact/medium", "null"), ("/severity_impact/high", "2"), ("/severity_impact/critical", "1.01"),
    ("/critical/confirm", "1"), ("/critical/provisional", "0"), ("/critical/provisional", "1.3"),
    ("/critical/provisional_floor", "101"), ("/sufficiency/min_evidence", "0"), ("/sufficiency/min_coverage", "0"),
    ("/sufficiency/min_coverage", "1.1"), ("/sufficiency/min_concern_coverage", "-0.1"),
    ("/verdict/block_low", "101"), ("/verdict/allow_high", "-1"), ("/grades", "[]"), ("/grades/1/max", "15"),
    ("/grades/5/max", "99"), ("/grades/5/max", "101"), ("/grades/0/grade", "\"\""), ("/concerns", "[]"),
    ("/concerns", "{}"), ("/concerns/backdoor/impact", "1"), ("/concerns/backdoor/impact", "0"),
    ("/concerns/backdoor/base_rate", "0"), ("/concerns/backdoor/base_rate", "1"),
    ("/concerns/backdoor/fail_half_life_days", "0"), ("/concerns/backdoor/pass_half_life_days", "1e6"),
    ("/concerns/backdoor/floor", "101"), ("/concerns/backdoor/title", "\"\""), ("/checks", "[]"),
    ("/checks/3/id", "\"controls.admin-panel-exposed\""), ("/checks/3/id", "\"\""),
    ("/checks/3/concern", "\"weather\""), ("/checks/3/severity", "\"severe\""), ("/checks/3/kind", "\"both\""),
    ("/checks/3/sensitivity", "0"), ("/checks/3/sensitivity", "1.1"), ("/checks/3/objectivity", "\"E\""),
    ("/checks/3/access", "\"root\""), ("/checks/3/title", "7"), ("/checks/3/title_zh", "null"), ("/id", "\"\""),
    ("/surprise", "1"), ("/kappa/both", "1"), ("/concerns/backdoor/weight", "1"), ("/checks/3/weight", "1"),
    ("/grades/0/colour", "1"),
  ])
  func aWrongValueIsRefusedAtItsPlace(pointer: String, text: String) {
    let faults = faults(of: Fixtures.rm1Document.edited([pointer: text]))
    #expect(faults.map(\.pointer).contains(pointer), "\(faults)")
    // An empty list of concerns makes every check's concern unknown as well; anything else is one fault.
    #expect(faults.count == 1 || pointer == "/concerns", "\(faults)")
  }

  @Test(arguments: [
    "/id", "/saturation", "/z", "/single_source_limit", "/kappa", "/kappa/state", "/evasion", "/evasion/sample",
    "/severity_impact", "/severity_impact/high", "/critical", "/critical/confirm", "/critical/provisional_floor",
    "/sufficiency", "/sufficiency/min_evidence", "/verdict", "/verdict/block_low", "/grades", "/grades/2/max",
    "/grades/2/grade", "/concerns/controls/impact", "/concerns/controls/title", "/concerns/controls/floor", "/checks",
    "/checks/7/id", "/checks/7/concern", "/checks/7/severity", "/checks/7/kind", "/checks/7/sensitivity",
    "/checks/7/objectivity", "/checks/7/access", "/checks/7/title", "/checks/7/title_zh",
  ])
  func aMissingValueIsRefusedAtItsPlace(pointer: String) {
    let faults = faults(of: Fixtures.rm1Document.edited([pointer: nil]))
    #expect(faults == [JSONFault(pointer: pointer, detail: "is required")])
  }

  @Test func everythingWrongIsNamedAtOnce() {
    let faults = faults(
      of: Fixtures.rm1Document.edited([
        "/saturation": "-1", "/kappa/state": "0", "/grades/0/max": "200", "/concerns/controls/impact": "2",
        "/concerns/encryption/floor": "-3", "/checks/0/concern": "\"weather\"", "/checks/1/kind": "7",
        "/checks/2/id": nil, "/unknown": "true",
      ]))
    #expect(
      Set(faults.map(\.pointer)) == [
        "/saturation", "/kappa/state", "/grades/0/max", "/concerns/controls/impact", "/concerns/encryption/floor",
        "/checks/0/concern", "/checks/1/kind", "/checks/2/id", "/unknown",
      ])
    #expect(faults.count == 9)
  }

  @Test func aConcernThatNothingProbesIsRefused() {
    let others = Fixtures.rm1Document["checks"].array.enumerated().filter {
      $0.element["concern"].string == "crossborder"
    }
    let none = faults(
      of: Fixtures.rm1Document.edited(
        Dictionary(uniqueKeysWithValues: others.map { ("/checks/\($0.offset)/severity", "\"info\"") })))
    #expect(none.map(\.pointer) == ["/concerns/crossborder"])
    #expect(none[0].detail.contains("no check"))
  }

  @Test func whatFollowsFromSeveralConstantsIsNamedBesideOtherFaults() {
    let others = Fixtures.rm1Document["checks"].array.enumerated().filter {
      $0.element["concern"].string == "crossborder"
    }
    var edits: [String: String?] = ["/saturation": "0", "/surprise": "1"]
    for other in others { edits["/checks/\(other.offset)/severity"] = "\"info\"" }
    let found = faults(of: Fixtures.rm1Document.edited(edits)).map(\.pointer)
    #expect(Set(found) == ["/saturation", "/surprise", "/concerns/crossborder"] && found.count == 3)
  }

  @Test func aPriorAboveOneIsRefused() {
    // One check of little impact cannot carry a base risk of a third.
    let checks = Fixtures.rm1Document["checks"].array.enumerated()
    let edits = checks.filter { $0.element["concern"].string == "substitution" }.dropFirst()
      .map { ("/checks/\($0.offset)", String?.none) }
    let first = checks.first { $0.element["concern"].string == "substitution" }!.offset
    var document = Dictionary(uniqueKeysWithValues: edits)
    document["/checks/\(first)/severity"] = "\"low\""
    #expect(faults(of: Fixtures.rm1Document.edited(document)).map(\.pointer) == ["/checks/\(first)/severity"])
    // A little above is above: the prior is what the base risk is over what the check can show.
    for (impact, isRefused) in [(0.9, false), (0.5, false), (0.3, true), (0.2, true)] {
      document["/severity_impact/low"] = "\(impact)"
      let prior = Fixtures.rm1.concerns.first { $0.id == "substitution" }!.baseRate / impact
      #expect((prior > 1) == isRefused && prior < 2)
      #expect(faults(of: Fixtures.rm1Document.edited(document)).isEmpty == !isRefused, "\(impact): \(prior)")
    }
  }

  @Test func whatIsNoObjectIsRefused() {
    #expect(faults(of: .array([])).map(\.pointer) == [""])
    #expect(
      faults(of: Fixtures.rm1Document.edited(["/concerns/backdoor": "3"])).map(\.pointer) == ["/concerns/backdoor"])
    #expect(faults(of: Fixtures.rm1Document.edited(["/checks/3": "3"])).map(\.pointer) == ["/checks/3"])
  }

  private func faults(of document: JSONValue) -> [JSONFault] {
    do throws(JSONFaults) {
      _ = try Methodology(document)
      return []
    } catch {
      return error.faults
    }
  }
}
