import Postgres
import RiskModel

/// The statements on results, their identities and the cells they are folded into.
struct ResultStore: Sendable {
  let database: Database
  let methodology: Methodology
  let changes: ChangeLog
  let vault: EvidenceVault

  /// One result of a batch, ready to be stored. Handed on as a reference: a result has a dozen texts to retain.
  final class Candidate: Sendable {
    let stored: StoredResult
    let identity: ResultIdentity
    /// Its evidence as it is stored: encrypted.
    let evidence: [UInt8]?

    init(_ stored: StoredResult, _ identity: ResultIdentity, evidence: [UInt8]?) {
      self.stored = stored
      self.identity = identity
      self.evidence = evidence
    }
  }

  /// What stands under an identity.
  struct Holder: Sendable {
    let id: Identifier
    let digest: Hash256
  }

  /// What came of storing results.
  struct Stored: Sendable {
    /// The cells as they are after the batch.
    let cells: [StoredCell]
    /// Of the change.
    let version: Int
  }

  struct IdentityKey: Hashable, Sendable {
    let provider: Identifier
    let identity: Hash256
  }

  /// Opens a transaction and claims the candidates' identities in it.
  /// - Precondition: no two candidates have the same identity.
  /// - Returns: the ids of those that are new, to be stored by this transaction.
  func claim(_ candidates: [Candidate], on connection: Connection) async throws -> Set<Identifier> {
    let answers = try await connection.run(together: ["BEGIN", Ingestion.claiming(candidates)])
    return Set(try answers[1].map { row in try row.next(Identifier.self) })
  }

  /// Stores results whose identities were claimed, folds them into the cells, records the change and commits.
  /// - Throws: `MethodologiesChanged` when results are to be folded under another set by now; nothing is stored then.
  func store(
    _ claimed: [Candidate], foldingUnder set: FoldingSet, at now: Instant, on connection: Connection
  ) async throws -> Stored {
    guard let stored = try await run([], claimed, set, now, end: ["COMMIT"], on: connection) else {
      throw MethodologiesChanged()
    }
    return stored
  }

  /// Claims the candidates' identities and does as `store` does, in one round trip and a transaction of its own.
  /// - Returns: nil when one of them was not new, or results are to be folded under another set by now. Nothing is
  ///   stored then.
  func storeAllNew(
    _ candidates: [Candidate], foldingUnder set: FoldingSet, at now: Instant, on connection: Connection
  ) async throws -> Stored? {
    do {
      return try await run([Ingestion.claimingAll(candidates)], candidates, set, now, end: [], on: connection)
    } catch PostgresError.server(let failure) where failure.code == Self.uniqueViolation {
      return nil
    }
  }

  /// - Returns: nil when a condition of a statement did not hold.
  private func run(
    _ begin: [Query], _ candidates: [Candidate], _ set: FoldingSet, _ now: Instant, end: [Query],
    on connection: Connection
  ) async throws -> Stored? {
    let cells = BatchCell.folding(candidates, under: set)
    let inserts = begin + Ingestion.inserting(candidates)
    let folds = cells.isEmpty ? [] : [Ingestion.folding(cells)]
    let providers = Set(candidates.map { $0.stored.result.provider })
    let record = changes.recording(Array(providers), foldedUnder: set, at: now)
    do {
      let answers = try await connection.run(together: inserts + folds + [record] + end)[inserts.count...]
      return Stored(
        cells: cells.isEmpty ? [] : try answers.first!.map(StoredCell.decode),
        version: try answers[inserts.count + folds.count].map { row in try row.next(Int.self) }[0])
    } catch {
      if case .server(let failure) = error, failure.code == Self.divisionByZero { return nil }
      throw error
    }
  }

  /// What a statement is made to fail with when its condition does not hold: SQL has no expression that raises an error
  /// of one's own.
  private static let divisionByZero = "22012"
  private static let uniqueViolation = "23505"

  /// What is stored under the identities of candidates that were not new. A statement of its own, because its snapshot
  /// must see what another transaction committed while the claim waited.
  func holders(
    of candidates: [Candidate], on connection: Connection
  ) async throws -> [IdentityKey: Holder] {
    let rows = try await connection.query(
      """
      select i.provider_id, i.identity, i.result_id, i.digest
      from unnest(\(candidates.map { $0.stored.result.provider }), \(candidates.map { $0.identity.identity }))
        as sent (provider_id, identity)
      join result_identity i using (provider_id, identity)
      """
    ) { row in
      (
        IdentityKey(provider: try row.next(Identifier.self), identity: try row.next(Hash256.self)),
        Holder(id: try row.next(Identifier.self), digest: try row.next(Hash256.self))
      )
    }
    return Dictionary(rows) { first, _ in first }
  }

  // MARK: - Reading

  /// Shows the cells of these providers under these methodologies, those of one provider under one of them at a time:
  /// there may be millions. Several statements are under way at once, each of the moment at which it runs.
  func eachCells(
    of providers: [Identifier], under methodologies: [String], _ take: @escaping @Sendable ([StoredCell]) -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      var running = 0
      for start in stride(from: 0, to: providers.count, by: Self.providersAtOnce) {
        let some = Array(providers[start..<min(providers.count, start + Self.providersAtOnce)])
        if running == Self.statementsAtOnce { try await group.next() } else { running += 1 }
        group.addTask {
          try await database.query(PackedCells.query(of: some, under: methodologies), PackedCells.unpack).forEach(take)
        }
      }
      try await group.waitForAll()
    }
  }
  private static let providersAtOnce = 100
  private static let statementsAtOnce = 4
}
