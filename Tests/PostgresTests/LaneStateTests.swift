import Testing

@testable import Postgres

/// The order of a lane as a table: what happens, and what must be done about it. No server.
@Suite struct LaneStateTests {
  private typealias Lane = LaneState<Int>

  private static func key(_ sql: String) -> StatementKey { StatementKey(sql: sql, parameterTypes: []) }

  private static func submit(_ number: Int, _ sql: String = "a", mayRetry: Bool = true) -> Lane.Event {
    .submit(number, [key(sql)], mayRetry: mayRetry)
  }

  /// One line for an action, so that a whole exchange is a list of lines.
  private static func text(_ action: Lane.Action) -> String {
    switch action {
    case .send(let payload, let group):
      let dropped = group.deallocates.map { " deallocate \($0)" } ?? ""
      let statements = group.statements.map { "\($0.prepares ? "prepare " : "")\($0.name)" }
      return "send \(payload)\(dropped) \(statements.joined(separator: ", "))"
    case .keepResult: return "keep"
    case .dropResult: return "drop"
    case .none: return "-"
    case .complete(let payload): return "complete \(payload)"
    case .violation: return "violation"
    }
  }

  private func play(_ lane: inout LaneState<Int>, _ exchange: [(LaneState<Int>.Event, String)]) {
    for (index, (event, expected)) in exchange.enumerated() {
      #expect(Self.text(lane.handle(event)) == expected, "event \(index)")
    }
  }

