import JSON
import Postgres
import RiskModel

/// The statements on results, their identities and the cells they are folded into.
struct ResultStore: Sendable {
  let database: Database
  let methodology: Methodology
  let changes: ChangeLog

  /// One result of a batch, ready to be stored.
  struct Candidate: Sendable {
    let stored: StoredResult
    let identity: ResultIdentity
    /// Its evidence as it is stored.
    let evidence: [UInt8]?

    init(_ stored: StoredResult, _ identity: ResultIdentity) {
      self.stored = stored
      self.identity = identity
      evidence = stored.result.evidence.map { evidence in
        var json = JSONWriter()
        json.value(evidence)
        return json.bytes
      }
    }
  }

  /// What stands under an identity.
  struct Holder: Sendable {
    let id: Identifier
    let digest: [UInt8]
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
    let identity: [UInt8]
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
      from unnest(\(candidates.map(\.stored.result.provider)), \(candidates.map(\.identity.identity)))
        as sent (provider_id, identity)
      join result_identity i using (provider_id, identity)
      """
    ) { row in
      (
        IdentityKey(provider: try row.next(Identifier.self), identity: try row.next([UInt8].self)),
        Holder(id: try row.next(Identifier.self), digest: try row.next([UInt8].self))
      )
    }
    return Dictionary(rows) { first, _ in first }
  }

  // MARK: - Reading

  /// The cells of these providers, or of all, under these methodologies.
  func cells(of providers: [Identifier]?, under methodologies: [String]) async throws -> [StoredCell] {
    try await database.query(
      """
      select \(unsafeRaw: StoredCell.columns) from evidence_cell
      where methodology = any(\(methodologies))
        and \(Query(columnOf: "provider_id", isAnyOf: providers))
      """, StoredCell.decode)
  }
}
