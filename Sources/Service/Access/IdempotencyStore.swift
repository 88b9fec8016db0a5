import HTTPServer
import Postgres

/// The table `idempotency_key`. Times are the database's: instances may disagree about theirs.
struct IdempotencyStore: Sendable {
  let database: Database

  /// One request's hold on a row.
  struct Claim: Sendable {
    let apiKey: Identifier
    /// HMAC of path and `Idempotency-Key`.
    let identity: [UInt8]
    let token: Identifier
  }

  /// A row that someone else holds.
  struct Holder: Sendable {
    let requestDigest: [UInt8]
    let claim: Claim
    /// Nil while the request runs.
    let answer: Answer?
  }

  /// What was answered; the body as it is stored.
  struct Answer: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: [UInt8]
  }

  /// How long a claim lasts after the last sign of life of its instance.
  static let leaseSeconds = 60
  /// Often enough that one renewal may fail.
  static let renewalSeconds = 20
  private static let keptHours = 24
  /// Removed with each answer that is stored: more than one, so that the table does not grow. Written into the
  /// statement: the planner takes an unknown limit for a tenth of the table.
  private static let removedCountMax = 100

  /// Takes the row, when it is free, expired or was left behind by an instance that died.
  /// - Returns: who holds it; nil when the claim was taken.
  func take(_ claim: Claim, requestDigest: [UInt8]) async throws -> Holder? {
    while true {
      let taken = try await database.query(
        """
        insert into idempotency_key as held (api_key_id, identity, request_digest, claim, claimed_at, lease_until)
        values (\(claim.apiKey), \(claim.identity), \(requestDigest), \(claim.token), now(),
          now() + \(Self.leaseSeconds) * interval '1 second')
        on conflict (api_key_id, identity) do update
        set request_digest = excluded.request_digest, claim = excluded.claim, claimed_at = excluded.claimed_at,
          lease_until = excluded.lease_until, status = null, headers = null, body = null
        where held.claimed_at <= now() - \(Self.keptHours) * interval '1 hour'
          or held.status is null and held.lease_until <= now()
        returning true
        """
      ) { try $0.next(Bool.self) }
      if !taken.isEmpty { return nil }
      let holders = try await database.query(
        """
        select api_key_id, identity, claim, request_digest, status, headers, body from idempotency_key
        where api_key_id = \(claim.apiKey) and identity = \(claim.identity)
        """, Self.holder)
      // Gone between the two statements: its request came to no final answer.
      if let holder = holders.first { return holder }
    }
  }

  /// Says that the request still runs.
  func renew(_ claim: Claim) async throws {
    try await database.execute(
      """
      update idempotency_key set lease_until = now() + \(Self.leaseSeconds) * interval '1 second'
      where api_key_id = \(claim.apiKey) and identity = \(claim.identity) and claim = \(claim.token)
      """)
  }

  /// Keeps the answer, unless the row was given to another request meanwhile; removes some rows that are expired.
  func keep(_ status: Int, _ headers: [(name: String, value: String)], _ body: [UInt8], for claim: Claim) async throws {
    try await database.execute(
      """
      with removed as (
        delete from idempotency_key where (api_key_id, identity) in (
          select api_key_id, identity from idempotency_key
          where claimed_at <= now() - \(Self.keptHours) * interval '1 hour'
          order by claimed_at limit \(unsafeRaw: String(Self.removedCountMax)) for update skip locked)
      )
      update idempotency_key
      set status = \(Int16(status)), headers = \(headers.flatMap { [$0.name, $0.value] }), body = \(body)
      where api_key_id = \(claim.apiKey) and identity = \(claim.identity) and claim = \(claim.token)
      """)
  }

  /// Removes what is expired and no stored answer has removed by the way, or only counts it.
  func removeExpired(isDryRun: Bool) async throws -> Int {
    if isDryRun {
      return try await database.query(
        """
        select count(*) from idempotency_key where claimed_at <= now() - \(Self.keptHours) * interval '1 hour'
        """
      ) { try $0.next(Int.self) }[0]
    }
    return try await database.execute(
      "delete from idempotency_key where claimed_at <= now() - \(Self.keptHours) * interval '1 hour'")
  }

  /// Frees the row: the request came to no final answer and may be tried again.
  func release(_ claim: Claim) async throws {
    try await database.execute(
      """
      delete from idempotency_key
      where api_key_id = \(claim.apiKey) and identity = \(claim.identity) and claim = \(claim.token)
      """)
  }

  @Sendable private static func holder(_ row: inout Row) throws -> Holder {
    let claim = Claim(
      apiKey: try row.next(Identifier.self), identity: try row.next([UInt8].self),
      token: try row.next(Identifier.self))
    let digest = try row.next([UInt8].self)
    guard let status = try row.next(Int16?.self) else {
      return Holder(requestDigest: digest, claim: claim, answer: nil)
    }
    let fields = try row.next([String].self)
    let headers = stride(from: 0, to: fields.count, by: 2).map { (name: fields[$0], value: fields[$0 + 1]) }
    let answer = Answer(status: Int(status), headers: headers, body: try row.next([UInt8].self))
    return Holder(requestDigest: digest, claim: claim, answer: answer)
  }
}
