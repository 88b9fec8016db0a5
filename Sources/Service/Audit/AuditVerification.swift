import JSON
import Logging
import Postgres

/// Computes the chain of the audit log anew, and names every place where what is stored is not what comes out.
struct AuditVerification: Sendable {
  let database: Database

  /// Read at once; an entry of a provider is a kilobyte or two.
  private static let entriesCountMax = 500

  /// - Parameters:
  ///   - kept: a head that was kept elsewhere, which nobody who can write to the database can change.
  ///   - report: is told each fault, in one sentence.
  /// - Returns: where the chain ends.
  func run(against kept: AuditHead?, report: (String) -> Void) async throws -> AuditHead {
    // All of one snapshot, so that entries that are added meanwhile are no fault.
    try await database.withTransaction(isolation: .repeatableRead) { connection in
      let stored = try await AuditLog.head(on: connection).head
      var last = AuditHead.empty
      while true {
        let entries = try await AuditLog.entries(after: last.count, count: Self.entriesCountMax, on: connection)
        for entry in entries {
          for fault in Self.faults(of: entry, behind: last) { report(fault) }
          if entry.sequence == kept?.count, entry.hash != kept?.hash {
            report("entry \(entry.sequence) is not the one that the head given names: the log was written anew")
          }
          last = entry.head
        }
        if entries.isEmpty { break }
      }
      if let kept, kept.count > last.count {
        report(
          "the log ends with entry \(last.count), and the head given names entry \(kept.count): its end is cut off")
      }
      if stored.count != last.count {
        report("the log ends with entry \(last.count), and its head names entry \(stored.count)")
      } else if stored != last {
        report("the head of the log does not have the hash of entry \(last.count)")
      }
      return last
    }
  }

  private static func faults(of entry: AuditEntry, behind last: AuditHead) -> [String] {
    var faults: [String] = []
    switch entry.sequence - last.count {
    case 1: break
    case 2: faults.append("entry \(last.count + 1) is missing")
    default: faults.append("entries \(last.count + 1) to \(entry.sequence - 1) are missing")
    }
    let name = "entry \(entry.sequence) (\(entry.action) at \(entry.recordedAt.rfc3339))"
    if faults.isEmpty, entry.previousHash != last.hash { faults.append("\(name) does not follow from the one before") }
    let isWhole = isCanonical(entry.before) && isCanonical(entry.after) && (try? entry.computedHash()) == entry.hash
    if !isWhole { faults.append("\(name) is not what was written: its hash is another") }
    return faults
  }

  /// What says the same in other bytes has the same hash.
  private static func isCanonical(_ json: [UInt8]?) -> Bool {
    guard let json else { return true }
    guard let value = try? JSONReader.read(json).value, case .object = value else { return false }
    return value.canonical == json
  }
}

/// For the command.
extension RiskService {
  public func auditHead() async throws -> AuditHead { try await parts.audit.head().head }

  /// - Parameters:
  ///   - head: one that was kept elsewhere.
  ///   - report: is told each fault, in one sentence.
  /// - Returns: where the chain ends.
  public func verifyAuditLog(against head: AuditHead?, report: (String) -> Void) async throws -> AuditHead {
    try await AuditVerification(database: parts.database).run(against: head, report: report)
  }
}

/// Says in the log where the chain ends. Logs are kept elsewhere, as a rule: whoever changes an entry afterwards would
/// have to change them, too.
///
/// By what is committed, asked for again and again, and not with each write: a line within the transaction could tell
/// of an end that never came to be, and what the command and other instances write is told, too.
struct AuditHeadLogger: Sendable {
  let log: AuditLog
  let logger: Logger

  private static let everySeconds = 60

  /// Until the task is cancelled: at once, and then once a minute if it has moved.
  func run() async {
    var last: AuditHead?
    while !Task.isCancelled {
      // Without its database the log does not grow, which others say.
      if let head = try? await log.head().head, head != last {
        logger.info("audit log", metadata: ["head": "\(head)"])
        last = head
      }
      try? await Task.sleep(for: .seconds(Self.everySeconds))
    }
  }
}
