import JSON

/// What can be done to a thing: the closed vocabulary of the audit log.
enum AuditAction: String, Sendable, CaseIterable {
  case providerCreate = "provider.create"
  case providerImport = "provider.import"
  case providerUpdate = "provider.update"
  case providerRetire = "provider.retire"
  case sourceCreate = "source.create"
  case sourceUpdate = "source.update"
  case modelCreate = "model.create"
  case modelUpdate = "model.update"
  case advisoryCreate = "advisory.create"
  case keyCreate = "key.create"
  case keyUpdate = "key.update"
  case keyRotate = "key.rotate"
  case keyRevoke = "key.revoke"
  case signingKeyCreate = "signing_key.create"
  case signingKeyRevoke = "signing_key.revoke"
  case masterKeyRotate = "master_key.rotate"
  case methodologyCreate = "methodology.create"
  case methodologyUpdate = "methodology.update"
  case methodologyComplete = "methodology.complete"
  case waiverCreate = "waiver.create"
  case waiverRevoke = "waiver.revoke"
  case incidentOpen = "incident.open"
  case incidentClose = "incident.close"
  case disputeOpen = "dispute.open"
  case disputeUphold = "dispute.uphold"
  case disputeReject = "dispute.reject"
  case resultVoid = "result.void"
  /// Many at once.
  case resultsVoid = "results.void"
  /// Their evidence, while the results stay; one result's, or that of many at once.
  case resultErase = "result.erase_evidence"
  case resultsErase = "results.erase_evidence"
  /// A month that is older than results are kept for.
  case resultsDrop = "results.drop"

  /// What stands before the point.
  var objectKind: AuditObjectKind { AuditObjectKind(rawValue: String(rawValue.prefix { $0 != "." }))! }
}

enum AuditObjectKind: String, Sendable, CaseIterable {
  case signingKey = "signing_key"
  case masterKey = "master_key"
  case provider, source, model, advisory, key, methodology, waiver, incident, dispute, result
  /// Those that were selected together.
  case results
}

/// What is done to one thing, to be written down with who does it.
struct AuditChange: Sendable {
  let action: AuditAction
  /// Nil for results that were selected together.
  let objectID: String?
  /// The object in canonical JSON, without secrets and evidence; nil where there was or is none.
  let before: [UInt8]?
  let after: [UInt8]?

  init(
    _ action: AuditAction, _ objectID: String?, before: ((inout JSONWriter) -> Void)? = nil,
    after: ((inout JSONWriter) -> Void)?
  ) throws {
    self.action = action
    self.objectID = objectID
    self.before = try before.map(Self.canonical)
    self.after = try after.map(Self.canonical)
  }

  private static func canonical(_ write: (inout JSONWriter) -> Void) throws -> [UInt8] {
    var json = JSONWriter()
    write(&json)
    return try JSONReader.read(json.bytes).value.canonical
  }
}

// What is said of each kind of thing. Here it can be seen that no secret, no hash of one and no evidence is among it.
extension AuditChange {
  init(_ action: AuditAction, _ provider: Provider, before: Provider? = nil) throws {
    try self.init(action, provider.id.description, before: before.map { $0.write }, after: provider.write)
  }

  init(_ action: AuditAction, _ source: Source, before: Source? = nil) throws {
    try self.init(action, source.id.description, before: before.map { $0.write }, after: source.write)
  }

  init(_ action: AuditAction, _ model: Model, before: Model? = nil) throws {
    try self.init(action, model.id.text, before: before.map { $0.write }, after: model.write)
  }

  init(_ advisory: Advisory) throws {
    try self.init(.advisoryCreate, advisory.id.description, after: advisory.write)
  }

  init(_ action: AuditAction, _ key: APIKey, before: APIKey? = nil) throws {
    try self.init(action, key.id.description, before: before.map { $0.writeRecord }, after: key.writeRecord)
  }

  /// The public half.
  init(_ action: AuditAction, _ key: SigningKey, before: SigningKey? = nil) throws {
    try self.init(action, key.id.description, before: before.map { $0.writeRecord }, after: key.writeRecord)
  }

  /// The ids, which tell nothing about the keys.
  /// - Parameter count: how many keys of evidence were wrapped anew.
  init(masterKeys former: [String], to id: String, count: Int) throws {
    try self.init(.masterKeyRotate, id) { json in
      json.object { json in json.array("ids", former) { $0.value($1) } }
    } after: { json in
      json.object { json in
        json.array("ids", [id]) { $0.value($1) }
        json.member("evidence_keys", count)
      }
    }
  }

