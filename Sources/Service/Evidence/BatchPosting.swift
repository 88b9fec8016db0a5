import HTTPServer
import JSON

/// One of many results: valid, or what is wrong with it.
struct BatchLine: Sendable {
  let result: Result<ProbeResult, JSONFaults>

  init(_ decode: () throws(JSONFaults) -> ProbeResult) { result = Result(catching: decode) }
}

/// Stores many results and says what became of each.
struct BatchPosting {
  let service: RiskService

  /// A wrong line rejects that line alone; when atomic, one wrong line or conflict rejects all.
  /// - Parameter source: whose key sent them; nil when it is bound to none.
  func post(
    _ lines: [BatchLine], from source: Identifier? = nil, isAtomic: Bool = false
  ) async throws -> BatchOutcome {
    let metrics = service.parts.intakeMetrics
    let valid = lines.compactMap { try? $0.result.get() }
    if isAtomic, valid.count < lines.count {
      metrics.countRejected(lines.count, of: source)
      return BatchOutcome(entries: lines.map(Self.entryOfUnstored))
    }
    let dispositions = try await service.intake().submit(valid, isAtomic: isAtomic)
    let isRolledBack = isAtomic && dispositions.contains(where: \.isConflict)
    if !isRolledBack { metrics.count(dispositions, of: valid) }
    metrics.countRejected(isRolledBack ? lines.count : lines.count - valid.count, of: source)
    let undone = Set(dispositions.compactMap(\.acceptedID))
    var next = dispositions.makeIterator()
    return BatchOutcome(
      entries: lines.map { line in
        switch line.result {
        case .failure(let faults): return .rejected(.invalid(faults.faults))
        case .success:
          switch next.next()! {
          case .accepted where isRolledBack: return .rejected(.rolledBack)
          // What was the same as another of this batch is the same as nothing now.
          case .conflict(let id) where isRolledBack && undone.contains(id): return .rejected(.rolledBack)
          case .duplicate(let id) where isRolledBack && undone.contains(id): return .rejected(.rolledBack)
          case .conflict(let id): return .rejected(.sameIdentity(as: id))
          case .accepted(let stored): return .accepted(stored.id)
          case .duplicate(let id): return .duplicate(id)
          }
        }
      })
  }

  private static func entryOfUnstored(_ line: BatchLine) -> BatchOutcome.Entry {
    if case .failure(let faults) = line.result { return .rejected(.invalid(faults.faults)) }
    return .rejected(.rolledBack)
  }
}

extension Problem {
  fileprivate static let rolledBack = Problem(
    .conflict, "Nothing was stored, because another result of the same atomic batch was rejected.")
}

/// What became of many results, in the order they were sent.
struct BatchOutcome: Sendable {
  enum Entry: Sendable {
    case accepted(Identifier)
    case duplicate(Identifier)
    case rejected(Problem)
  }
  let entries: [Entry]

  /// - Parameter members: what else is said of the entry at an index.
  func encoded(
    requestID: String, members: (inout JSONWriter, Int) -> Void = { _, _ in },
    trailer: (inout JSONWriter) -> Void = { _ in }
  ) -> [UInt8] {
    var counts = (accepted: 0, duplicates: 0, rejected: 0)
    for entry in entries {
      switch entry {
      case .accepted: counts.accepted += 1
      case .duplicate: counts.duplicates += 1
      case .rejected: counts.rejected += 1
      }
    }
    var json = JSONWriter(reservingBytes: 128 + entries.count * 96)
    json.object { json in
      json.member("accepted", counts.accepted)
      json.member("duplicates", counts.duplicates)
      json.member("rejected", counts.rejected)
      json.array("results", entries.enumerated()) { json, indexed in
        json.object { json in
          json.member("index", indexed.offset)
          members(&json, indexed.offset)
          Self.write(indexed.element, to: &json, requestID: requestID)
        }
      }
      trailer(&json)
    }
    return json.bytes
  }

  private static func write(_ entry: Entry, to json: inout JSONWriter, requestID: String) {
    switch entry {
    case .accepted(let id):
      json.member("status", "accepted")
      json.member("id", id.description)
      json.member("problem", nil as String?)
    case .duplicate(let id):
      json.member("status", "duplicate")
      json.member("id", id.description)
      json.member("problem", nil as String?)
    case .rejected(let problem):
      json.member("status", "rejected")
      json.member("id", nil as String?)
      json.name("problem")
      if case .bytes(let bytes) = problem.response(instance: requestID).body { json.raw(bytes) }
    }
  }
}
