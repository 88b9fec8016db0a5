import RiskModel
import Testing

/// Numbers next to a threshold, where one more or less in the engine would not show elsewhere.
@Suite struct EdgeTests {
  private let at = Instant("2026-11-30T00:00:00.000Z")

  private func assess(
    _ methodology: Methodology = Fixtures.rm1, _ cells: (check: String, address: String, fail: Double, pass: Double)...
  ) -> Assessment {
    let entries = cells.map { check, address, fail, pass in
      Evidence.Entry(
        check: methodology.checkIndex(check)!, target: Target(address: address), source: 0,
        cell: EvidenceCell(newest: at, failWeight: fail, passWeight: pass))
    }
    return methodology.assess(
      Evidence(sources: [Evidence.Source(slug: "a", trust: 1)], entries: entries), at: at)
  }

  /// What a trusted source must have seen for its weighed evidence to be `evidence`: w * E = C * E / (C + E).
  private func unweighed(_ evidence: Double) -> Double { 6 * evidence / (6 - evidence) }

  @Test func withoutACriticalFailureNoFloorHoldsUpALowScore() throws {
    var edits: [String: String?] = [:]
    for concern in Fixtures.rm1.concerns { edits["/concerns/\(concern.id)/base_rate"] = "0.0001" }
    let assessment = assess(try Methodology(Fixtures.rm1Document.edited(edits)))
    #expect(assessment.base < 1 && assessment.score == assessment.base && assessment.floorAdjustment == 0)
    #expect(assessment.low < assessment.score)
  }

  @Test func targetsFurtherApartThanRoundingDoNotTie() {
    let id = "encryption.hsts-missing"
    let index = Fixtures.rm1.checkIndex(id)
    func worst(fail: Double, pass: Double) -> String? {
      let both = assess(
        Fixtures.rm1, (id, "a", fail > 0 ? 0.5 : 0, pass > 0 ? 0.5 : 0),
        (id, "b", fail > 0 ? 0.5 + fail : 0, pass > 0 ? 0.5 + pass : 0))
      return both.checks.first { $0.check == index }?.target?.address
    }
    // At half a pass, P grows by 0.78 of a pass's growth: 1.5e-12 is not a tie, 0.7e-12 is.
    #expect(worst(fail: 0, pass: 1.9e-12) == "b" && worst(fail: 0, pass: 0.9e-12) == "a")
    // At half a fail, F / (kappa + F) grows by 0.41 of a fail's growth.
    #expect(worst(fail: 3.6e-12, pass: 0) == "b" && worst(fail: 1.8e-12, pass: 0) == "a")
  }

  @Test func aThresholdIsReachedWithinABillionth() {
    let id = "encryption.hsts-missing"
    func isCovered(_ evidence: Double) -> Bool {
      assess(Fixtures.rm1, (id, "a", unweighed(evidence), 0)).checks.first {
        $0.check == Fixtures.rm1.checkIndex(id)
      }!.isCovered
    }
    #expect(isCovered(0.15) && isCovered(0.15 - 0.9e-9) && !isCovered(0.15 - 1.1e-9))
  }

  @Test func noCriticalStateIsBelowItself() {
    let states: [CriticalState] = [.none, .provisional, .confirmed]
    for (index, state) in states.enumerated() {
      for (other, below) in states.enumerated() { #expect((below < state) == (other < index)) }
    }
  }

  @Test func criticalStatesBeginAtTheirThresholds() {
    let id = "backdoor.tool-call-rewrite"
    func state(_ fail: Double) -> CriticalState {
      assess(Fixtures.rm1, (id, "a", fail, 0)).checks.first { $0.check == Fixtures.rm1.checkIndex(id) }!.critical
    }
    #expect(state(0.5) == .provisional && state(0.5 - 0.9e-9) == .provisional && state(0.5 - 1.1e-9) == .none)
  }

  /// The thresholds of verdicts and grades are met exactly, by the ends of the range that are shown.
  @Test func verdictsAndGradesBeginExactlyAtTheirThresholds() throws {
    let checks = Fixtures.rm1.checks.filter(\.isScored).map(\.id)
    func assess(_ edits: [String: String?], fail: Double) throws -> Assessment {
      let methodology = try Methodology(Fixtures.rm1Document.edited(edits))
      let entries = checks.map { id in
        // No critical one fails.
        let isFailing = fail > 0 && methodology.checks[methodology.checkIndex(id)!].severity != .critical
        return Evidence.Entry(
          check: methodology.checkIndex(id)!, target: Target(address: "a"), source: 0,
          cell: EvidenceCell(newest: at, failWeight: isFailing ? fail : 0, passWeight: isFailing ? 0 : 3))
      }
      return methodology.assess(
        Evidence(sources: [Evidence.Source(slug: "a", trust: 1)], entries: entries), at: at)
    }
    let bad = try assess([:], fail: 1)
    #expect(try assess(["/verdict/block_low": "\(bad.robustLow)"], fail: 1).verdict == .block)
    #expect(try assess(["/verdict/block_low": "\(bad.robustLow.nextUp)"], fail: 1).verdict == .warn)
    let good = try assess([:], fail: 0)
    #expect(good.verdict == .allow && good.isRobustlySufficient)
    #expect(try assess(["/verdict/allow_high": "\(good.robustHigh)"], fail: 0).verdict == .allow)
    #expect(try assess(["/verdict/allow_high": "\(good.robustHigh.nextDown)"], fail: 0).verdict == .warn)
    #expect(try assess(["/grades/0/max": "\(good.score)"], fail: 0).grade == "A")
    #expect(try assess(["/grades/0/max": "\(good.score.nextDown)"], fail: 0).grade == "B")
  }
}