  /// Without the document, which never changes and which the hash names.
  init(_ action: AuditAction, _ methodology: StoredMethodology, before: StoredMethodology? = nil) throws {
    try self.init(
      action, methodology.id, before: before.map { before in { before.write(to: &$0, withDocument: false) } },
      after: { methodology.write(to: &$0, withDocument: false) })
  }

  init(_ action: AuditAction, _ waiver: WaiverRecord, before: WaiverRecord? = nil, of provider: Identifier) throws {
    try self.init(
      action, waiver.waiver.id.description,
      before: before.map { before in { before.writeRecord(to: &$0, of: provider) } },
      after: { waiver.writeRecord(to: &$0, of: provider) })
  }

  init(
    _ action: AuditAction, _ incident: IncidentRecord, before: IncidentRecord? = nil, of provider: Identifier
  ) throws {
    try self.init(
      action, incident.incident.id.description,
      before: before.map { before in { before.writeRecord(to: &$0, of: provider) } },
      after: { incident.writeRecord(to: &$0, of: provider) })
  }

  init(_ action: AuditAction, _ dispute: Dispute, before: Dispute? = nil) throws {
    try self.init(action, dispute.id.description, before: before.map { $0.writeRecord }, after: dispute.writeRecord)
  }

  /// - Parameter count: how many results were voided, one at least.
  init(voiding selection: ResultSelection, _ decision: ResultDecision, count: Int) throws {
    try self.init(selection.result == nil ? .resultsVoid : .resultVoid, selection.result?.id.description) { json in
      json.object { json in
        if let result = selection.result {
          json.member("provider_id", result.provider.description)
        } else {
          selection.writeMembers(to: &json)
          json.member("voided", count)
        }
        decision.writeRecordMembers(to: &json)
      }
    }
  }

  /// Whose evidence it was, and nothing of it.
  /// - Parameter count: how many results had evidence, one at least.
  init(erasing selection: ResultSelection, _ decision: ResultDecision, count: Int) throws {
    let action = selection.result == nil ? AuditAction.resultsErase : .resultErase
    try self.init(action, selection.result?.id.description) { json in
      json.object { json in
        json.member("provider_id", (selection.result?.provider ?? selection.provider)?.description)
        if selection.result == nil {
          selection.writeMembers(to: &json)
          json.member("erased", count)
        }
        decision.writeRecordMembers(to: &json)
      }
    }
  }

  init(dropping month: ResultMonth, count: Int) throws {
    try self.init(.resultsDrop, nil) { json in
      json.object { json in
        json.member("month", month.name)
        json.member("results", count)
      }
    } after: { json in
      json.object { $0.member("horizon", month.until.rfc3339) }
    }
  }
}

extension APIKey {
  fileprivate func writeRecord(to json: inout JSONWriter) {
    json.object { json in
      json.member("id", id.description)
      json.member("name", name)
      json.array("scopes", scopes) { $0.value($1.rawValue) }
      json.member("source_id", sourceID?.description)
      json.member("created_at", createdAt.rfc3339)
      json.member("revoked_at", revokedAt?.rfc3339)
      json.member("successor_id", successorID?.description)
      limits.write(to: &json)
    }
  }
}

extension SigningKey {
  fileprivate func writeRecord(to json: inout JSONWriter) {
    json.object { json in
      json.member("source_id", sourceID.description)
      writeMembers(to: &json)
    }
  }
}

extension WaiverRecord {
  fileprivate func writeRecord(to json: inout JSONWriter, of provider: Identifier) {
    json.object { json in
      json.member("provider_id", provider.description)
      writeMembers(to: &json)
    }
  }
}

extension IncidentRecord {
  fileprivate func writeRecord(to json: inout JSONWriter, of provider: Identifier) {
    json.object { json in
      json.member("provider_id", provider.description)
      writeMembers(to: &json)
    }
  }
}

extension Dispute {
  /// With ids, which stay, where the API has slugs.
  fileprivate func writeRecord(to json: inout JSONWriter) {
    json.object { json in
      json.member("id", id.description)
      json.member("status", status.rawValue)
      json.member("provider_id", provider.description)
      json.member("result", result.description)
      json.member("source_id", source.description)
      writeCourse(to: &json)
    }
  }
}
