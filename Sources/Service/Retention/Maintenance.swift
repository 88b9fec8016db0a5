import Postgres

/// What the owner of the database does to it every day: makes partitions ahead, drops old results, removes leftovers.
///
/// Each step is complete in itself and does nothing the second time, so that it may run beside a service, beside
/// itself, and again after it was cut off.
public struct Maintenance: Sendable {
  /// Results are kept for so many months, and then dropped by whole months; nil: for ever.
  public let retentionMonths: Int?
  /// Only says what would be done.
  public let isDryRun: Bool

  /// What `retentionMonths` may be: a month, so that no result is dropped on its way; a hundred years.
  public static let retentionMonthsRange = 1...1_200

  /// - Precondition: `retentionMonths` is in its range.
  public init(retentionMonths: Int?, isDryRun: Bool = false) {
    precondition(retentionMonths.map(Self.retentionMonthsRange.contains) != false, "retentionMonths is 1 to 1,200")
    self.retentionMonths = retentionMonths
    self.isDryRun = isDryRun
  }

  /// - Parameter report: is told what was done, a line a step.
  func run(on parts: RiskService.Parts, report: (String) -> Void) async throws {
    let now = parts.clock.now()
    let would = isDryRun ? "would be " : ""
    let made =
      isDryRun
      ? try await Partitions.missing(in: parts.database, at: now)
      : try await Partitions.ensure(in: parts.database, at: now)
    report("partitions: \(made) \(would)made")
    try await dropExpired(at: now, parts, report)
    let changes = try await parts.changes.removeOld(at: now, isDryRun: isDryRun)
    report("changes: \(changes) \(would)removed")
    let keys = try await IdempotencyStore(database: parts.database).removeExpired(isDryRun: isDryRun)
    report("idempotency keys: \(keys) \(would)removed")
    let identities = try await parts.retention.removeOldIdentities(at: now, isDryRun: isDryRun)
    report("identities: \(identities) \(would)removed")
    try await parts.horizon.load()
    try await parts.horizon.loadPartitions()
  }

  private func dropExpired(at now: Instant, _ parts: RiskService.Parts, _ report: (String) -> Void) async throws {
    guard let retentionMonths else { return report("results: all are kept, as no retention is set") }
    let expired = try await parts.retention.expired(retentionMonths, at: now)
    if expired.isEmpty { report("results: none is older than \(retentionMonths) months by a whole month") }
    for month in expired {
      if isDryRun {
        report("results: \(try await parts.retention.count(of: month)) of \(month.name) would be dropped")
      } else if let count = try await parts.retention.drop(month, at: now) {
        report("results: \(count) of \(month.name) dropped, and what they contributed carried on")
      }
    }
  }
}

extension RiskService {
  /// Does what is due; as the owner of the tables.
  /// - Parameter report: is told what was done, a line a step.
  public func maintain(_ maintenance: Maintenance, report: (String) -> Void) async throws {
    try await maintenance.run(on: parts, report: report)
  }
}
