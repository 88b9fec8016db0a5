import JSON
import Postgres
import RiskModel

extension ResultStore {
  /// All that `decode` reads of a row of `result r`; the evidence's body and `decisionColumns` follow.
  static let resultColumns = """
    r.provider_id, r.id, r.source_id, r.check_id, r.outcome, r.target, r.model, r.observed_at, r.received_at,
    r.confidence, r.external_id, r.run_id, r.vantage_country, r.vantage_asn, r.scanner_name, r.scanner_version, r.note,
    r.signing_key_id, (select k.public_key from signing_key k where k.id = r.signing_key_id), r.signature, r.signed
    """

  /// What `decode` reads of the disputes of `result r`, and of the rows of `void v` and `erasure x`, which are joined
  /// to the left.
  static let decisionColumns = """
    array(select d.id::text || ' ' || d.status from dispute d
      where d.provider_id = r.provider_id and d.result_id = r.id),
    v.recorded_at, v.recorded_by, v.reason, x.recorded_at, x.recorded_by, x.reason
    """

  /// One page of a provider's results with their evidence, newest received first.
  /// - Returns: the last id that the page reaches; nil when it is the last page.
  func results(_ filter: ResultFilter) async throws -> (found: [StoredResult], next: Identifier?) {
    let methodology = methodology
    let found = try await database.query(filter.query) { row in try Self.decode(&row, methodology) }
    if found.count > filter.limit {
      let page = try await opened(Array(found.prefix(filter.limit)))
      return (page, page.last?.id)
    }
    let end = try await database.query(filter.scanEnd) { try $0.next(Identifier.self) }.first
    return (try await opened(found), end)
  }

  /// One result with its evidence.
  func result(_ id: Identifier) async throws -> StoredResult? {
    let methodology = methodology
    return try await opened(try await database.query(Self.query(id)) { row in try Self.decode(&row, methodology) })
      .first
  }

  /// A row that was read: its evidence's body is as it was stored.
  private typealias ReadRow = (stored: StoredResult, body: [UInt8]?)

  /// The one place where evidence is decrypted. What cannot be read is said to be so, and hides nothing else.
  private func opened(_ rows: [ReadRow]) async throws -> [StoredResult] {
    let bodies = rows.compactMap { row in
      row.body.map { EvidenceVault.Body(owner: row.stored.result.provider, id: row.stored.id, bytes: $0) }
    }
    if bodies.isEmpty { return rows.map(\.stored) }
    let opened = try await vault.opened(bodies)
    return rows.map { row in
      guard row.body != nil else { return row.stored }
      var stored = row.stored
      stored.result.evidence = opened[stored.id].flatMap { try? JSONReader.read($0).value }
      stored.isEvidenceUnreadable = stored.result.evidence == nil
      return stored
    }
  }

  /// Ids begin with the time of receipt, so one partition is read.
  static func query(_ id: Identifier) -> Query {
    """
    select \(unsafeRaw: Self.resultColumns), e.body, \(unsafeRaw: Self.decisionColumns)
    from result r left join result_evidence e on e.provider_id = r.provider_id and e.id = r.id
      left join void v on v.provider_id = r.provider_id and v.result_id = r.id
      left join erasure x on x.provider_id = r.provider_id and x.result_id = r.id
    where r.id = \(id)
    """
  }

  private static func decode(_ row: inout Row, _ methodology: Methodology) throws -> ReadRow {
    let provider = try row.next(Identifier.self)
    let id = try row.next(Identifier.self)
    let source = try row.next(Identifier.self)
    let checkID = try row.next(String.self)
    let outcome = RiskModel.Outcome(rawValue: try row.next(String.self))!
    let address = try row.next(String.self)
    let model = try row.next(String.self)
    let observedAt = Instant(try row.next(Timestamp.self))
    let receivedAt = Instant(try row.next(Timestamp.self))
    let confidence = try row.next(Double.self)
    let externalID = try row.next(String?.self)
    let runID = try row.next(String?.self)
    let country = try row.next(String?.self)
    let asn = try row.next(Int?.self)
    let scannerName = try row.next(String?.self)
    let scannerVersion = try row.next(String?.self)
    let note = try row.next(String?.self)
    let signature = try ResultSignature.decode(&row)
    let body = try row.next([UInt8]?.self)
    // In the order of their ids, which is that of time.
    let disputes = try row.next([String].self).sorted().map { text in
      let parts = text.split(separator: " ")
      return DisputeMark(
        id: Identifier(parsing: String(parts[0]))!, status: Dispute.Status(rawValue: String(parts[1]))!)
    }
    let voided = try ResultDecision.decode(&row)
    let erased = try ResultDecision.decode(&row)
    let result = ProbeResult(
      provider: provider, source: source, check: methodology.checkIndex(checkID) ?? 0, checkID: checkID,
      outcome: outcome, observedAt: observedAt,
      target: Target(address: address, model: model.isEmpty ? nil : model), confidence: confidence,
      externalID: externalID, runID: runID,
      vantage: country == nil && asn == nil ? nil : ProbeResult.Vantage(country: country, asn: asn),
      scanner: scannerName.map { ProbeResult.Scanner(name: $0, version: scannerVersion) }, note: note,
      evidence: nil, signature: signature)
    let stored = StoredResult(
      id: id, receivedAt: receivedAt, result: result, voided: voided, disputes: disputes, erased: erased)
    return (stored, body)
  }
}
