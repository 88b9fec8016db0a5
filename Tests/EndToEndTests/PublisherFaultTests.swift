import Foundation
import TestHarness
import Testing

/// Of two instances the one that publishes scores is killed, again and again.
@Suite struct PublisherFaultTests {
  private static let providers = (0..<6).map { "relay-\($0)" }
  private static let checks = ["encryption.hsts-missing", "backdoor.tool-call-rewrite", "controls.admin-panel-exposed"]

  /// What an event says of a score.
  private struct State: Equatable {
    let provisional: Double?
    let grade: String?
    let verdict: String?
    init(_ json: JSON) {
      provisional = json["provisional_score"].double
      grade = json["grade"].string
      verdict = json["verdict"].string
    }
  }

  @Test(.timeLimit(.minutes(60))) func theOtherTakesOverAndNoEventIsLostOrStoredTwice() async throws {
    let (first, second) = (RunningService(), RunningService())
    try await first.start()
    let key = try await first.createKey()
    // By this name its sessions are known.
    let arguments = ["--database-url", try first.databaseURL + " application_name=second"]
    try await second.start(arguments: arguments)
    let clients = [first, second].map { $0.client(key: key).unrecorded }
    for slug in Self.providers {
      let body = #"{"slug":"\#(slug)","name":"R","hosts":["\#(slug).example"]}"#
      #expect(try await clients[0].post("/v1/providers", body).status == 201)
    }
    #expect(try await clients[0].post("/v1/sources", #"{"slug":"lab","name":"L","trust":1}"#).status == 201)
    let stopped = Flag()
    async let posting: Void = post(to: clients, until: stopped)
    for _ in 0..<Soak.count(short: 3, long: 20) {
      let holder = try await waitFor("a publisher") { try await publisher(first) }
      let before = try await count(first)
      _ = try await waitFor("events") { try await count(first) > before ? true : nil }
      try await Task.sleep(for: .milliseconds(.random(in: 0...300)))
      let killed = holder == "second" ? second : first
      #expect(await killed.end(SIGKILL) == -SIGKILL)
      let after = try await count(first)
      _ = try await waitFor("the other to publish") {
        guard let next = try await publisher(first), next != holder else { return nil as Bool? }
        return try await count(first) > after ? true : nil
      }
      try await killed.start(arguments: killed === second ? arguments : [])
    }
    stopped.set()
    await posting
    for slug in Self.providers { try await expectChain(of: slug, clients) }
    #expect(await second.end(SIGTERM) == 0)
    #expect(await first.end(SIGTERM) == 0)
  }

  /// Moves scores up and down, through whichever instance answers.
  private func post(to clients: [APIClient], until stopped: Flag) async {
    var number = 0
    while !stopped.isSet {
      let result: [String: Any] = [
        "provider": Self.providers[number % Self.providers.count], "source": "lab", "external_id": "\(number)",
        "check": Self.checks.randomElement()!, "outcome": Bool.random() ? "pass" : "fail",
        "observed_at": Date().formatted(.iso8601),
      ]
      for client in clients.shuffled() where !stopped.isSet {
        if let answer = try? await client.post("/v1/probe-results", object: result), answer.status < 300 { break }
      }
      number += 1
      try? await Task.sleep(for: .milliseconds(20))
    }
  }

  /// The name that the holder of the publishers' advisory lock goes by.
  private func publisher(_ service: RunningService) async throws -> String? {
    // ScoreSweeper's number: the bytes "rrscores".
    let name = try await service.sql(
      """
      select application_name from pg_stat_activity join pg_locks using (pid)
      where locktype = 'advisory' and granted and (classid::int8 << 32) + objid::int8 = \(0x7272_7363_6F72_6573)
      """)
    return name.isEmpty ? nil : name
  }

  private func count(_ service: RunningService) async throws -> Int {
    Int(try await service.sql("select count(*) from score_event")) ?? 0
  }

  /// Each event begins where the one before ended, and the last ends where the score is. An event that was stored
  /// twice or was lost would break the chain.
  private func expectChain(of slug: String, _ clients: [APIClient]) async throws {
    func events() async throws -> [JSON] {
      var (events, cursor) = ([JSON](), "")
      while true {
        let page = try await clients[0].get("/v1/providers/\(slug)/score/events?limit=500\(cursor)").json
        events += page["items"].array
        guard let next = page["next_cursor"].string else {
          return events.sorted { $0["version"].integer! < $1["version"].integer! }
        }
        cursor = "&cursor=\(next)"
      }
    }
    for client in clients {
      _ = try await waitFor("\(slug) as it was last published") {
        let score = State(try await client.get("/v1/providers/\(slug)/score").json)
        guard let last = try await events().last.map({ State($0["after"]) }), let shown = score.provisional,
          let published = last.provisional
        else { return nil as Bool? }
        let isSame = last.grade == score.grade && last.verdict == score.verdict && abs(shown - published) < 1
        return isSame ? true : nil
      }
    }
    let all = try await events()
    #expect(all.count > 1 && Set(all.map { $0["version"].integer }).count == all.count)
    #expect(all.first?["before"].isNull == true)
    for (earlier, later) in zip(all, all.dropFirst()) {
      #expect(State(later["before"]) == State(earlier["after"]), "\(slug): \(earlier) \(later)")
    }
  }
}