  @Test func theFirstUseOfAStatementPreparesItAndTheNextDoesNot() {
    var lane = LaneState<Int>()
    play(
      &lane,
      [
        (Self.submit(1), "send 1 prepare s1"), (Self.submit(2), "send 2 s1"),
        (Self.submit(3, "b"), "send 3 prepare s2"),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "keep"), (.commandEnd, "-"),
        (.sync, "complete 1"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.sync, "complete 2"),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "keep"), (.commandEnd, "-"),
        (.sync, "complete 3"),
      ])
    #expect(lane.isEmpty)
  }

  @Test func otherParameterTypesAreAnotherStatement() {
    var lane = LaneState<Int>()
    let text = LaneState<Int>.Event.submit(1, [StatementKey(sql: "a", parameterTypes: [25])], mayRetry: true)
    let number = LaneState<Int>.Event.submit(2, [StatementKey(sql: "a", parameterTypes: [20])], mayRetry: true)
    play(&lane, [(text, "send 1 prepare s1"), (number, "send 2 prepare s2")])
  }

  @Test func aFailureIsItsOwnStatementsAlone() {
    var lane = LaneState<Int>()
    play(
      &lane,
      [
        (Self.submit(1), "send 1 prepare s1"), (Self.submit(2), "send 2 s1"),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.failure(sqlState: "22012")), "keep"),
        (.commandEnd, "-"), (.sync, "complete 1"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.sync, "complete 2"),
      ])
  }

  @Test func aFailureToCommitComesBehindTheLastCommandAndIsItsOwnStatementsAlone() {
    var lane = LaneState<Int>()
    play(
      &lane,
      [
        (Self.submit(1), "send 1 prepare s1"), (Self.submit(2), "send 2 s1"),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "keep"), (.commandEnd, "-"),
        (.reply(.failure(sqlState: "53100")), "keep"), (.commandEnd, "-"), (.sync, "complete 1"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.sync, "complete 2"),
      ])
    #expect(lane.isEmpty)
  }

  @Test func aFailedParseIsForgottenAndWhoReliedOnItParsesAgain() {
    var lane = LaneState<Int>()
    play(
      &lane,
      [
        (Self.submit(1), "send 1 prepare s1"), (Self.submit(2), "send 2 s1"),
        (.reply(.failure(sqlState: "42P01")), "keep"), (.commandEnd, "-"), (.reply(.aborted), "drop"),
        (.commandEnd, "-"), (.sync, "complete 1"),
        (.reply(.failure(sqlState: "26000")), "keep"), (.commandEnd, "-"), (.sync, "send 2 prepare s2"),
        (.reply(.failure(sqlState: "42P01")), "keep"), (.commandEnd, "-"), (.reply(.aborted), "drop"),
        (.commandEnd, "-"), (.sync, "complete 2"),
      ])
  }

  @Test func aStalePlanIsPreparedAgainOnceAndTheOldOneDroppedOnce() {
    var lane = LaneState<Int>()
    prepare(&lane)
    play(
      &lane,
      [
        (Self.submit(1), "send 1 s1"), (Self.submit(2), "send 2 s1"),
        (.reply(.failure(sqlState: "0A000")), "keep"), (.commandEnd, "-"), (.sync, "send 1 deallocate s1 prepare s2"),
        (.reply(.failure(sqlState: "0A000")), "keep"), (.commandEnd, "-"), (.sync, "send 2 prepare "),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "drop"), (.commandEnd, "-"),
        (.reply(.failure(sqlState: "0A000")), "keep"), (.commandEnd, "-"), (.sync, "complete 1"),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "keep"), (.commandEnd, "-"),
        (.sync, "complete 2"),
      ])
  }

  @Test func inATransactionAStalePlanFailsButIsForgotten() {
    var lane = LaneState<Int>()
    prepare(&lane)
    play(
      &lane,
      [
        (Self.submit(1, mayRetry: false), "send 1 s1"),
        (.reply(.failure(sqlState: "0A000")), "keep"), (.commandEnd, "-"), (.sync, "complete 1"),
        (Self.submit(2, mayRetry: false), "send 2 prepare s2"),
      ])
  }

  /// Leaves the statement "a" prepared as s1.
  private func prepare(_ lane: inout LaneState<Int>) {
    play(
      &lane,
      [
        (Self.submit(0), "send 0 prepare s1"), (.reply(.success), "drop"), (.commandEnd, "-"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.sync, "complete 0"),
      ])
  }

  @Test func statementsOfOneGroupHaveTheirResultsInTurnAndOneEnd() {
    var lane = LaneState<Int>()
    prepare(&lane)
    play(
      &lane,
      [
        (.submit(1, [Self.key("a"), Self.key("b"), Self.key("b")], mayRetry: false), "send 1 s1, prepare s2, s2"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.reply(.success), "drop"), (.commandEnd, "-"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.reply(.success), "keep"), (.commandEnd, "-"),
        (.sync, "complete 1"), (Self.submit(2, "b"), "send 2 s2"),
      ])
  }

  @Test func whatFollowsAFailureInItsGroupIsNotPreparedAndForgotten() {
    var lane = LaneState<Int>()
    prepare(&lane)
    play(
      &lane,
      [
        (
          .submit(1, [Self.key("a"), Self.key("b"), Self.key("c")], mayRetry: false),
          "send 1 s1, prepare s2, prepare s3"
        ),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.reply(.success), "drop"), (.commandEnd, "-"),
        (.reply(.failure(sqlState: "23505")), "keep"), (.commandEnd, "-"), (.reply(.aborted), "drop"),
        (.commandEnd, "-"), (.reply(.aborted), "drop"), (.commandEnd, "-"), (.sync, "complete 1"),
        (Self.submit(2, "b"), "send 2 s2"), (Self.submit(3, "c"), "send 3 prepare s4"),
      ])
  }

  @Test func aStalePlanInAGroupIsTheOnlyOneForgotten() {
    var lane = LaneState<Int>()
    prepare(&lane)
    play(
      &lane,
      [
        (.submit(1, [Self.key("b"), Self.key("a")], mayRetry: true), "send 1 prepare s2, s1"),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "keep"), (.commandEnd, "-"),
        (.reply(.failure(sqlState: "0A000")), "keep"), (.commandEnd, "-"),
        (.sync, "send 1 deallocate s1 prepare , prepare s3"),
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "drop"), (.commandEnd, "-"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.reply(.success), "drop"), (.commandEnd, "-"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.sync, "complete 1"),
      ])
  }

  @Test func beyondTheBoundStatementsAreParsedEachTime() {
    var lane = LaneState<Int>(preparedMax: 1)
    play(
      &lane,
      [
        (Self.submit(1, "a"), "send 1 prepare s1"), (Self.submit(2, "b"), "send 2 prepare "),
        (Self.submit(3, "b"), "send 3 prepare "), (Self.submit(4, "a"), "send 4 s1"),
      ])
  }

  @Test func anAbandonedStatementKeepsItsPlaceButNobodyIsTold() {
    var lane = LaneState<Int>()
    play(&lane, [(Self.submit(1), "send 1 prepare s1"), (Self.submit(2), "send 2 s1")])
    #expect(lane.abandon { $0 == 1 } == [1])
    #expect(lane.abandon { $0 == 1 } == [])
    play(
      &lane,
      [
        (.reply(.success), "drop"), (.commandEnd, "-"), (.reply(.success), "keep"), (.commandEnd, "-"), (.sync, "-"),
        (.reply(.success), "keep"), (.commandEnd, "-"), (.sync, "complete 2"),
      ])
  }

  @Test func theEndOfAConnectionTellsEveryWaiterOnce() {
    var lane = LaneState<Int>()
    for number in 1...3 { _ = lane.handle(Self.submit(number)) }
    _ = lane.abandon { $0 == 2 }
    #expect(lane.drain() == [1, 3])
    #expect(lane.drain() == [])
    #expect(lane.isEmpty)
    // A new connection knows no prepared statement.
    play(&lane, [(Self.submit(4), "send 4 prepare s2")])
  }

  /// A statement prepared and executed with this reply.
  private static func reached(_ reply: LaneState<Int>.Reply) -> [LaneState<Int>.Event] {
    [submit(1), .reply(.success), .commandEnd, .reply(reply)]
  }

  @Test func whatTheProtocolDoesNotAllowEndsTheConnection() {
    let exchanges: [[LaneState<Int>.Event]] = [
      [.reply(.success)], [.commandEnd], [.sync], [Self.submit(1), .commandEnd], [Self.submit(1), .sync],
      [Self.submit(1), .reply(.success), .reply(.success)], [Self.submit(1), .reply(.aborted)],
      [Self.submit(1), .reply(.success), .commandEnd, .sync],
      [Self.submit(1), .reply(.failure(sqlState: "42601")), .commandEnd, .reply(.success)],
      Self.reached(.failure(sqlState: "53100")) + [.commandEnd, .reply(.failure(sqlState: "53100"))],
      Self.reached(.success) + [.commandEnd, .reply(.aborted)],
      [Self.submit(1), .reply(.success), .commandEnd, .reply(.success), .commandEnd, .reply(.success)],
    ]
    for (index, events) in exchanges.enumerated() {
      var lane = LaneState<Int>()
      var last = ""
      for event in events { last = Self.text(lane.handle(event)) }
      #expect(last == "violation", "exchange \(index)")
    }
  }

  @Test func theQueueKeepsItsOrderOverItsCompactions() {
    var queue = Fifo<Int>()
    var expected = 0
    for number in 0..<1_000 {
      queue.append(number)
      if number % 3 != 0 {
        #expect(queue.popFirst() == expected)
        expected += 1
      }
    }
    #expect(queue.removeAll { $0 % 2 == 0 }.allSatisfy { $0 % 2 == 0 })
    var rest: [Int] = []
    while let number = queue.popFirst() { rest.append(number) }
    #expect(rest == (expected..<1_000).filter { $0 % 2 == 1 })
    #expect(queue.isEmpty && queue.first == nil)
  }

  @Test func delaysDoubleUpToTheLimit() {
    var breaker = Breaker()
    let longest = (0..<8).map { _ in breaker.failed(random: 1) }
    #expect(longest == [50, 100, 200, 400, 800, 1_600, 2_000, 2_000].map { .milliseconds($0) })
    breaker.succeeded()
    #expect(breaker.failed(random: 0) == .milliseconds(25))
  }
}
