internal import CMicroHTTPD
import EventLoop
import Glibc
import JSON

/// One request and its answer, from the request line to libmicrohttpd's notice that it is over.
///
/// Unchecked: everything here happens on the thread of its loop. The library's callbacks run there, tasks prefer the
/// loop and one that ends elsewhere hops back before it touches an exchange.
final class Exchange: @unchecked Sendable {
  /// What the next callback of libmicrohttpd means.
  enum Stage {
    case requestLine
    case admission
    case body
    case handler
    case replied
  }

  /// What a task came to.
  enum Outcome: Sendable {
    case admission(Admission)
    case response(Response)
    case failure(any Error)
    /// The task was given up on.
    case abandoned(Problem)
  }

  let daemon: Daemon
  let connection: Connection
  let handle: OpaquePointer
  let target: String
  let startedAt: ContinuousClock.Instant
  var deadline: ContinuousClock.Instant

  var stage = Stage.requestLine
  var state = ExchangeState.reading
  var methodName = ""
  var requestID: RequestID
  var framing: Framing?
  var head: RequestHead?
  var route: Route?
  var headers = Headers([])
  /// Who sent the request.
  var client: Peer

  /// Set when the request is refused but its body still has to be dropped.
  var refusal: Response?
  var handler: Admission?
  /// What the admission demands of the body as it was sent.
  var bodyCheck: (@Sendable ([UInt8]) throws(Problem) -> Void)?
  /// Headers of the answer that the admission asked for.
  var notes: (@Sendable () -> [(name: String, value: String)])?
  /// What the same request was answered with before.
  var known: AnswerMemory.Answer?
  /// Version and fields, to recognise the same request again; empty when its answer is not to be kept.
  var section: [UInt8] = []
  var outcome: Outcome?
  var task: Task<Void, Never>?
  /// The body of the request, while it is read as it comes.
  var incoming: IncomingBody?
  var streamBytesMax = 0
  /// By how much the deadline was put off because bytes came.
  var creditedSeconds = 0.0
  /// Of the body, since the handler was done with it.
  var bytesDropped = 0
  /// The body of the answer, while one is made as it is sent.
  var streamed: StreamedBody?

  var body: [UInt8] = []
  /// The body comes in gzip.
  var isBodyPacked = false
  var bodyBytesReceived = 0
  var status = 0
  var responseBodyBytes = 0
  var errorLogged = false
  /// The connection ends with part of the body unread: it is closed gently, or the client might lose the answer.
  var leavesBodyUnread = false

  init(daemon: Daemon, connection: Connection, handle: OpaquePointer, target: String) {
    self.daemon = daemon
    self.connection = connection
    self.handle = handle
    self.target = target
    client = connection.peer
    startedAt = .now
    deadline = startedAt + .seconds(daemon.limits.requestDeadlineSeconds)
    requestID = RequestID(using: &daemon.requestIDs)
  }

  // MARK: - libmicrohttpd's access handler

  /// Called with the head, with each piece of the body, once after the body, and again after every resume.
  func handle(
    method: UnsafePointer<CChar>, version: UnsafePointer<CChar>, upload: UnsafePointer<CChar>?,
    uploadBytes: UnsafeMutablePointer<Int>
  ) -> MHD_Result {
    switch stage {
    case .requestLine:
      stage = .admission
      return readHead(method: method, version: version)
    case .admission: return takeOutcome()
    case .body:
      guard uploadBytes.pointee == 0 else {
        let bytes = UnsafeRawBufferPointer(start: upload, count: uploadBytes.pointee)
        uploadBytes.pointee = 0
        return receive(bytes)
      }
      stage = .handler
      return incoming == nil ? runHandler() : endStream()
    case .handler: return takeOutcome()
    case .replied: return .NO
    }
  }

  /// Takes a piece of the body. libmicrohttpd accepts no answer here, so a refusal waits for the end of the body.
  private func receive(_ bytes: UnsafeRawBufferPointer) -> MHD_Result {
    bodyBytesReceived += bytes.count
    if let incoming { return receive(bytes, incoming) }
    guard refusal == nil, let route else {
      // A declared body that is refused was let in because it is short; only a chunked one can grow beyond that.
      let allowed = (route?.bodyBytesMax ?? 0) + daemon.limits.refusedBodyBytesMax
      return bodyBytesReceived <= allowed ? .YES : cutOff()
    }
    guard bodyBytesReceived <= route.bodyBytesMax else {
      body = []
      refusal = problemResponse(tooLarge(route, route.bodyBytesMax))
      return .YES
    }
    if body.isEmpty, case .length(let total) = framing?.body {
      // Not more than has some sign of coming: a header must not be enough to take much memory.
      body.reserveCapacity(min(total, max(bytes.count, Self.reservedBodyBytesMax)))
    }
    body.append(contentsOf: bytes)
    return .YES
  }
  private static let reservedBodyBytesMax = 1024 * 1024

