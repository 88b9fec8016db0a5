import Foundation
import TestHarness
import Testing

@testable import Service

/// The plans by which PostgreSQL runs the service's statements on a million results, as it tells them itself: whatever
/// the service runs is looked at, so that a changed statement is a changed test.
@Suite(.serialized) struct RecordedPlanTests {
  /// Statements that may read large tables from end to end: what each begins with, and what else is in it.
  private static let whole: [(beginning: String, part: String, why: String)] = [
    ("select provider_id, check_id,", "union select", "a backfill reads a provider that has a quarter of all results"),
    ("select count(*) from result_", "from result_", "maintenance counts what it drops"),
    ("select v.recorded_at, d.id,", "where true", "a start loads every dispute"),
    (
      "select v.recorded_at, d.id,", "where d.provider_id = any",
      "what is void joins the disputes of providers with many"
    ),
    ("select distinct on (provider_id) version,", "from score_event", "a start loads the last event of each"),
    ("with known as materialized", "insert into carried_cell", "maintenance folds a month"),
    ("with place as materialized", "update evidence_cell", "a void in bulk folds the cells of many"),
    ("with selected as materialized", "insert into void", "a void in bulk looks up what is void already"),
  ]

  /// What each index of the tables that grow is there for: a statement that uses it, by a part of its text.
  private static let purposes = [
    "result_pkey": "from result where provider_id = $1 and id >=",
    "result_found": "where r.id = $1",
    "result_evidence_pkey": "from result_evidence e where",
    "result_identity_pkey": "insert into result_identity",
    "result_identity_result": "delete from result_identity",
    "evidence_cell_pkey": "insert into evidence_cell as cell",
    "carried_cell_pkey": "from carried_cell where provider_id = $",
    "carried_cell_voided": "delete from carried_cell where voided_at <=",
    "void_pkey": "and not exists (select from void v where",
    "erasure_pkey": "from erasure x where",
    "dispute_pkey": "from dispute d left join void v",
    "dispute_open": "insert into dispute",
    "dispute_result": "select d.id::text || ' ' || d.status from dispute d",
    "dispute_id": "from dispute d where d.id = $1",
    "dispute_status": "from dispute d where d.id > $1 and d.status =",
    "idempotency_key_pkey": "insert into idempotency_key",
    "idempotency_key_claimed_at": "delete from idempotency_key where claimed_at <=",
    "published_score_pkey": "insert into published_score",
    "published_score_version_key": "from published_score where version >",
    "score_event_pkey": "from score_event where provider_id =",
    "score_event_version": "from score_event where version >",
    "score_event_recorded_at": "from score_event where recorded_at <",
    "change_pkey": "from change where version >",
    "waiver_provider": "from waiver where provider_id = $1",
    "incident_provider": "from incident where provider_id = $1",
  ]
  /// They keep ids apart, and nothing is looked up in them.
  private static let constraints: Set<String> = ["waiver_pkey", "incident_pkey"]

  @Test(.timeLimit(.minutes(15))) func everyStatementOnALargeTableHasThePlanItIsMeantToHave() async throws {
    let (plans, database) = try await PlanSeeds.plans { try await PlannedWork(instance: $0).run() }
    #expect(database.large.isSuperset(of: ["result_identity", "evidence_cell", "carried_cell", "void", "dispute"]))
    #expect(database.large.isSuperset(of: ["score_event", "change", "idempotency_key"]))

    // No large table is read whole, but where that is meant.
    var meant: Set<Int> = []
    for plan in plans where !plan.scannedWhole.isDisjoint(with: database.large) {
      let index = Self.whole.firstIndex { plan.sql.hasPrefix($0.beginning) && plan.sql.contains($0.part) }
      if let index { meant.insert(index) }
      #expect(index != nil, "\(plan.scannedWhole.intersection(database.large).sorted()): \(plan.sql)")
    }
    for (index, whole) in Self.whole.enumerated() { #expect(meant.contains(index), "\(whole.why): not any more?") }

    // Every index of a table that grows serves a statement.
    let growing = database.indexes.filter { !$0.value.isSmall }.mapValues(\.parent)
    #expect(Set(growing.values).subtracting(Self.purposes.keys).subtracting(Self.constraints) == [])
    for (index, part) in Self.purposes {
      let users = plans.filter { $0.sql.contains(part) }
      #expect(!users.isEmpty, "no statement has: \(part)")
      #expect(users.contains { $0.indexes.contains { growing[$0] == index } }, "\(index) is not used by: \(part)")
    }

    // An id is a time, so one result is in one month, and what is newer than a time is not in the months before.
    let one = plans.filter { $0.sql.contains("where r.id = $1") }
    #expect(!one.isEmpty && one.allSatisfy { $0.partitions.count == 2 })
    let inserted = plans.filter { $0.sql.contains("r.received_at >= $1 and r.id >= $2") }
    #expect(!inserted.isEmpty && inserted.allSatisfy { $0.partitions.count < database.monthsCount / 2 })
  }
}
