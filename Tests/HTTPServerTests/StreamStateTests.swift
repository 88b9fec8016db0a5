import Testing

@testable import HTTPServer

/// Every event in every state.
@Suite struct StreamStateTests {
  @Test(arguments: [
    (StreamState.idle, StreamState.FinishAction.discard, StreamState.idle),
    (.running, .keep, .idle),
    (.suspended, .resume, .idle),
    (.ended, .discard, .ended),
  ])
  func aPieceResumesASuspendedConnectionOnceAndIsOtherwiseKeptOrTooLate(
    before: StreamState, action: StreamState.FinishAction, after: StreamState
  ) {
    var state = before
    #expect(state.finish() == action)
    #expect(state == after)
    // Whatever comes second finds nothing to resume.
    #expect(state.finish() == .discard)
  }

  @Test(arguments: [(StreamState.running, true, StreamState.suspended), (.idle, false, .idle), (.ended, false, .ended)])
  func onlyAPieceThatIsBeingMadeSuspendsTheConnection(before: StreamState, suspends: Bool, after: StreamState) {
    var state = before
    #expect(state.pause() == suspends)
    #expect(state == after)
  }

  @Test(arguments: [StreamState.idle, .running, .suspended])
  func whatComesAfterTheEndIsTooLate(before: StreamState) {
    var state = before
    state.end()
    #expect(state.finish() == .discard)
    #expect(state.pause() == false)
  }
}
