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
    let standings: [Standing]
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
    let limit = try call.parameters.limit()
    let cursor = try call.parameters["cursor"].map { text in
      guard let id = Identifier(parsing: try Cursor(parsing: text).text) else { throw Cursor.fault }
      return id
    }
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
        var standings: [Standing] = []
        for methodology in pair { standings.append(try await standing(of: provider, under: methodology)) }
        if standings[0].verdict != standings[1].verdict || standings[0].grade != standings[1].grade {
          found.append(Entry(provider: provider, standings: standings))
        }
        last = provider.id
      }
      let next = last == providers.last?.id ? nil : last.map { Cursor(text: $0.description) }
      return .page(found, next: next, call) { write($1, pair, to: &$0) }
    }
  }

  private func standing(of provider: Provider, under methodology: StoredMethodology) async throws -> Standing {
    if methodology.isComplete {
      return parts.scorer.document(of: provider, isFull: false, under: methodology.scoring).standing
    }
    return try await PastScores(parts, methodology.scoring).live(of: provider, isFull: false).standing
  }

  private func write(_ entry: Entry, _ pair: [StoredMethodology], to json: inout JSONWriter) {
    json.object { json in
      json.name("provider")
      ScoredProvider(entry.provider).write(to: &json)
      for (name, index) in [("a" as StaticString, 0), ("b", 1)] {
        let standing = entry.standings[index]
        json.object(name) { json in
          json.member("methodology", pair[index].id)
          json.member("score", standing.score)
          json.member("provisional_score", standing.provisionalScore)
          json.member("grade", standing.grade)
          json.member("verdict", standing.verdict.rawValue)
        }
      }
    }
  }
}
