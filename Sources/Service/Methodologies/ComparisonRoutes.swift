import HTTPServer
import JSON
import RiskModel

/// `/v1/methodologies/{a}/compare/{b}`: whom a change of methodology would touch.
struct ComparisonRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  /// Providers that are looked at for one page, so that a page of two that agree comes to an end.
  private static let lookedAtMax = 1_000

  private struct Entry {
    let provider: Provider
    let outcomes: [Outcome]
  }

  /// What a score comes to under one of the two.
  private struct Outcome {
    let score: Double?
    let provisionalScore: Double
    let grade: String?
    let verdict: Verdict
  }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/methodologies/{a}/compare/{b}", requirement: .scopes([.scoresRead]),
        parameters: ["limit", "cursor"], handler: .async(compare))
    ]
  }

  /// In the order of the providers' ids. A page may be short, or empty, and still not be the last.
  @Sendable private func compare(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let limit = query.limit()
    let cursor = query.cursor { Identifier(parsing: $0) }
    try query.finish()
    let set = parts.methodologies.current
    let pair = try ["a", "b"].map { name in
      guard let methodology = set[call.path(name)] else {
        throw Problem(.notFound, "No methodology has the id \"\(call.path(name))\".")
      }
      return methodology
    }
    return try await service.computing {
      let providers = parts.registry.providers.filter {
        $0.status != .retired && (cursor ?? EvidenceProviders.first) < $0.id
      }
      .sorted { $0.id < $1.id }
      var found: [Entry] = []
      var last: Identifier?
      for (index, provider) in providers.prefix(Self.lookedAtMax).enumerated() where found.count < limit {
        // Whatever else waits for this thread gets its turn.
        if index % 64 == 63 { await Task.yield() }
        var outcomes: [Outcome] = []
        for methodology in pair { outcomes.append(try await outcome(of: provider, under: methodology)) }
        if outcomes[0].verdict != outcomes[1].verdict || outcomes[0].grade != outcomes[1].grade {
          found.append(Entry(provider: provider, outcomes: outcomes))
        }
        last = provider.id
      }
      let next = last == providers.last?.id ? nil : last.map { Cursor(text: $0.description) }
      return .page(found, next: next, call) { write($1, pair, to: &$0) }
    }
  }

  private func outcome(of provider: Provider, under methodology: StoredMethodology) async throws -> Outcome {
    if methodology.isComplete {
      let standing = parts.scorer.standing(of: provider, under: methodology.scoring)
      return Outcome(
        score: standing.score, provisionalScore: standing.provisionalScore, grade: standing.grade,
        verdict: standing.verdict)
    }
    let assessment = try await PastScores(parts, methodology.scoring).live(of: provider, isFull: false, in: .english)
      .assessment
    return Outcome(
      score: assessment.isShown ? assessment.score : nil, provisionalScore: assessment.score,
      grade: assessment.isShown ? assessment.grade : nil, verdict: assessment.verdict)
  }

  private func write(_ entry: Entry, _ pair: [StoredMethodology], to json: inout JSONWriter) {
    json.object { json in
      json.name("provider")
      ScoredProvider(entry.provider).write(to: &json)
      for (name, index) in [("a" as StaticString, 0), ("b", 1)] {
        let outcome = entry.outcomes[index]
        json.object(name) { json in
          json.member("methodology", pair[index].id)
          json.member("score", outcome.score)
          json.member("provisional_score", outcome.provisionalScore)
          json.member("grade", outcome.grade)
          json.member("verdict", outcome.verdict.rawValue)
        }
      }
    }
  }
}
