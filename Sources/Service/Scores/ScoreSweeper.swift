import Logging
import Postgres

/// Publishes scores on behalf of all instances: whichever holds the lock.
///
/// The lock is an advisory one of a session, and what it guards is written in that session, so an instance that lost
/// it cannot write. It ends with its session: when an instance dies, another goes on within seconds. Behind a pooler
/// that hands a session from client to client the lock tells nothing; then two may do the same work, and the version
/// that each publication depends on keeps them from storing it twice.
struct ScoreSweeper: Sendable {
  let database: Database
  let publisher: ScorePublisher
  let logger: Logger

  /// Any number that no other program uses as an advisory lock in the same database; these are the bytes "rrscores".
  private static let lockKey: Int64 = 0x7272_7363_6F72_6573
  /// How often an instance that does not hold the lock asks for it.
  private static let retryMilliseconds = 1_000

  /// Until the task is cancelled.
  func run() async {
    var wasLost = false
    while !Task.isCancelled {
      do {
        try await database.withConnection { connection in
          guard try await isLocked(connection) else { return }
          // Whoever has the session has the lock.
          connection.closeWhenDone()
          wasLost = false
          try await sweep(on: connection)
        }
      } catch {
        if !wasLost { logger.warning("scores are not published now", metadata: ["error": "\(error)"]) }
        wasLost = true
      }
      try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
    }
  }

  private func isLocked(_ connection: Connection) async throws -> Bool {
    try await connection.query("select pg_try_advisory_lock(\(Self.lockKey))") { try $0.next(Bool.self) }[0]
  }

  private func sweep(on connection: Connection) async throws {
    try await publisher.catchUp()
    while !Task.isCancelled {
      let begin = ContinuousClock.now
      await publisher.refresh()
      try await publisher.publish(on: connection)
      try? await Task.sleep(for: RiskService.rest(after: ContinuousClock.now - begin))
    }
  }
}
