import Crypto
import JSON

/// Where the chain of the audit log ends: `COUNT:HASH`.
public struct AuditHead: Sendable, Equatable, CustomStringConvertible {
  public let count: Int
  /// Of the newest entry; zeros where there is none.
  let hash: [UInt8]

  static let hashBytes = 32
  static let empty = AuditHead(count: 0, hash: [UInt8](repeating: 0, count: hashBytes))

  init(count: Int, hash: [UInt8]) {
    self.count = count
    self.hash = hash
  }

  /// What `description` gave.
  public init?(parsing text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let count = Int(parts[0]), count >= 0, parts[1].utf8.count == 2 * Self.hashBytes else {
      return nil
    }
    let digits = parts[1].compactMap(\.hexDigitValue)
    guard digits.count == 2 * Self.hashBytes else { return nil }
    self.init(
      count: count, hash: stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
  }

  public var description: String { "\(count):\(hexadecimal(hash))" }
}

/// An entry of the audit log, as it is stored.
struct AuditEntry: Sendable, Equatable {
  let sequence: Int
  let recordedAt: Instant
  let author: Author
  /// One of `AuditAction`, or what a later version wrote.
  let action: String
  let objectKind: String
  let objectID: String?
  /// JSON.
  let before, after: [UInt8]?
  let previousHash: [UInt8]
  let hash: [UInt8]

  /// The entry that is added behind `head`.
  init(_ change: AuditChange, by author: Author, at now: Instant, behind head: AuditHead) throws {
    let entry = AuditEntry(
      sequence: head.count + 1, recordedAt: now, author: author, action: change.action.rawValue,
      objectKind: change.action.objectKind.rawValue, objectID: change.objectID, before: change.before,
      after: change.after, previousHash: head.hash, hash: [])
    self.init(entry, hash: try entry.computedHash())
  }

  init(
    sequence: Int, recordedAt: Instant, author: Author, action: String, objectKind: String, objectID: String?,
    before: [UInt8]?, after: [UInt8]?, previousHash: [UInt8], hash: [UInt8]
  ) {
    (self.sequence, self.recordedAt, self.author, self.action) = (sequence, recordedAt, author, action)
    (self.objectKind, self.objectID, self.before, self.after) = (objectKind, objectID, before, after)
    (self.previousHash, self.hash) = (previousHash, hash)
  }

  private init(_ entry: AuditEntry, hash: [UInt8]) {
    self.init(
      sequence: entry.sequence, recordedAt: entry.recordedAt, author: entry.author, action: entry.action,
      objectKind: entry.objectKind, objectID: entry.objectID, before: entry.before, after: entry.after,
      previousHash: entry.previousHash, hash: hash)
  }

  var head: AuditHead { AuditHead(count: sequence, hash: hash) }

  /// SHA-256 over the canonical JSON (RFC 8785) of the entry as the API shows it, without `hash`.
  /// - Throws: when `before` or `after` is no JSON.
  func computedHash() throws -> [UInt8] {
    var json = JSONWriter()
    json.object(writeMembers)
    return Array(SHA256.hash(data: try JSONReader.read(json.bytes).value.canonical))
  }

  func write(to json: inout JSONWriter) {
    json.object { json in
      writeMembers(to: &json)
      json.member("hash", hexadecimal(hash))
    }
  }

  private func writeMembers(to json: inout JSONWriter) {
    json.member("sequence", sequence)
    json.member("recorded_at", recordedAt.rfc3339)
    json.object("actor") { json in
      json.member("kind", author.keyID == nil ? "command" : "key")
      json.member("key_id", author.keyID?.description)
      json.member("name", author.name)
    }
    json.member("peer", author.peer)
    json.member("request_id", author.requestID?.description)
    json.member("action", action)
    json.object("object") { json in
      json.member("kind", objectKind)
      json.member("id", objectID)
    }
    json.member("before", json: before ?? Array("null".utf8))
    json.member("after", json: after ?? Array("null".utf8))
    json.member("previous_hash", hexadecimal(previousHash))
  }
}
