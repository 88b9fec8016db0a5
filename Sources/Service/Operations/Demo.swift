import HTTPServer
import JSON
import RiskModel

/// Loading the example relays of `DemoFixture`, for the command.
extension RiskService {
  /// Written as the author of the examples' decisions, and the tag that labels the relays.
  private static let demoTag = "demo"
  private static let dayMilliseconds: Int64 = 86_400_000

  /// A relay's score as the command's table shows it.
  public struct ListedScore: Sendable {
    public let slug: String
    /// Nil while the evidence is too thin to show one.
    public let score: Double?
    public let low, high: Double
    public let grade: String?
    public let verdict: String
    /// 0 to 1.
    public let coverage: Double
    /// Open incidents, which force the score up whatever was seen.
    public let incidentsOpen: Int
    /// The check that moves the score most, and whether it raises it.
    public let reason: (check: String, isRaising: Bool)?
  }

  /// Loads the example relays with results of the last weeks; what is there already stays as it is, so that loading
  /// again adds nothing. A relay that was retired meanwhile is left out.
  /// - Returns: the scores of the examples, the riskiest first, those without a score last.
  /// - Throws: `CommandFault` when another relay has the slug or host of an example.
  public func loadDemo() async throws -> [ListedScore] {
    let fixture = try DemoFixture()
    try refuseTakenNames(of: fixture)
    let now = parts.clock.now()
    try await registerSources(of: fixture, at: now)
    try await registerProviders(of: fixture, at: now)
    var scores: [ListedScore] = []
    for relay in fixture.relays {
      let provider = parts.registry.provider(relay.details.slug.text)!
      if provider.status == .retired { continue }
      let results = try results(of: relay, for: provider, at: now)
      let outcome = try await BatchPosting(service: self).post(results.map { result in BatchLine { result } })
      for case .rejected(let problem) in outcome.entries {
        throw CommandFault(description: "a result of \(provider.slug) was rejected: \(problem.detail)")
      }
      try await record(decisionsOf: relay, on: provider, at: now)
      let document = parts.scorer.document(
        of: provider, isFull: false, in: .english, under: parts.methodologies.active)
      scores.append(try ListedScore(provider.slug, document))
    }
    return scores.sorted { ($0.score ?? -1) > ($1.score ?? -1) }
  }

  private func registerSources(of fixture: DemoFixture, at now: Instant) async throws {
    for example in fixture.sources {
      if let known = parts.registry.source(example.slug.text) {
        if known.status == .active { continue }
        throw CommandFault(description: "the source \(known.slug) is suspended; set it active to load the examples")
      }
      let source = Source(
        id: parts.identifiers.next(at: now), slug: example.slug, name: example.name, trust: example.trust,
        status: .active, version: 1, createdAt: now, updatedAt: now)
      guard try await parts.sources.insert(source, by: .command, as: Self.demoTag) else {
        throw CommandFault(description: "the source \(source.slug) was registered at the same time; run it again")
      }
      parts.registry.apply(source)
    }
  }

  /// - Throws: before anything is stored, when a relay that is no example holds a name of one.
  private func refuseTakenNames(of fixture: DemoFixture) throws {
    for relay in fixture.relays {
      for name in [relay.details.slug.text] + relay.details.hosts.map(\.text) {
        guard let holder = parts.registry.provider(name) else { continue }
        if holder.slug == relay.details.slug, holder.details.tags.contains(Self.demoTag) { continue }
        throw CommandFault(
          description: "\(name) belongs to the relay \(holder.slug), which is no example (it lacks the tag "
            + "\(Self.demoTag)); load the examples into a database of their own")
      }
    }
  }

  /// As an import does. An example that an admin has changed since stays as it was changed.
  private func registerProviders(of fixture: DemoFixture, at now: Instant) async throws {
    let absent = fixture.relays.filter { parts.registry.provider($0.details.slug.text) == nil }
    let arrivals = absent.map { relay in
      let provider = Provider(
        id: parts.identifiers.next(at: now), details: relay.details, status: relay.status, version: 1, createdAt: now,
        updatedAt: now)
      return Result<_, Problem>.success(ProviderStore.Arrival(provider: provider, isStatusSent: true))
    }
    let (entries, added) = try await parts.providers.add(arrivals, by: .command, at: now)
    for case .rejected(let problem) in entries { throw CommandFault(description: problem.detail) }
    for provider in added { parts.registry.apply(provider) }
  }

