import HTTPServer
import Postgres
import Synchronization

/// What this process knows of how far back results are kept, and how far ahead there is room for them.
final class Horizon: Sendable {
  private let database: Database
  private let state = Mutex<(horizon: Instant?, partitionsUntil: Instant?)>((nil, nil))

  static let partitionsEverySeconds = 60

  init(database: Database) { self.database = database }

  /// Results received before were dropped; nil as long as none were.
  var instant: Instant? { state.withLock { $0.horizon } }

  /// Up to when results have a partition to go to; nil before it was read.
  var partitionsUntil: Instant? { state.withLock { $0.partitionsUntil } }

  func load() async throws {
    let stored = try await stored()
    state.withLock { $0.horizon = stored }
  }

  func loadPartitions() async throws {
    let until = try await database.query("select max(until) from result_partition where parent = 'result'") {
      try $0.next(Timestamp?.self).map(Instant.init)
    }[0]
    state.withLock { $0.partitionsUntil = until }
  }

  /// As it is stored now. It only grows, so that whatever was read before holds from there on.
  func stored() async throws -> Instant? {
    try await database.query("select horizon from retention") { try $0.next(Timestamp?.self).map(Instant.init) }[0]
  }

  /// The problem that a result of this id cannot be had: it may be too old to be kept, or never was.
  func absent(_ text: String) -> Problem {
    if let horizon = instant, let id = Identifier(anyCase: text), id < Identifier(leastAt: horizon) {
      return .resultGone(id, horizon)
    }
    return Problem(.notFound, "No probe result has the id \"\(text)\".")
  }
}

extension Problem {
  /// Of an instant before the horizon.
  static func evidenceGone(_ horizon: Instant) -> Problem {
    Problem(
      .gone,
      "Results received before \(horizon.rfc3339) are no longer kept one by one: that is the earliest instant that can "
        + "be asked for.")
  }

  /// Of a result before the horizon. What it contributed is carried on in its cell, which cannot forget it any more.
  static func resultGone(_ id: Identifier, _ horizon: Instant) -> Problem {
    Problem(
      .gone, "A result \(id) would have been received before \(horizon.rfc3339), and those are no longer kept.")
  }
}
