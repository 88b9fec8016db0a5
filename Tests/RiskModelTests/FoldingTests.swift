import JSON
import RiskModel
import Testing

/// One cell: section 2 of the methodology.
@Suite struct FoldingTests {
  private let methodology = Small.methodology
  private let at = Instant("2026-11-30T00:00:00.000Z")

  private func check(_ id: String) -> (check: Check, concern: Concern) {
    let check = methodology.checks[methodology.checkIndex(id)!]
    return (check, methodology.concerns[check.concern])
  }

  private func cell(_ id: String, _ outcome: Outcome, daysAgo days: Double, _ confidence: Double = 1) -> EvidenceCell? {
    let (check, concern) = check(id)
    return EvidenceCell(
      outcome: outcome, observedAt: at.earlier(days: days), confidence: confidence, check: check, concern: concern)
  }

  private func merge(_ id: String, _ cells: EvidenceCell?...) -> EvidenceCell {
    let (check, concern) = check(id)
    return cells.dropFirst().reduce(cells[0]!) { $0.merged(with: $1!, check: check, concern: concern) }
  }

  @Test func onlyPassAndFailMakeACell() {
    for check in Small.checks {
      for outcome in [Outcome.inconclusive, .notApplicable, .error] { #expect(cell(check, outcome, daysAgo: 1) == nil) }
      #expect(cell(check, .pass, daysAgo: 1) != nil)
      #expect(cell(check, .fail, daysAgo: 1) != nil)
    }
  }

  @Test func theColumnsHoldWhatTheKindNeeds() throws {
    let fail = try #require(cell("backdoor.tool-call-rewrite", .fail, daysAgo: 2, 0.5))
    #expect(fail == EvidenceCell(newest: at.earlier(days: 2), failWeight: 0.5, passWeight: 0))
    let sample = try #require(cell("backdoor.tool-call-rewrite", .pass, daysAgo: 2, 0.5))
    #expect(sample == EvidenceCell(newest: at.earlier(days: 2), failWeight: 0, passWeight: 0.5 * 0.3))
    let state = try #require(cell("encryption.legacy-tls-protocol", .pass, daysAgo: 2, 0.5))
    #expect(state == EvidenceCell(newest: at.earlier(days: 2), failWeight: 0, passWeight: 0.5))
  }

  @Test func ofAStateTheNewestStands() {
    let id = "encryption.legacy-tls-protocol"
    let old = cell(id, .fail, daysAgo: 2)
    let new = cell(id, .pass, daysAgo: 1, 0.3)
    #expect(merge(id, old, new) == new)
    #expect(merge(id, new, old) == new)
  }

  @Test func ofEquallyNewStatesAFailStandsThenTheMoreConfident() {
    let id = "encryption.legacy-tls-protocol"
    let fail = cell(id, .fail, daysAgo: 1, 0.2)
    let pass = cell(id, .pass, daysAgo: 1, 0.9)
    #expect(merge(id, fail, pass) == fail)
    #expect(merge(id, pass, fail) == fail)
    let surer = cell(id, .fail, daysAgo: 1, 0.8)
    #expect(merge(id, fail, surer, pass) == surer)
    #expect(merge(id, surer, fail) == surer)
    let unsure = cell(id, .pass, daysAgo: 1, 0.1)
    #expect(merge(id, unsure, pass) == pass)
    #expect(merge(id, pass, unsure) == pass)
  }

  @Test func ofASampleEqualContentsCountTwice() {
    let id = "substitution.fingerprint-distribution"
    let fail = cell(id, .fail, daysAgo: 1, 0.4)
    #expect(merge(id, fail, fail).failWeight == 0.8)
  }

  @Test func ageZeroCountsInFull() throws {
    let (check, concern) = check("substitution.fingerprint-distribution")
    let weights = try #require(cell(check.id, .fail, daysAgo: 0)).weights(at: at, check: check, concern: concern)
    #expect(weights == (1, 0))
  }

  @Test func afterOneHalfLifeHalfIsLeft() {
    forAll(seed: 1_000) { generator in
      let (check, concern) = check(generator.pick(Small.checks))
      let outcome = generator.pick([Outcome.fail, .pass])
      let confidence = Double.random(in: 0.01...1, using: &generator)
      let cell = cell(check.id, outcome, daysAgo: Double.random(in: 0...100, using: &generator), confidence)!
      let halfLife = outcome == .fail ? concern.failHalfLifeDays : concern.passHalfLifeDays
      let full = outcome == .fail ? confidence : confidence * check.sensitivity
      let then = Instant(milliseconds: cell.newest.milliseconds + Int64(halfLife) * Instant.day)
      let weights = cell.weights(at: then, check: check, concern: concern)
      let (left, other) = outcome == .fail ? weights : (weights.pass, weights.fail)
      return near(left, full / 2, within: 1e-12) && other == 0 ? nil : "\(check.id): \(left) of \(full)"
    }
  }

  @Test func foldingInAnyOrderAndGroupingEqualsTheDirectSum() {
    forAll(2_000, seed: 2_000) { generator in
      let (check, concern) = check(generator.pick(Small.checks))
      let results = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
        let outcome = generator.pick([Outcome.pass, .fail, .fail, .error])
        return ProbeResult.random(from: "ash", check.id, Scenario.targets[0], outcome: outcome, at, &generator)
      }.filter { $0.observedAt <= at }
      var cells = results.compactMap { result in
        EvidenceCell(
          outcome: result.outcome, observedAt: result.observedAt, confidence: result.confidence, check: check,
          concern: concern)
      }
      if cells.isEmpty { return nil }
      while cells.count > 1 {
        let one = cells.remove(at: Int.random(in: cells.indices, using: &generator))
        let other = cells.remove(at: Int.random(in: cells.indices, using: &generator))
        let merged = one.merged(with: other, check: check, concern: concern)
        if merged != other.merged(with: one, check: check, concern: concern) { return "not commutative" }
        cells.append(merged)
      }
      let weights = cells[0].weights(at: at, check: check, concern: concern)
      let direct = Oracle.directSum(of: results, at: at, Small.document)
      return near(weights.fail, direct.fail) && near(weights.pass, direct.pass)
        ? nil : "\(check.id): \(weights), not \(direct)"
    }
  }

