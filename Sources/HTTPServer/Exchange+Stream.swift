internal import CMicroHTTPD
import EventLoop

/// Requests whose handler reads the body while it comes.
extension Exchange {
  /// Starts the handler. Inside the callback that is about the head.
  func beginStream(
    bytesMax: Int, _ handler: @escaping @Sendable (Request, inout BodyReader) async throws -> Response
  ) {
    guard let head else { return }
    let incoming = IncomingBody(daemon: daemon, handle: handle)
    self.incoming = incoming
    streamBytesMax = bytesMax
    incoming.onRelease = { [unowned self] held in deadline += held }
    let (loop, isPacked) = (daemon.loop, isBodyPacked)
    task = Task.immediate(executorPreference: loop) {
      var reader = BodyReader(incoming, isPacked: isPacked, bytesMax: bytesMax)
      let outcome: Outcome
      do {
        outcome = .response(await self.packed(try await handler(Request(head: head), &reader)))
      } catch {
        outcome = .failure(error)
      }
      if loop.isCurrent { self.finishStream(outcome) } else { loop.execute { self.finishStream(outcome) } }
    }
  }

  /// Takes a piece. An answer that is there before the body has ended waits for that: libmicrohttpd takes none here.
  func receive(_ bytes: UnsafeRawBufferPointer, _ incoming: IncomingBody) -> MHD_Result {
    guard let outcome else {
      // Unpacked it is counted by the reader, and is never shorter by as much as would matter.
      guard bodyBytesReceived <= streamBytesMax else {
        incoming.fail(Problem.bodyTooLarge(streamBytesMax, unpacked: false))
        return .YES
      }
      let pace = Double(bodyBytesReceived) / Double(daemon.limits.bodyBytesPerSecondMin)
      deadline += .seconds(pace - creditedSeconds)
      creditedSeconds = pace
      incoming.append(bytes)
      return .YES
    }
    bytesDropped += bytes.count
    guard bytesDropped > daemon.limits.refusedBodyBytesMax else { return .YES }
    switch outcome {
    case .response(let response): refusal = response
    case .failure(let error): refusal = response(for: error)
    case .abandoned(let problem): refusal = problemResponse(problem)
    case .admission: break
    }
    return cutOff()
  }

  /// The body is complete. Inside the callback that says so.
  func endStream() -> MHD_Result {
    if outcome != nil { return takeOutcome() }
    let limit = Duration.seconds(route?.requestDeadlineSeconds ?? daemon.limits.requestDeadlineSeconds)
    deadline = .now + limit
    state.start()
    incoming?.end()
    // What the end brought about runs on the loop, behind this.
    if state.pause() { MHD_suspend_connection(handle) }
    return .YES
  }

  /// On the loop, in the task or behind it.
  private func finishStream(_ outcome: Outcome) {
    switch state {
    case .replied: return
    case .reading:
      self.outcome = outcome
      // Whatever still comes is dropped, so that the end of the body, and the answer, arrive.
      incoming?.fail(CancellationError())
    case .running, .suspended, .ready:
      guard self.outcome == nil else { return }
      self.outcome = outcome
      if state.finish() == .resume { daemon.resume(handle) }
    }
    task = nil
  }
}
