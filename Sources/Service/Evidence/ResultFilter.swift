import JSON
import Postgres
import RiskModel

/// Which results of a provider a list shows.
struct ResultFilter: Sendable {
  let provider: Identifier
  let check: String?
  let source: Identifier?
  /// The source that the caller may read; nil when it may read all.
  let ownSource: Identifier?
  let outcome: RiskModel.Outcome?
  let target: String?
  /// Empty: results that name no model.
  let model: String?
  let runID: String?
  /// Bounds of `observed_at`: from here on, and before there.
  let since, until: Instant?
  let receivedSince: Instant?
  /// Only void ones, or only those that are not.
  let voided: Bool?
  /// The last id of the page before.
  let before: Identifier?
  let limit: Int

  /// - Throws: every fault of the query.
  init(_ parameters: Parameters, of provider: Identifier, ownSource: Identifier?, parts: RiskService.Parts) throws {
    var query = QueryFields(parameters)
    self.provider = provider
    check = query.optional("check") { field in
      let id = try field.string()
      guard parts.catalogue.methodology.checkIndex(id) != nil else {
        throw field.fault("no such check; GET /v1/checks lists them")
      }
      return id
    }
    source = query.optional("source") { field in
      guard let source = parts.registry.source(try field.string()) else {
        throw field.fault("no source has this id or slug")
      }
      return source.id
    }
    self.ownSource = ownSource
    outcome = query.optional("outcome") { try $0.oneOf(RiskModel.Outcome.self) }
    target = query.optional("target") { try TargetAddress(try $0.string()).text }
    model = query.optional("model") { try $0.string(bytesMax: 128) }
    runID = query.optional("run_id") { try $0.string(bytesMin: 1, bytesMax: 200) }
    since = query.optional("since", Self.instant)
    until = query.optional("until", Self.instant)
    receivedSince = query.optional("received_since", Self.instant)
    voided = query.optional("voided", ProbeResultRoutes.flag)
    before = query.cursor { Identifier(parsing: $0) }
    limit = query.limit()
    try query.finish()
  }

  /// Any time will do for a bound, also one to come.
  static func instant(_ field: JSONField) throws -> Instant {
    guard let instant = Instant(rfc3339: try field.string()) else {
      throw field.fault("must be a time as RFC 3339 writes it, such as 2026-11-23T08:00:00.000Z")
    }
    return instant
  }

  /// The least id that the results can have. Ids begin with the time of receipt, and none is received more than the
  /// tolerated difference of clocks before it is observed; so both bounds keep old partitions from being read.
  private var idMin: Identifier {
    let observed = since.map { $0 + -ProbeResultDecoder.clockSkewMillisecondsMax }
    let earliest = [observed, receivedSince].compactMap { $0?.milliseconds }.max() ?? 0
    return Identifier(leastAt: Instant(milliseconds: earliest))
  }

  /// So many of a provider's results are looked through for one page: what few of them pass would else be looked for in
  /// all of them. A page may therefore be short, or empty, and still not be the last.
  static let scannedCountMax = 10_000

  /// Newest first. One provider's ids are in the primary key, read backwards from the last page's end; the body is
  /// fetched by key for each row that is sent, so that no join can tempt the planner to read bodies in bulk.
  /// One more than asked for tells whether another page follows.
  var query: Query {
    """
    select \(unsafeRaw: ResultStore.resultColumns),
      (select e.body from result_evidence e
       where e.provider_id = r.provider_id and e.id = r.id and e.id >= \(idMin) and e.id < \(idEnd)),
      \(unsafeRaw: ResultStore.decisionColumns)
    from (
      select * from result where provider_id = \(provider) and id >= \(idMin) and id < \(idEnd)
      order by id desc limit \(Self.scannedCountMax)
    ) r left join lateral (
      select * from void v where v.provider_id = \(provider) and v.result_id = r.id limit 1
    ) v on true left join lateral (
      select * from erasure x where x.provider_id = \(provider) and x.result_id = r.id limit 1
    ) x on true
    where (\(check == nil) or r.check_id = \(check))
      and (\(source == nil) or r.source_id = \(source))
      and (\(ownSource == nil) or r.source_id = \(ownSource))
      and (\(outcome == nil) or r.outcome = \(outcome?.rawValue))
      and (\(target == nil) or r.target = \(target))
      and (\(model == nil) or r.model = \(model))
      and (\(runID == nil) or r.run_id = \(runID))
      and (\(since == nil) or r.observed_at >= \(since?.timestamp))
      and (\(voided == nil) or (v.result_id is not null) = \(voided))
      and (\(until == nil) or r.observed_at < \(until?.timestamp))
    order by r.id desc limit \(limit + 1)
    """
  }

  /// The last result that the query looked at, if there may be more behind it.
  var scanEnd: Query {
    """
    select id from result where provider_id = \(provider) and id >= \(idMin) and id < \(idEnd)
    order by id desc offset \(Self.scannedCountMax - 1) limit 1
    """
  }

  private var idEnd: Identifier { before ?? Identifier(high: .max, low: .max) }
}
