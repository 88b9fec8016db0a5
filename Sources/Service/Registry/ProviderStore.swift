import JSON
import Postgres

/// The statements on `provider` and `provider_host`.
struct ProviderStore: Sendable {
  let database: Database
  let changes: ChangeLog

  /// A slug or host that belongs to another provider already.
  struct Taken: Error {
    struct Holder: Sendable { let what: String, holder: String }
    let holders: [Holder]
  }

  /// Stores a new provider.
  /// - Returns: the version of the change.
  /// - Throws: `Taken` with every slug and host that another holds; nothing is stored then.
  func insert(_ provider: Provider, by author: Author) async throws -> Int {
    do {
      return try await database.withTransaction { connection in
        let holders = try await holders(against: provider, in: connection)
        if !holders.isEmpty { throw Taken(holders: holders) }
        try await insert(provider, on: connection)
        try await AuditLog.append(
          [try AuditChange(.providerCreate, provider)], by: author, at: provider.createdAt, to: connection)
        return try await changes.append(providers: [provider.id], at: provider.createdAt, to: connection)
      }
    } catch PostgresError.server(let error) where error.code == "23505" {
      // Another registration won between the look and the insert; now it can be named.
      let holders = try await database.withConnection { try await self.holders(against: provider, in: $0) }
      throw Taken(holders: holders)
    }
  }

  /// Stores a changed provider when its version is still that of `before`.
  /// - Returns: false when someone else changed it meanwhile; nothing is stored then.
  /// - Throws: `Taken` with every slug and host that another holds; nothing is stored then.
  func update(_ provider: Provider, over before: Provider, by author: Author) async throws -> Bool {
    do {
      return try await database.withTransaction { connection in
        // First, because its lock makes changes of one provider wait for each other.
        guard try await replace(provider, on: connection) else { return false }
        let holders = try await holders(against: provider, in: connection)
        if !holders.isEmpty { throw Taken(holders: holders) }
        if provider.details.hosts != before.details.hosts {
          try await connection.execute("delete from provider_host where provider_id = \(provider.id)")
          try await insertHosts(of: provider, on: connection)
        }
        let isRetired = provider.status == .retired && before.status != .retired
        try await AuditLog.append(
          [try AuditChange(isRetired ? .providerRetire : .providerUpdate, provider, before: before)], by: author,
          at: provider.updatedAt, to: connection)
        try await changes.append(providers: [provider.id], at: provider.updatedAt, to: connection)
        return true
      }
    } catch PostgresError.server(let error) where error.code == "23505" {
      let holders = try await database.withConnection { try await self.holders(against: provider, in: $0) }
      throw Taken(holders: holders)
    }
  }

  private func replace(_ provider: Provider, on connection: Connection) async throws -> Bool {
    let details = provider.details
    let updated = try await connection.execute(
      """
      update provider set slug = \(details.slug.text), name = \(details.name), status = \(provider.status.rawValue),
        endpoints = \(details.storedEndpoints), legal_entity = \(details.storedLegalEntity),
        declared_regions = \(details.declaredRegions), claimed_models = \(details.claimedModels),
        software = \(details.software), contact = \(details.contact), public_badge = \(details.publicBadge),
        tags = \(details.tags), notes = \(details.notes), version = \(provider.version),
        updated_at = \(provider.updatedAt.timestamp)
      where id = \(provider.id) and version = \(provider.version - 1)
      """)
    return updated == 1
  }

  /// Who else holds the slug or a host of `provider`.
  private func holders(against provider: Provider, in connection: Connection) async throws -> [Taken.Holder] {
    let id = provider.id
    let slug = provider.slug.text
    let hosts = provider.details.hosts.map(\.text)
    // A slug equal to another's host, or the reverse, would make one path mean two providers.
    return try await connection.query(
      """
      select 'slug ' || slug, slug from provider where slug = \(slug) and id <> \(id)
      union all select 'slug ' || h.host, p.slug from provider_host h join provider p on p.id = h.provider_id
        where h.host = \(slug) and p.id <> \(id)
      union all select 'host ' || h.host, p.slug from provider_host h join provider p on p.id = h.provider_id
        where h.host = any(\(hosts)) and p.id <> \(id)
      union all select 'host ' || slug, slug from provider where slug = any(\(hosts)) and id <> \(id)
      """
    ) { row in Taken.Holder(what: try row.next(String.self), holder: try row.next(String.self)) }
  }

