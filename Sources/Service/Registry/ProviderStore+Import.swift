import HTTPServer
import JSON
import Postgres

/// Storing many providers at once.
extension ProviderStore {
  /// A provider that is registered unless it is there already.
  struct Arrival: Sendable {
    let provider: Provider
    /// When it is not, any status equals it.
    let isStatusSent: Bool
  }

  /// How often all is decided anew because another registration came between.
  private static let attemptsMax = 3

  /// Stores what is new, all in one transaction.
  /// - Returns: what became of each arrival, and the providers that were added.
  func add(
    _ arrivals: [Result<Arrival, Problem>], by author: Author, at now: Instant
  ) async throws -> (entries: [BatchOutcome.Entry], added: [Provider]) {
    let valid = arrivals.compactMap { try? $0.get().provider }
    for _ in 0..<Self.attemptsMax {
      do {
        return try await database.withTransaction { connection in
          var holdings = try await holdings(of: valid, in: connection)
          var added: [Provider] = []
          let entries = arrivals.map { arrival in holdings.decide(arrival, &added) }
          if !added.isEmpty {
            try await insert(added, at: now, on: connection)
            try await AuditLog.append(
              try added.map { try AuditChange(.providerImport, $0) }, by: author, at: now, to: connection)
            try await changes.append(providers: added.map(\.id), at: now, to: connection)
          }
          return (entries, added)
        }
      } catch PostgresError.server(let error) where error.code == "23505" {
        continue
      }
    }
    throw Problem(.conflict, "Others registered the same names at the same time, again and again. Try again.")
  }

  /// Who holds the names that the arrivals want.
  private func holdings(of arrivals: [Provider], in connection: Connection) async throws -> Holdings {
    let names = Array(Set(arrivals.flatMap { [$0.slug.text] + $0.details.hosts.map(\.text) }))
    let stored = try await connection.query(
      """
      select \(unsafeRaw: Self.columns) from provider p
      where p.slug = any(\(names))
        or p.id in (select h.provider_id from provider_host h where h.host = any(\(names)))
      """, Self.decode)
    return Holdings(stored)
  }

  /// One statement each for all rows: a round trip for each provider would add up.
  private func insert(_ providers: [Provider], at now: Instant, on connection: Connection) async throws {
    var rows = JSONWriter()
    rows.array(providers) { $1.write(to: &$0) }
    try await connection.execute(
      """
      insert into provider (id, slug, name, status, endpoints, legal_entity, declared_regions, claimed_models,
        software, contact, public_badge, tags, notes, version, created_at, updated_at)
      select id, slug, name, status, endpoints, nullif(legal_entity, 'null'::jsonb), declared_regions, claimed_models,
        software, contact, public_badge, tags, notes, version, \(now.timestamp), \(now.timestamp)
      from jsonb_to_recordset(\(JSONB(rows.bytes))) as t (id uuid, slug text, name text, status text, endpoints jsonb,
        legal_entity jsonb, declared_regions text[], claimed_models text[], software text, contact text,
        public_badge boolean, tags text[], notes text, version bigint)
      """)
    let hosts = providers.flatMap { provider in
      provider.details.hosts.enumerated().map { (host: $1.text, provider: provider.id, position: Int16($0 + 1)) }
    }
    try await connection.execute(
      """
      insert into provider_host (host, provider_id, position)
      select * from unnest(\(hosts.map(\.host)), \(hosts.map(\.provider)), \(hosts.map(\.position)))
      """)
  }
}

/// Which provider holds which slug and host, those that are being added included.
private struct Holdings {
  private var bySlug: [String: Provider] = [:]
  private var byHost: [String: Provider] = [:]

  init(_ stored: [Provider]) {
    for provider in stored { take(provider) }
  }

  private mutating func take(_ provider: Provider) {
    bySlug[provider.slug.text] = provider
    for host in provider.details.hosts { byHost[host.text] = provider }
  }

  mutating func decide(
    _ arrival: Result<ProviderStore.Arrival, Problem>, _ added: inout [Provider]
  ) -> BatchOutcome.Entry {
    switch arrival {
    case .failure(let problem): return .rejected(problem)
    case .success(let arrival):
      let provider = arrival.provider
      if let known = bySlug[provider.slug.text], known.details == provider.details,
        !arrival.isStatusSent || known.status == provider.status
      {
        return .duplicate(known.id)
      }
      let holders = holders(against: provider)
      if !holders.isEmpty { return .rejected(Problem(ProviderStore.Taken(holders: holders))) }
      take(provider)
      added.append(provider)
      return .accepted(provider.id)
    }
  }

  private func holders(against provider: Provider) -> [ProviderStore.Taken.Holder] {
    var holders: [ProviderStore.Taken.Holder] = []
    func note(_ kind: String, _ name: String) {
      guard let holder = bySlug[name] ?? byHost[name] else { return }
      holders.append(.init(what: "\(kind) \(name)", holder: holder.slug.text))
    }
    note("slug", provider.slug.text)
    for host in provider.details.hosts { note("host", host.text) }
    return holders
  }
}