  @Test func foldingAStateAgainChangesNothing() {
    forAll(seed: 5_000) { generator in
      let (check, concern) = check(generator.pick(["encryption.legacy-tls-protocol", "backdoor.custom-ca-required"]))
      let cells = (0..<5).map { _ in
        cell(
          check.id, generator.pick([.pass, .fail]), daysAgo: Double(Int.random(in: 0...2, using: &generator)),
          generator.pick([0.3, 0.6, 1]))!
      }
      let folded = cells.dropFirst().reduce(cells[0]) { $0.merged(with: $1, check: check, concern: concern) }
      for cell in cells where folded.merged(with: cell, check: check, concern: concern) != folded {
        return "\(cell) moved \(folded)"
      }
      return nil
    }
  }

  @Test func evidenceOfCenturiesNeitherOverflowsNorGrows() {
    let id = "substitution.fingerprint-distribution"
    let (check, concern) = check(id)
    var cell = EvidenceCell(newest: Instant(milliseconds: 0), failWeight: 3, passWeight: 2)
    let newest = EvidenceCell(newest: Instant("2999-12-31T23:59:59.999Z"), failWeight: 1, passWeight: 0)
    cell = cell.merged(with: newest, check: check, concern: concern)
    #expect(cell == newest)
  }

  @Test func agesAreTakenInWholeMilliseconds() throws {
    let (check, concern) = check("substitution.fingerprint-distribution")
    let half = EvidenceCell(newest: at, failWeight: 1, passWeight: 0)
    let next = Instant(milliseconds: at.milliseconds + 1)
    let weight = half.weights(at: next, check: check, concern: concern).fail
    #expect(weight < 1)
    #expect(near(1 - weight, 0.6931471805599453 / 86_400_000 / concern.failHalfLifeDays, within: 1e-15))
  }
}
