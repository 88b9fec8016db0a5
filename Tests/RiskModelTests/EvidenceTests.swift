import RiskModel
import Testing

/// Targets and the order that evidence is brought into.
@Suite struct EvidenceTests {
  private let cell = EvidenceCell(newest: Instant(milliseconds: 0), failWeight: 1, passWeight: 0)

  @Test func targetsAreOrderedByBytes() {
    let sorted = [
      Target(address: ""), Target(address: "a"), Target(address: "a", model: ""), Target(address: "a", model: "m"),
      Target(address: "a", model: "n"), Target(address: "ab"), Target(address: "b", model: "a"),
      Target(address: "\u{E9}"), Target(address: "\u{FF5A}"), Target(address: "\u{1D538}"),
    ]
    for (index, left) in sorted.enumerated() {
      for (other, right) in sorted.enumerated() {
        #expect((left < right) == (index < other), "\(left), \(right)")
        #expect((left == right) == (index == other), "\(left), \(right)")
      }
    }
  }

  @Test func canonicallyEquivalentSpellingsAreDifferentTargets() {
    let composed = Target(address: "\u{E9}.example", model: "m")
    let decomposed = Target(address: "e\u{301}.example", model: "m")
    #expect(composed != decomposed && decomposed < composed)
    #expect(Target(address: "a", model: "\u{E9}") != Target(address: "a", model: "e\u{301}"))
    #expect(Set([composed, decomposed, composed]).count == 2)
    // The sign of the kelvin is canonically a letter of ASCII.
    #expect(Target(address: "a", model: "K") != Target(address: "a", model: "\u{212A}"))
    #expect(Target(address: "a", model: "\u{212A}") != Target(address: "a", model: "K"))
  }

  @Test func sourcesAreSortedByBytesAndEntriesFollow() {
    let methodology = Fixtures.rm1
    let check = methodology.checkIndex("encryption.hsts-missing")!
    let evidence = Evidence(
      sources: [Evidence.Source(slug: "b", trust: 0.5), Evidence.Source(slug: "B", trust: 1)],
      entries: [Evidence.Entry(check: check, target: Target(address: "a"), source: 0, cell: cell)])
    #expect(evidence.sources.map(\.slug) == ["B", "b"])
    let assessed = methodology.assess(evidence, at: Instant(milliseconds: 0)).checks.first { $0.check == check }!
    #expect(near(assessed.failEvidence, 0.5 * 6 / 7))
  }

  @Test func manyTargetsAreToldApart() {
    // More than are compared one by one, in runs and again.
    let id = "encryption.hsts-missing"
    var entries: [Evidence.Entry] = []
    for source in 0..<2 {
      for number in 0..<30 {
        entries.append(entry(id, "host-\(number)", source: source, fail: Double(number + 1) / 40))
      }
    }
    let check = assess(entries).checks.first { $0.check == Fixtures.rm1.checkIndex(id) }!
    #expect(check.target == Target(address: "host-29"))
    #expect(check.sources == 2 && near(check.failEvidence, 2 * 0.75 * 6 / 6.75))
  }

  /// Sums that differ in the last digits only, as they may between two orders of arrival.
  @Test func targetsThatTieAlmostGoByBytesToo() {
    let id = "encryption.hsts-missing"
    func worst(_ entries: Evidence.Entry...) -> String? {
      assess(entries).checks.first { $0.check == Fixtures.rm1.checkIndex(id) }?.target?.address
    }
    #expect(worst(entry(id, "a", fail: 0.5), entry(id, "b", fail: 0.5 + 1e-13)) == "a")
    #expect(worst(entry(id, "a", fail: 0.5), entry(id, "b", fail: 0.5 + 1e-10)) == "b")
    #expect(worst(entry(id, "a", pass: 0.5), entry(id, "b", pass: 0.5 + 1e-13)) == "a")
    #expect(worst(entry(id, "a", pass: 0.5), entry(id, "b", pass: 0.5 + 1e-10)) == "b")
    // A fail that has faded away decides nothing: the target with the most passes is named.
    #expect(worst(entry(id, "a", fail: 1e-14), entry(id, "b", pass: 0.5)) == "b")
    #expect(worst(entry(id, "a", fail: 1e-10), entry(id, "b", pass: 0.5)) == "a")
  }

  private func entry(
    _ check: String, _ address: String, source: Int = 0, fail: Double = 0, pass: Double = 0
  ) -> Evidence.Entry {
    Evidence.Entry(
      check: Fixtures.rm1.checkIndex(check)!, target: Target(address: address), source: source,
      cell: EvidenceCell(newest: Instant(milliseconds: 0), failWeight: fail, passWeight: pass))
  }

  private func assess(_ entries: [Evidence.Entry]) -> Assessment {
    let sources = [Evidence.Source(slug: "a", trust: 1), Evidence.Source(slug: "b", trust: 1)]
    return Fixtures.rm1.assess(Evidence(sources: sources, entries: entries), at: Instant(milliseconds: 0))
  }

  @Test func aProviderWithoutSourcesIsAssessed() {
    let assessment = Fixtures.rm1.assess(Evidence(sources: [], entries: []), at: Instant(milliseconds: 0))
    #expect(near(assessment.score, 44.20241516800001) && assessment.verdict == .unknown)
    #expect(assessment.reasons.isEmpty)
  }

  @Test func programmingErrorsStopTheProcess() async {
    await #expect(processExitsWith: .failure) { _ = Evidence.Source(slug: "a", trust: 0) }
    await #expect(processExitsWith: .failure) { _ = Evidence.Source(slug: "a", trust: 1.01) }
    await #expect(processExitsWith: .failure) {
      let source = Evidence.Source(slug: "a", trust: 1)
      _ = Evidence(sources: [source, source], entries: [])
    }
    await #expect(processExitsWith: .failure) {
      let cell = EvidenceCell(newest: Instant(milliseconds: 0), failWeight: 1, passWeight: 0)
      let entry = Evidence.Entry(check: 0, target: Target(address: "a"), source: 0, cell: cell)
      _ = Evidence(sources: [Evidence.Source(slug: "a", trust: 1)], entries: [entry, entry])
    }
    await #expect(processExitsWith: .failure) {
      let cell = EvidenceCell(newest: Instant(milliseconds: 1), failWeight: 1, passWeight: 0)
      let entry = Evidence.Entry(check: 0, target: Target(address: "a"), source: 0, cell: cell)
      let evidence = Evidence(sources: [Evidence.Source(slug: "a", trust: 1)], entries: [entry])
      _ = Fixtures.rm1.assess(evidence, at: Instant(milliseconds: 0))
    }
    await #expect(processExitsWith: .failure) {
      let check = Fixtures.rm1.checks[0]
      _ = EvidenceCell(
        outcome: .fail, observedAt: Instant(milliseconds: 0), confidence: 0, check: check,
        concern: Fixtures.rm1.concerns[check.concern])
    }
    await #expect(processExitsWith: .failure) {
      let check = Fixtures.rm1.checks[0]
      _ = EvidenceCell(
        outcome: .fail, observedAt: Instant(milliseconds: 0), confidence: 1.01, check: check,
        concern: Fixtures.rm1.concerns[check.concern])
    }
  }
}
