import HTTPServer
import JSON

/// `/v1/providers`.
struct ProviderRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/providers", requirement: .scopes([.registryWrite]),
        contentTypes: ["application/json"], handler: .async(register)),
      Endpoint(
        method: .get, pattern: "/v1/providers", requirement: .scopes([.scoresRead, .registryWrite]),
        parameters: ["status", "tag", "q", "verdict", "limit", "cursor"], handler: .async(list)),
      .get("/v1/providers/{p}", .scopes([.scoresRead, .registryWrite])) { [registry = parts.registry] call in
        var json = JSONWriter()
        try registry.existingProvider(call.path("p")).write(to: &json)
        return .document(json.bytes)
      },
    ]
  }

  @Sendable private func register(_ call: Call) async throws -> Response {
    let (value, readerFaults) = try call.json()
    var fields = JSONFields(value, faults: readerFaults)
    let details = try Provider.Details(&fields)
    let now = parts.clock.now()
    let provider = Provider(
      id: parts.identifiers.next(at: now), details: details, status: .pending, version: 1, createdAt: now,
      updatedAt: now)
    let version: Int
    do {
      version = try await parts.providers.insert(provider, by: call.author)
    } catch let taken as ProviderStore.Taken {
      throw Problem(taken)
    }
    parts.registry.apply(provider)
    parts.changes.markApplied(version)
    var json = JSONWriter()
    provider.write(to: &json)
    return .document(json.bytes, status: 201, headers: [("Location", "/v1/providers/\(provider.slug)")])
  }

  /// From memory, which holds every provider.
  @Sendable private func list(_ call: Call) async throws -> Response {
    var query = QueryFields(call.parameters)
    let filter = ProviderFilter(&query)
    let limit = query.limit()
    let after = query.cursor { $0 }
    try query.finish()
    // Off the request's loop: a filter that lets few pass looks at many.
    return try await service.computing { [self] in
      // One more than asked for tells whether another page follows.
      let (found, end) = await providers(filter, after: after, count: limit + 1)
      return .page(found, limit: limit, call, end: end.map { Cursor(text: $0.text) }) {
        $1.write(to: &$0)
      } cursor: {
        Cursor(text: $0.slug.text)
      }
    }
  }

  /// So many runs are looked through for one page: some 40,000 providers. What few of them pass may be further on, so a
  /// page may be short, or empty, and still not be the last.
  static let runsCountMax = 160

  /// - Returns: at most `count`, and the last one looked at when there are more behind it.
  func providers(
    _ filter: ProviderFilter, after slug: String?, count: Int, runsCountMax: Int = Self.runsCountMax
  ) async -> (found: [Provider], end: Slug?) {
    var found: [Provider] = []
    var runsCount = 0
    let scoring = parts.methodologies.active
    var run = parts.registry.providers(after: slug)
    while true {
      for listed in run where found.count < count && filter.matches(listed, parts.scorer, under: scoring) {
        found.append(listed.provider)
      }
      guard found.count < count, run.count == Registry.runCount, let last = run.last else { return (found, nil) }
      runsCount += 1
      if runsCount == runsCountMax { return (found, last.provider.slug) }
      // Whatever else waits for this thread gets its turn.
      await Task.yield()
      run = parts.registry.providers(after: last.provider.slug.text)
    }
  }
}

extension Problem {
  init(_ taken: ProviderStore.Taken) {
    let holders = taken.holders.map { "\($0.what) belongs to \($0.holder)" }.joined(separator: ", ")
    self.init(.conflict, "Already taken: \(holders).")
  }
}

extension Registry {
  /// - Throws: the 404 that a reference in a path deserves.
  func existingProvider(_ reference: String) throws -> Provider {
    guard let provider = provider(reference) else {
      throw Problem(.notFound, "No provider has the id, slug or host \"\(reference)\".")
    }
    return provider
  }
}