  private func results(of relay: DemoFixture.Relay, for provider: Provider, at now: Instant) throws -> [ProbeResult] {
    let methodology = parts.catalogue.methodology
    return try relay.runs.flatMap { run in
      let source = parts.registry.source(run.source)!
      return try run.daysAgo.flatMap { days in
        try run.scan.checks.map { check in
          guard let index = methodology.checkIndex(check) else {
            throw JSONFault(pointer: "/scans", detail: "\(check) is no check of \(methodology.id)")
          }
          let isFailed = run.failed.contains(check)
          let name = "demo/\(run.scan.name)/\(run.model ?? "-")/\(days)"
          return ProbeResult(
            provider: provider.id, source: source.id, check: index, checkID: check,
            outcome: isFailed ? .fail : .pass, observedAt: now.startOfMinute + -Int64(days) * Self.dayMilliseconds,
            // The time follows the loading: loaded again tomorrow it is the same result.
            isObservedAtAssumed: true,
            target: Target(address: TargetAddress(of: relay.details.hosts[0]).text, model: run.model),
            confidence: run.confidence, externalID: "\(name)/\(check)", runID: name, vantage: nil,
            scanner: run.scan.scanner, note: isFailed ? run.note : nil, evidence: nil)
        }
      }
    }
  }

  /// What was recorded once is not recorded again, also when it was taken back since.
  private func record(decisionsOf relay: DemoFixture.Relay, on provider: Provider, at now: Instant) async throws {
    let waivers = try await parts.decisions.waivers(of: [provider.id])[provider.id] ?? []
    for waiver in relay.waivers where !waivers.contains(where: { $0.reason == waiver.reason }) {
      let record = WaiverRecord(
        waiver: ScoreBoard.Waiver(
          id: parts.identifiers.next(at: now), check: waiver.check, recordedAt: now,
          expiresAt: now + Int64(waiver.days) * Self.dayMilliseconds, revokedAt: nil),
        reason: waiver.reason, recordedBy: Self.demoTag, revokedBy: nil, revokedNote: nil)
      try await parts.decisions.insert(record, of: provider.id, by: .command)
      parts.board.apply(waivers: [record.waiver], of: provider.id)
    }
    let incidents = try await parts.decisions.incidents(of: [provider.id])[provider.id] ?? []
    for incident in relay.incidents where !incidents.contains(where: { $0.summary == incident.summary }) {
      let record = IncidentRecord(
        incident: ScoreBoard.Incident(
          id: parts.identifiers.next(at: now), concern: incident.concern, recordedAt: now, closedAt: nil),
        summary: incident.summary, recordedBy: Self.demoTag, closedBy: nil, closedNote: nil)
      try await parts.decisions.insert(record, of: provider.id, by: .command)
      parts.board.apply(incidents: [record.incident], of: provider.id)
    }
  }
}

extension RiskService.ListedScore {
  /// Takes the range, incidents and reason from what a client of the API is sent.
  init(_ slug: Slug, _ document: ScoreDocument) throws {
    var fields = JSONFields(try JSONReader.read(document.body).value)
    let range = fields.required("range") { field in
      try field.object { range in
        let low = range.required("low") { try $0.double() }
        let high = range.required("high") { try $0.double() }
        try range.finish()
        return (low: low!, high: high!)
      }
    }
    let reasons = fields.required("reasons") { field in
      try field.array { element in
        var reason = JSONFields(element.value, at: element.pointer)
        let check = reason.required("check") { try $0.string() }
        let direction = reason.required("direction") { try $0.oneOf(Reason.Direction.self) }
        return (check: check!, isRaising: direction! == .raises)
      }
    }
    let incidentsOpen = fields.required("incidents") { try $0.integer(in: 0...Int.max) }
    let standing = document.standing
    self.init(
      slug: slug.text, score: standing.score, low: range!.low, high: range!.high, grade: standing.grade,
      verdict: standing.verdict.rawValue, coverage: standing.coverage, incidentsOpen: incidentsOpen!,
      reason: reasons!.first)
  }
}
