internal import CMicroHTTPD
import Glibc
import Logging

/// From a `Response` to what libmicrohttpd sends.
extension Exchange {
  /// Answers; called inside a callback of libmicrohttpd.
  func reply(_ response: Response, closes: Bool = false) -> MHD_Result {
    stage = .replied
    state.reply()
    // A response that cannot be sent is a defect of its handler; nothing of it has left yet, so 500 is still possible.
    do throws(ResponseFault) {
      return try send(response, closes: closes)
    } catch {
      log(error)
      let problem = Problem(.internalError, "the request id leads to the cause in the log")
      return (try? send(problemResponse(problem), closes: closes)) ?? .NO
    }
  }

  /// Answers as the same request was answered before. Without a body both callbacks come in one turn of the loop, so
  /// that the server serves now as it did at the first.
  func reply(_ known: AnswerMemory.Answer) -> MHD_Result {
    stage = .replied
    state.reply()
    let made = try? queue(known.prepared, isNotModified: known.isNotModified)
    return made ?? .NO
  }

  private func queue(_ prepared: PreparedResponse, isNotModified: Bool) throws(ResponseFault) -> MHD_Result {
    let prepared = daemon.isSecure ? try prepared.secureTwin() : prepared
    if isNotModified {
      return try prepared.withNotModified { queue($0, status: 304, bodyBytes: prepared.body.count) }
    }
    return queue(prepared.message, status: prepared.status, bodyBytes: prepared.body.count)
  }

  /// Whether the same request may be answered so again: none that has a body or a trace of its own.
  private func keep(_ prepared: PreparedResponse, isNotModified: Bool, _ reuse: Reuse) {
    guard !section.isEmpty, let route, framing?.body == BodyFraming.none, headers.occurrences(of: "traceparent") == 0
    else { return }
    // Behind a proxy the client stands in the header fields, which are the same, but only a proxy is believed.
    let bound = daemon.trustedProxies.isEmpty ? reuse : reuse.and(Reuse(forOnePeer: true) { true })
    daemon.answers.keep(
      prepared, isNotModified: isNotModified, of: route, for: target, section, from: connection.peer, client,
      at: startedAt, bound)
  }

  private func send(_ response: Response, closes: Bool) throws(ResponseFault) -> MHD_Result {
    // Every answer of a server that stops ends its connection, so that none is idle when the server is gone.
    var closes = closes || daemon.phase != .serving
    let requestID = requestIDHeader(status: response.status)
    let (isGzip, isNotModified) = selection(of: response)
    let isCodable = response.isCodable
    let response = isGzip ? response.gzipped() : response
    var headers = response.headers
    var bytes: [UInt8] = []
    var streamed: StreamedBody?
    switch response.body {
    case .none: break
    case .bytes(let body):
      bytes = body
      if isCodable { headers = headers.varying(on: "Accept-Encoding") }
    case .prepared(let prepared):
      // The short way, for reads: nothing is copied or added, every loop sends from the same memory.
      if headers.isEmpty, notes == nil, requestID == nil, daemon.crossOrigin == nil, !closes,
        response.status == prepared.status
      {
        if let reuse = response.reuse { keep(prepared, isNotModified: isNotModified, reuse) }
        return try queue(prepared, isNotModified: isNotModified)
      }
      bytes = prepared.body
      headers = prepared.headers + headers
    case .stream(let stream):
      // libmicrohttpd 0.9.75 ends chunks after the head of a HEAD, too: nothing may follow on the connection.
      closes = closes || stream.isEndless || methodName == Method.head.rawValue
      if isCodable { headers = headers.varying(on: "Accept-Encoding") }
      streamed = StreamedBody(stream, daemon: daemon, handle: handle, requestID: self.requestID)
    }
    // With the body, which is not sent with this status: the length announced has to be the representation's.
    if isNotModified { headers = ConditionalRequest.headersKept(headers) }
    if daemon.isSecure { headers.append(SecurityHeaders.strictTransport) }
    if let requestID { headers.append(("X-Request-Id", requestID)) }
    if let notes { headers += notes() }
    headers = withCrossOrigin(headers)
    let status = isNotModified ? 304 : response.status
    if let streamed, !isNotModified {
      self.streamed = streamed
      let message = try MessageHandle(status: status, headers: headers, body: streamed, closesConnection: closes)
      return queue(message, status: status, bodyBytes: 0)
    }
    let message = try MessageHandle(status: status, headers: headers, body: bytes, closesConnection: closes)
    return queue(message, status: status, bodyBytes: bytes.count)
  }

  /// On errors too, or the page could not read them; and `Vary` on all, since another origin gets another answer.
  private func withCrossOrigin(
    _ headers: [(name: String, value: String)]
  ) -> [(name: String, value: String)] {
    guard let policy = daemon.crossOrigin else { return headers }
    return headers.varying(on: "Origin") + policy.headers(for: self.headers)
  }

  /// Hands the message to libmicrohttpd, which keeps a reference of its own until it is sent.
  private func queue(_ message: borrowing MessageHandle, status: Int, bodyBytes: Int) -> MHD_Result {
    self.status = status
    let hasBody = methodName != Method.head.rawValue && status != 204 && status != 304
    responseBodyBytes = hasBody ? bodyBytes : 0
    return MHD_queue_response(handle, UInt32(status), message.pointer)
  }

  /// Errors always say their id; a success gives back what the client sent, if it is harmless.
  private func requestIDHeader(status: Int) -> String? {
    if status >= 400 { return requestID.description }
    guard let sent = headers["X-Request-Id"], 1...128 ~= sent.utf8.count,
      sent.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
    else { return nil }
    return sent
  }

  // MARK: - Errors

  func problemResponse(_ problem: Problem) -> Response { problem.response(instance: requestID.description) }

  /// What a handler threw, as an answer.
  func response(for error: any Error) -> Response {
    if let problem = error as? Problem ?? daemon.problem(error) { return problemResponse(problem) }
    log(error)
    return problemResponse(Problem(.internalError, "the request id leads to the cause in the log"))
  }

  /// With the type of the error, which its description may leave out.
  private func log(_ error: any Error) {
    errorLogged = true
    daemon.logger.error(
      "a request failed",
      metadata: [
        "request_id": "\(requestID)", "method": "\(methodName)", "route": "\(route?.pattern ?? "-")",
        "error": "\(String(reflecting: error))",
      ])
  }

  // MARK: - A body that does not end

  /// Ends a chunked upload that goes on after it was refused. libmicrohttpd takes no answer inside a body, but nothing
  /// of this exchange was sent yet, so the socket is ours to write the refusal to before the connection is given up.
  func cutOff() -> MHD_Result {
    // Under TLS the socket is the library's alone.
    if !daemon.isSecure, let refusal, case .bytes(let body) = refusal.body {
      var text = "HTTP/1.1 \(refusal.status) Refused\r\nConnection: close\r\n"
      let headers = withCrossOrigin(refusal.headers + (notes?() ?? []))
      for header in headers + SecurityHeaders.missing(in: headers) { text += "\(header.name): \(header.value)\r\n" }
      text += "X-Request-Id: \(requestID)\r\nContent-Length: \(body.count)\r\n\r\n"
      let bytes = Array(text.utf8) + body
      // The socket does not block, and a full buffer is not waited for: this client is not owed more.
      _ = Glibc.send(connection.descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
      status = refusal.status
      responseBodyBytes = body.count
    }
    leavesBodyUnread = true
    stage = .replied
    state.reply()
    return .NO
  }
}
