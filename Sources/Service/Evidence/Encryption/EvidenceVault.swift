import Crypto
import HTTPServer
import Logging
import Postgres
import Synchronization

extension Problem.Kind {
  static let evidenceKeyUnavailable = Problem.Kind(
    code: "evidence-key-unavailable", status: 503, title: "Evidence cannot be encrypted here",
    explanation: "This instance lacks the master key that evidence is encrypted under, or has another one. Nothing was "
      + "stored. Results without evidence are taken, and scores are served; the operator has to set the key.")
}

/// Encrypts evidence before it goes to the database, and decrypts what comes from there.
///
/// AES-256-GCM under a key for each day, which is in the database wrapped by the master key. A body is bound to its
/// result: put in another's place it cannot be read.
///
///     version 1 | day, 4 bytes | nonce, 12 | ciphertext | tag, 16
final class EvidenceVault: Sendable {
  private let database: Database
  let masterKeys: MasterKeyRing?
  private let logger: Logger
  private let state = Mutex(State())

  private struct State {
    var keys: [Int: SymmetricKey] = [:]
    /// Days whose key could not be unwrapped, said in the log once.
    var reported: Set<Int> = []
    /// Whether somebody has begun to encrypt, as of the start.
    var isBegun = false
  }

  /// - Parameter masterKeys: nil: evidence is stored in the clear, unless the database has encrypted evidence already.
  init(database: Database, masterKeys: MasterKeyRing?, logger: Logger) {
    self.database = database
    self.masterKeys = masterKeys
    self.logger = logger
  }

  /// Who has begun to encrypt never falls back.
  func load() async throws {
    let isBegun = try await database.query("select exists (select from evidence_key)") { try $0.next(Bool.self) }[0]
    state.withLock { $0.isBegun = isBegun }
    if masterKeys == nil {
      let what = isBegun ? "cannot be stored nor read" : "is stored in the clear"
      logger.warning("without a master key evidence \(what); set --master-key-file")
    }
  }

  private static let version: UInt8 = 1
  private static let headBytes = 5
  private static let dayMilliseconds: UInt64 = 86_400_000

  /// Bytes with what they belong to.
  struct Body: Sendable {
    let owner: Identifier
    let id: Identifier
    let bytes: [UInt8]
  }

  /// - Parameter body: of a result, with its provider; or of another row whose id is as new.
  /// - Throws: `evidence-key-unavailable`, or a `PostgresError`.
  func sealed(_ body: Body) async throws -> [UInt8] {
    guard let masterKeys else {
      if state.withLock({ $0.isBegun }) { throw Self.noKey }
      return body.bytes
    }
    // The partition of the body goes by its id, and so does the key: they go together.
    let day = Int(body.id.high >> 16 / Self.dayMilliseconds)
    var known = state.withLock { $0.keys[day] }
    if known == nil { known = try await key(of: day, masterKeys) }
    guard let known else { throw Self.noKey }
    let head = Self.head(day)
    let box = try AES.GCM.seal(body.bytes, using: known, authenticating: Self.context(head, body))
    return head + box.combined!
  }

  private static let noKey = Problem(
    .evidenceKeyUnavailable, "The master key of this installation is not here; nothing was stored.",
    headers: [("Retry-After", "60")])

  /// Several instances may ask for the first key of a day at once: one of them makes it.
  private func key(of day: Int, _ masterKeys: MasterKeyRing) async throws -> SymmetricKey? {
    // Once more: another master key may have been put in force in between.
    for _ in 0..<2 {
      if let known = try await keys(of: [day])[day] { return known }
      guard let masterKey = try await masterKeyInForce(masterKeys) else { return nil }
      let wrapped = try masterKey.wrap(SymmetricKey(size: .bits256), day: day)
      try await database.execute(
        """
        insert into evidence_key (day, master_key_id, wrapped)
        select \(day), \(masterKey.id), \(wrapped)
        where coalesce((select master_key_id from evidence_key where day = \(Self.fingerprintDay)), \(masterKey.id))
          = \(masterKey.id)
        on conflict (day) do nothing
        """)
    }
    return try await keys(of: [day])[day]
  }

