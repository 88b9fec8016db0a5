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

  struct Outcome: Sendable {
    /// The ids of the candidates that were new; they are stored now.
    var fresh: Set<Identifier> = []
    /// For candidates that were not new: what was stored under their identity before.
    var holders: [IdentityKey: Holder] = [:]
    /// The cells as they are after the batch.
    var cells: [StoredCell] = []
    /// Of the change; nil when nothing was new.
    var version: Int?
  }

  struct IdentityKey: Hashable, Sendable {
    let provider: Identifier
    let identity: Hash256
  }

  /// Stores what is new, folds it into the cells and records the change, in one statement.
  /// - Parameter isPartOfTransaction: the caller's; without, it is a transaction by itself, of one round trip.
  /// - Precondition: no two candidates have the same identity.
  /// - Throws: `MethodologiesChanged` when results are to be folded under another set by now; nothing is stored then.
  func store(
    _ candidates: [Candidate], foldingUnder set: FoldingSet, at now: Instant, on connection: Connection,
    isPartOfTransaction: Bool
  ) async throws -> Outcome {
    let statement = Ingestion.statement(for: candidates, under: set, changes.recording(set, at: now))
    let rows: [IngestedRow]
    do {
      rows =
        isPartOfTransaction
        ? try await connection.query(statement, IngestedRow.decode)
        : try await connection.query(statement, under: Ingestion.settings, IngestedRow.decode)
    } catch {
      if case .server(let failure) = error, failure.code == Ingestion.divisionByZero { throw MethodologiesChanged() }
      throw error
    }
    var outcome = Outcome()
    for row in rows {
      switch row {
      case .fresh(let id): outcome.fresh.insert(id)
      case .folded(let cell): outcome.cells.append(cell)
      case .changed(let version): outcome.version = version
      }
    }
    let known = candidates.filter { !outcome.fresh.contains($0.stored.id) }
    if !known.isEmpty { outcome.holders = try await holders(of: known, on: connection) }
    return outcome
  }

  /// A statement of its own, because its snapshot must see what another transaction committed while the first waited.
  private func holders(
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

  /// The cells of these providers under these methodologies.
  func cells(of providers: [Identifier], under methodologies: [String]) async throws -> [StoredCell] {
    try await database.query(PackedCells.query(of: providers, under: methodologies), PackedCells.unpack)
      .flatMap { $0 }
  }

  /// Shows the cells of these providers, some thousands at a time: there may be millions. Several statements are under
  /// way at once, each of the moment at which it runs.
  func eachCells(
    of providers: [Identifier], under methodologies: [String], _ take: @escaping @Sendable ([StoredCell]) -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      var running = 0
      for start in stride(from: 0, to: providers.count, by: Self.providersAtOnce) {
        let some = Array(providers[start..<min(providers.count, start + Self.providersAtOnce)])
        if running == Self.statementsAtOnce { try await group.next() } else { running += 1 }
        group.addTask { take(try await cells(of: some, under: methodologies)) }
      }
      try await group.waitForAll()
    }
  }
  private static let providersAtOnce = 100
  private static let statementsAtOnce = 4
}
