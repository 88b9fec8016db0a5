import RiskModel

/// What to probe next: the checks of providers whose coverage is missing, about to fade, or hangs on one source.
///
/// Providers come in the order of their coverage, the least first, since there a probe tells most; that order is kept
/// for lists anyway (`ScoreIndex`). So a page assesses no more providers than it needs for its entries, and at most
/// `assessedCountMax`: one that finds nothing in these is short and has a next page. Within a provider the largest gain
/// comes first, then what was seen longest ago.
struct ProbePlan: Sendable {
  enum Reason: String, Sendable { case uncovered, singleSource = "single_source", fading }

  /// One probe that is worth making.
  struct Probe: Sendable {
    let provider: Provider
    let rank: ScoreRank
    /// Index into the methodology's checks.
    let check: Int
    let target: Target
    let reason: Reason
    /// The share of coverage that it adds, or that would be lost without it.
    let gain: Double
    let lastObservedAt: Instant?

    fileprivate var key: Key {
      Key(gain: -gain, lastObservedAt: lastObservedAt?.milliseconds ?? .min, check: check)
    }
    var position: Position { Position(rank: rank, key: key) }
  }

  /// The place of a probe among those of its provider: no two are equal.
  struct Key: Comparable, Sendable {
    let gain: Double
    let lastObservedAt: Int64
    let check: Int

    static func < (left: Key, right: Key) -> Bool {
      (left.gain, left.lastObservedAt, left.check) < (right.gain, right.lastObservedAt, right.check)
    }
  }

  /// Where a page ended.
  struct Position: Sendable {
    let rank: ScoreRank
    /// Nil behind all probes of the provider.
    let key: Key?
  }

  let parts: RiskService.Parts
  let scoring: ScoringMethodology
  /// For this source: what it has not seen lately, and where it is not the one witness itself.
  let source: Source?
  let now: Instant

  static let fadingMilliseconds: Int64 = 7 * 86_400_000
  private static let assessedCountMax = 200
  private static let order = ScoreOrder.leastCoveredFirst

  /// The probes after a position.
  /// - Returns: at most `count`, and where to go on when providers are left that were not looked at; nil when another
  ///   methodology is active by now.
  func page(after position: Position?, count: Int) async -> (probes: [Probe], end: Position?)? {
    var probes: [Probe] = []
    if let position, let key = position.key, let provider = parts.registry.provider(id: position.rank.id) {
      probes = self.probes(of: provider, position.rank).filter { $0.key > key }
    }
    var rank = position?.rank
    var assessedCount = 0
    while probes.count < count {
      guard
        let entries = await parts.scoreIndex.page(
          .everything, Self.order, after: rank, count: 16, under: scoring.id)
      else { return nil }
      if entries.isEmpty { return (probes, nil) }
      for entry in entries where probes.count < count {
        let own = Self.order.rank(entry.provider, entry.standing)
        rank = own
        assessedCount += 1
        probes += self.probes(of: entry.provider, own)
      }
      if assessedCount >= Self.assessedCountMax { break }
    }
    return (Array(probes.prefix(count)), rank.map { Position(rank: $0, key: nil) })
  }

  /// The probes of one provider after a position.
  func page(of provider: Provider, after position: Position?, count: Int) -> [Probe] {
    let probes = probes(of: provider, ScoreRank(number: 0, name: "", id: provider.id))
    return Array(probes.filter { probe in position?.key.map { probe.key > $0 } ?? true }.prefix(count))
  }

  private func probes(of provider: Provider, _ rank: ScoreRank) -> [Probe] {
    guard provider.status == .active || provider.status == .pending else { return [] }
    let counted = parts.scorer.counted(of: provider, under: scoring)
    let instant = max(now.startOfMinute, counted.newest)
    let evidence = Evidence(
      sources: counted.sources, entries: counted.entries,
      waivedChecks: counted.decisions.waivedChecks(at: instant))
    let seen = source.map { evidence.lastObserved(by: $0.slug.text) } ?? [:]
    let coverage = scoring.methodology.coverage(of: evidence, at: instant, until: instant + Self.fadingMilliseconds)
    return coverage.compactMap { check -> Probe? in
      if let last = seen[check.check], last > instant + -Self.fadingMilliseconds { return nil }
      guard let reason = reason(check, evidence) else { return nil }
      let first = Target(address: TargetAddress(of: provider.details.hosts[0]).text, model: nil)
      return Probe(
        provider: provider, rank: rank, check: check.check, target: check.target ?? first, reason: reason,
        gain: check.share, lastObservedAt: check.lastObservedAt)
    }.sorted { $0.key < $1.key }
  }

  /// Nil where a probe adds nothing: under a waiver, and where there is enough for a while from several sources.
  private func reason(_ check: CheckCoverage, _ evidence: Evidence) -> Reason? {
    if check.isWaived { return nil }
    if !check.isCovered { return .uncovered }
    if !check.staysCovered { return .fading }
    guard let sole = check.soleSource, evidence.sources[sole].slug != source?.slug.text else { return nil }
    return .singleSource
  }
}

extension ProbePlan.Position {
  var cursor: Cursor {
    let own = key.map { " \($0.gain.bitPattern) \($0.lastObservedAt) \($0.check)" } ?? ""
    return Cursor(text: "\(rank.number.bitPattern) \(rank.id)\(own)")
  }

  /// Nil unless the text is that of a cursor.
  init?(_ text: String) {
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 2 || parts.count == 5, let bits = UInt64(parts[0]), !Double(bitPattern: bits).isNaN,
      let id = Identifier(parsing: String(parts[1]))
    else { return nil }
    rank = ScoreRank(number: Double(bitPattern: bits), name: "", id: id)
    if parts.count == 2 {
      key = nil
    } else {
      guard let gain = UInt64(parts[2]), !Double(bitPattern: gain).isNaN, let last = Int64(parts[3]),
        let check = Int(parts[4])
      else { return nil }
      key = ProbePlan.Key(gain: Double(bitPattern: gain), lastObservedAt: last, check: check)
    }
  }
}