  /// The one that the key of fingerprints is wrapped by, which is made before any other: whoever has the one to come
  /// does not use it before it is in force. Nil when it is not here.
  private func masterKeyInForce(_ masterKeys: MasterKeyRing) async throws -> MasterKey? {
    let ids = try await database.query("select master_key_id from evidence_key where day = \(Self.fingerprintDay)") {
      try $0.next([UInt8].self)
    }
    guard let id = ids.first else { return masterKeys.newest }
    return await masterKeys.key(id)
  }

  /// The key that the fingerprints of redacted secrets are made with: were it in the database, a number of eleven
  /// digits could be found by trying all. Nil without a master key, or under another one.
  func fingerprintKey() async throws -> SymmetricKey? {
    guard let masterKeys else { return nil }
    return try await key(of: Self.fingerprintDay, masterKeys)
  }
  /// No day: its key is kept for as long as the installation is.
  private static let fingerprintDay = -1

  /// What can be read of these, by id. What was stored in the clear is as it was.
  func opened(_ bodies: [Body]) async throws -> [Identifier: [UInt8]] {
    let days = Set(bodies.compactMap { Self.day(of: $0.bytes) })
    let keys = days.isEmpty ? [:] : try await keys(of: days)
    var opened: [Identifier: [UInt8]] = [:]
    for body in bodies {
      guard let day = Self.day(of: body.bytes) else {
        opened[body.id] = body.bytes
        continue
      }
      guard let key = keys[day] else { continue }
      let head = Array(body.bytes.prefix(Self.headBytes))
      do {
        let box = try AES.GCM.SealedBox(combined: body.bytes.dropFirst(Self.headBytes))
        opened[body.id] = Array(try AES.GCM.open(box, using: key, authenticating: Self.context(head, body)))
      } catch {
        logger.error("evidence is damaged, or not of this result", metadata: ["id": "\(body.id)"])
      }
    }
    return opened
  }

  /// Those of these keys that are there and can be unwrapped.
  private func keys(of days: Set<Int>) async throws -> [Int: SymmetricKey] {
    var found = state.withLock { state in state.keys.filter { days.contains($0.key) } }
    let missing = days.filter { found[$0] == nil }
    if missing.isEmpty { return found }
    let rows = try await database.query(
      "select day, master_key_id, wrapped from evidence_key where day = any(\(missing.sorted()))"
    ) { row in (try row.next(Int.self), try row.next([UInt8].self), try row.next([UInt8].self)) }
    for (day, masterKeyID, wrapped) in rows {
      if let masterKey = await masterKeys?.key(masterKeyID), let key = try? masterKey.unwrap(wrapped, day: day) {
        found[day] = key
        state.withLock { $0.keys[day] = key }
      } else if state.withLock({ $0.reported.insert(day).inserted }) {
        logger.error(
          "evidence of a day cannot be read: its key is under a master key that is not here",
          metadata: ["day": "\(day)", "master-key-id": "\(hexadecimal(masterKeyID))"])
      }
    }
    return found
  }

  // MARK: - The form of a body

  private static func head(_ day: Int) -> [UInt8] {
    [version] + (0..<4).map { UInt8(truncatingIfNeeded: day >> (24 - 8 * $0)) }
  }

  /// Nil for a body in the clear, which begins as JSON does.
  private static func day(of bytes: [UInt8]) -> Int? {
    guard bytes.first == version, bytes.count > headBytes else { return nil }
    return bytes[1..<headBytes].reduce(0) { $0 << 8 | Int($1) }
  }

  private static func context(_ head: [UInt8], _ body: Body) -> [UInt8] { head + body.owner.bytes + body.id.bytes }
}