  /// The last callback: the request is complete, and an answer now keeps the connection.
  private func runHandler() -> MHD_Result {
    if let known { return reply(known) }
    if let refusal { return reply(refusal) }
    guard let head, let route, let handler else { return .NO }
    let body = body
    self.body = []
    if isBodyPacked || bodyCheck != nil { return runHandler(handler, head: head, sent: body, route: route) }
    return run(handler, Request(head: head, body: body))
  }

  func run(_ handler: Admission, _ request: Request) -> MHD_Result {
    switch handler {
    case .direct(let handler):
      do {
        let response = try handler(request)
        if isPackedElsewhere(response) { return wait { .response(await self.packed(response)) } }
        return reply(response)
      } catch {
        return reply(response(for: error))
      }
    case .async(let handler):
      return wait {
        do { return .response(await self.packed(try await handler(request))) } catch { return .failure(error) }
      }
    case .stream, .refuse, .later, .noting, .checking: return .NO
    }
  }

  // MARK: - Tasks

  /// Starts `work` on the loop and suspends the connection, unless the work never waited.
  func wait(for work: @escaping @Sendable () async -> Outcome) -> MHD_Result {
    let loop = daemon.loop
    state.start()
    let task = Task.immediate(executorPreference: loop) {
      let outcome = await work()
      // The preference brings it back to the loop; this only guards against a handler that changed that.
      if loop.isCurrent { self.finish(outcome) } else { loop.execute { self.finish(outcome) } }
    }
    guard state.pause() else { return takeOutcome() }
    self.task = task
    MHD_suspend_connection(handle)
    return .YES
  }

  /// On the loop, in the task or behind it. The answer itself waits for the callback that the resume brings about:
  /// queued from here it would run the library's state machine in the middle of someone else's turn.
  private func finish(_ outcome: Outcome) {
    switch state.finish() {
    case .keep: self.outcome = outcome
    case .resume:
      self.outcome = outcome
      task = nil
      daemon.resume(handle)
    case .discard: break
    }
  }

  func takeOutcome() -> MHD_Result {
    // A connection that nobody resumed is not called; should it be, it is cut rather than answered wrongly.
    guard let outcome else { return .NO }
    self.outcome = nil
    switch outcome {
    case .admission(let admission):
      state.resumeReading()
      return take(admission)
    case .response(let response): return reply(response)
    case .failure(let error): return reply(response(for: error))
    // During an admission the body was not read, and might never come.
    case .abandoned(let problem): return reply(problemResponse(problem), closes: stage == .admission)
    }
  }

  /// The deadline has passed, or the server gives up waiting for the handler.
  func expire(_ problem: @autoclosure () -> Problem) {
    switch state.expire() {
    case .close:
      connection.cut()
      incoming?.fail(problem())
    case .abandon:
      outcome = .abandoned(problem())
      task?.cancel()
      task = nil
      daemon.resume(handle)
    case .nothing: break
    }
  }

  // MARK: - The end

  /// libmicrohttpd has sent the answer or given the connection up.
  func complete(isComplete: Bool) {
    let now = ContinuousClock.now
    connection.exchange = nil
    connection.idleSince = now
    // A task that was given up may still run, and holds this object; what it comes to goes nowhere.
    state.reply()
    task?.cancel()
    task = nil
    incoming?.fail(CancellationError())
    incoming = nil
    if let streamed {
      responseBodyBytes = streamed.bytesSent
      streamed.end()
    }
    guard stage != .requestLine else { return }
    if leavesBodyUnread { daemon.lingering.add(connection.descriptor) }
    daemon.requestsInFlight.subtract(1, ordering: .relaxed)
    daemon.observe(
      RequestSummary(
        method: methodName, route: route?.pattern, routeIndex: route?.index, loop: daemon.number, status: status,
        duration: now - startedAt,
        requestBodyBytes: bodyBytesReceived, responseBodyBytes: responseBodyBytes,
        isComplete: isComplete && status != 0, isRepeated: known != nil, peer: client,
        traceParent: TraceParent.valid(in: headers), errorLogged: errorLogged, requestID: requestID))
  }
}