  private func insert(_ provider: Provider, on connection: Connection) async throws {
    let details = provider.details
    try await connection.execute(
      """
      insert into provider (id, slug, name, status, endpoints, legal_entity, declared_regions, claimed_models,
        software, contact, public_badge, tags, notes, version, created_at, updated_at)
      values (\(provider.id), \(details.slug.text), \(details.name), \(provider.status.rawValue),
        \(details.storedEndpoints), \(details.storedLegalEntity), \(details.declaredRegions), \(details.claimedModels),
        \(details.software), \(details.contact), \(details.publicBadge), \(details.tags), \(details.notes),
        \(provider.version), \(provider.createdAt.timestamp), \(provider.updatedAt.timestamp))
      """)
    try await insertHosts(of: provider, on: connection)
  }

  private func insertHosts(of provider: Provider, on connection: Connection) async throws {
    let hosts = provider.details.hosts.map(\.text)
    try await connection.execute(
      """
      insert into provider_host (host, provider_id, position)
      select host, \(provider.id), ordinality from unnest(\(hosts)) with ordinality as t (host)
      """)
  }

  static let columns = """
    p.id, p.slug, p.name, p.status, p.endpoints, p.legal_entity, p.declared_regions, p.claimed_models, p.software,
    p.contact, p.public_badge, p.tags, p.notes, p.version, p.created_at, p.updated_at,
    (select array_agg(h.host order by h.position) from provider_host h where h.provider_id = p.id)
    """

  /// Those of `ids` that exist; all with nil.
  func providers(_ ids: [Identifier]?) async throws -> [Provider] {
    try await database.query(
      """
      select \(unsafeRaw: Self.columns) from provider p
      where \(Query(columnOf: "p.id", isAnyOf: ids))
      """, Self.decode)
  }

  @Sendable static func decode(_ row: inout Row) throws -> Provider {
    let id = try row.next(Identifier.self)
    let slug = try Slug(try row.next(String.self))
    let name = try row.next(String.self)
    let status = Provider.Status(rawValue: try row.next(String.self))!
    let endpoints = try field(try row.next(JSONB.self)).array(Provider.Endpoint.init)
    let legalEntity = try row.next(JSONB?.self).map { try Provider.LegalEntity(try field($0)) }
    var details = Provider.Details(slug: slug, name: name, hosts: [])
    details.endpoints = endpoints
    details.legalEntity = legalEntity
    details.declaredRegions = try row.next([String].self)
    details.claimedModels = try row.next([String].self)
    details.software = try row.next(String?.self)
    details.contact = try row.next(String?.self)
    details.publicBadge = try row.next(Bool.self)
    details.tags = try row.next([String].self)
    details.notes = try row.next(String?.self)
    let version = try row.next(Int.self)
    let createdAt = Instant(try row.next(Timestamp.self))
    let updatedAt = Instant(try row.next(Timestamp.self))
    details.hosts = try row.next([String].self).map { try Host($0) }
    return Provider(
      id: id, details: details, status: status, version: version, createdAt: createdAt, updatedAt: updatedAt)
  }

  private static func field(_ stored: JSONB) throws -> JSONField {
    JSONField(value: try JSONReader.read(stored.bytes).value, pointer: "")
  }
}

extension Provider.Details {
  fileprivate var storedEndpoints: JSONB {
    var json = JSONWriter()
    json.array(endpoints) { $1.write(to: &$0) }
    return JSONB(json.bytes)
  }

  fileprivate var storedLegalEntity: JSONB? {
    legalEntity.map { entity in
      var json = JSONWriter()
      entity.write(to: &json)
      return JSONB(json.bytes)
    }
  }
}
