import Testing

@testable import HTTPServer

/// Every event in every state.
@Suite struct ExchangeStateTests {
  @Test(arguments: [
    (ExchangeState.reading, ExchangeState.FinishAction.discard, ExchangeState.reading),
    (.running, .keep, .ready),
    (.suspended, .resume, .ready),
    (.ready, .discard, .ready),
    (.replied, .discard, .replied),
  ])
  func aTasksEndResumesASuspendedConnectionOnceAndIsOtherwiseKeptOrTooLate(
    before: ExchangeState, action: ExchangeState.FinishAction, after: ExchangeState
  ) {
    var state = before
    #expect(state.finish() == action)
    #expect(state == after)
  }

  @Test(arguments: [
    (ExchangeState.reading, ExchangeState.ExpiryAction.close, ExchangeState.reading),
    (.running, .nothing, .running),
    (.suspended, .abandon, .ready),
    (.ready, .nothing, .ready),
    (.replied, .nothing, .replied),
  ])
  func aDeadlineClosesWhatIsIncompleteAndAbandonsWhatIsSuspended(
    before: ExchangeState, action: ExchangeState.ExpiryAction, after: ExchangeState
  ) {
    var state = before
    #expect(state.expire() == action)
    #expect(state == after)
  }

  @Test(arguments: [
    (ExchangeState.running, true, ExchangeState.suspended), (.ready, false, .ready), (.replied, false, .replied),
  ])
  func onlyATaskThatStillRunsSuspendsItsConnection(before: ExchangeState, suspends: Bool, after: ExchangeState) {
    var state = before
    #expect(state.pause() == suspends)
    #expect(state == after)
  }

  @Test func aDeadlineAndALateEndOfTheTaskResumeOnce() {
    var state = ExchangeState.reading
    state.start()
    #expect(state.pause() == true)
    #expect(state.expire() == .abandon)
    #expect(state.finish() == .discard)
    state.reply()
    #expect(state.finish() == .discard)
    #expect(state.expire() == .nothing)
  }

  @Test func anAdmissionLeadsBackToReadingAndAHandlerMayFollow() {
    var state = ExchangeState.reading
    state.start()
    #expect(state.pause() == true)
    #expect(state.finish() == .resume)
    state.resumeReading()
    #expect(state == .reading)
    state.start()
    #expect(state.finish() == .keep)
    #expect(state.pause() == false)
  }
}
