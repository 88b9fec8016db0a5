import HTTPServer
import JSON

/// One of many results: valid, or what is wrong with it.
struct BatchLine: Sendable {
  let result: Result<ProbeResult, Problem>

  init(_ decode: () throws(JSONFaults) -> ProbeResult) {
    do throws(JSONFaults) { result = .success(try decode()) } catch { result = .failure(.invalid(error.faults)) }
  }

  init(wrong problem: Problem) { result = .failure(problem) }
}

/// Stores many results and says what became of each.
struct BatchPosting {
  let service: RiskService

  /// A wrong line rejects that line alone; when atomic, one wrong line or conflict rejects all.
  /// - Parameters:
  ///   - source: whose key sent them; nil when it is bound to none.
  ///   - isStream: they are a piece of a stream, of which the next comes when these are stored.
  func post(
    _ lines: [BatchLine], from source: Identifier? = nil, isAtomic: Bool = false, isStream: Bool = false
  ) async throws -> BatchOutcome {
    let metrics = service.parts.intakeMetrics
    let valid = lines.compactMap { try? $0.result.get() }
    if isAtomic, valid.count < lines.count {
      metrics.countRejected(lines.count, of: source)
      return BatchOutcome(entries: lines.map(Self.entryOfUnstored))
    }
    let dispositions = try await service.intake().submit(valid, isAtomic: isAtomic, isStream: isStream)
    let isRolledBack = isAtomic && dispositions.contains(where: \.isConflict)
    if !isRolledBack { metrics.count(dispositions, of: valid) }
    metrics.countRejected(isRolledBack ? lines.count : lines.count - valid.count, of: source)
    let undone = isRolledBack ? Set(dispositions.compactMap(\.acceptedID)) : []
    var next = dispositions.makeIterator()
    return BatchOutcome(
      entries: lines.map { line in
        switch line.result {
        case .failure(let problem): return .rejected(problem)
        case .success:
          switch next.next()! {
          case .accepted where isRolledBack: return .rejected(.rolledBack)
          // What was the same as another of this batch is the same as nothing now.
          case .conflict(let id) where isRolledBack && undone.contains(id): return .rejected(.rolledBack)
          case .duplicate(let id) where isRolledBack && undone.contains(id): return .rejected(.rolledBack)
          case .conflict(let id): return .rejected(.sameIdentity(as: id))
          case .accepted(let candidate): return .accepted(candidate.stored.id)
          case .duplicate(let id): return .duplicate(id)
          }
        }
      })
  }

  private static func entryOfUnstored(_ line: BatchLine) -> BatchOutcome.Entry {
    if case .failure(let problem) = line.result { return .rejected(problem) }
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
    requestID: String, listingAccepted: Bool = true, members: (inout JSONWriter, Int) -> Void = { _, _ in },
    trailer: (inout JSONWriter) -> Void = { _ in }
  ) -> [UInt8] {
    var report = BatchReport(requestID: requestID, reservingBytes: 128 + entries.count * 96)
    for (index, entry) in entries.enumerated() {
      report.add(entry, at: index, listingAccepted: listingAccepted) { members(&$0, index) }
    }
    return report.encoded(trailer: trailer)
  }
}
