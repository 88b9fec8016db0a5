internal import CMicroHTTPD
import Glibc

/// What is decided before the body is read: framing, route, admission, and whether the body may come.
extension Exchange {
  /// The first callback: the head is in memory, nothing of the body was asked for yet, and with `Expect` the client is
  /// still waiting. Framing comes first, because what follows trusts it; routing before admission, because who may do
  /// what depends on the route.
  func readHead(method: UnsafePointer<CChar>, version: UnsafePointer<CChar>) -> MHD_Result {
    daemon.requestsInFlight.add(1, ordering: .relaxed)
    let known = knownMethod(method)
    if known == .get, daemon.phase == .serving {
      let section = HeaderSection.bytes(handle, start: method, version: version)
      if let answer = daemon.answers.answer(to: self.target, section, from: connection.peer, at: startedAt) {
        methodName = Method.get.rawValue
        route = answer.route
        self.known = answer
        client = answer.client(on: connection)
        stage = .body
        return .YES
      }
      if daemon.answers.takes(section) { self.section = Array(section) }
    }
    methodName = known?.rawValue ?? String(cString: method)
    guard let headers = HeaderSection.read(handle, start: method, version: version) else {
      return refuseFraming("a line of the header does not end in CR LF, is folded or holds a NUL")
    }
    self.headers = headers
    client = daemon.trustedProxies.client(of: connection.peer, headers)
    if let sent = headers["X-Request-Id"], let id = RequestID(sent.utf8) { requestID = id }
    do throws(Framing.Fault) {
      framing = try Framing(headers: headers, isHTTP10: strcmp(version, "HTTP/1.0") == 0)
    } catch {
      return refuseFraming(error.detail)
    }
    guard methodName.utf8.allSatisfy(isTokenByte) else { return refuseFraming("the method is not a token") }
    // After the framing, so that a refused body can be dropped and the answer arrives.
    if daemon.phase == .refusing { return refuse(daemon.shuttingDown) }
    let target: Target
    do throws(Target.Fault) {
      target = try Target(self.target)
    } catch {
      // A request line with a space too many, or one that asks for a tunnel: what follows may be no request.
      return refuseFraming(error.detail)
    }
    do throws(Target.Fault) {
      try target.checkPath()
      return try find(known, target)
    } catch {
      return refuse(Problem(.malformedRequest, error.detail))
    }
  }

  private func knownMethod(_ name: UnsafePointer<CChar>) -> Method? {
    // Without a string: GET is what has to be quick.
    if strcmp(name, "GET") == 0 { return .get }
    return Method(rawValue: String(cString: name))
  }

  /// Routes, and asks the route whether it lets the request in.
  /// - Throws: when the query cannot be read. The one fault of parameters that is answered before the admission: a
  ///   head without its query would be no head.
  private func find(_ method: Method?, _ target: Target) throws(Target.Fault) -> MHD_Result {
    switch daemon.router.match(method, target) {
    case .notFound: return refuse(Problem(.notFound, "nothing is served under this path"))
    case .methodNotAllowed(let allow):
      return refuse(
        Problem(.methodNotAllowed, "\(methodName) is not one of \(allow)", headers: [("Allow", allow)]))
    case .options(let allow):
      let granted = daemon.crossOrigin?.preflightHeaders(for: headers, allow: allow) ?? []
      return refuse(with: Response(status: 204, headers: [("Allow", allow)] + granted))
    case .route(let route, let parameters):
      let head = RequestHead(
        requestID: requestID, method: method ?? route.method, target: self.target, pathParameters: parameters,
        query: try target.queryItems(), headers: headers, peer: client)
      self.head = head
      self.route = route
      if let seconds = route.requestDeadlineSeconds { deadline = startedAt + .seconds(seconds) }
      return take(route.admit(head))
    }
  }

  /// Follows a decision about the request. Called inside the first callback, or the same one again after a resume.
  func take(_ admission: Admission) -> MHD_Result {
    switch admission {
    case .refuse(let problem): return refuse(problem)
    case .later(let decide): return wait { .admission(await decide()) }
    case .noting(let notes, let admission):
      self.notes = notes
      return take(admission)
    case .checking(let check, let admission):
      bodyCheck = check
      return take(admission)
    case .direct, .async:
      if let problem = notAcceptable() ?? bodyRefusal(bytesMax: route?.bodyBytesMax ?? 0) { return refuse(problem) }
      handler = admission
      stage = .body
      return .YES
    case .stream(let bytesMax, let handler):
      if let problem = notAcceptable() ?? bodyRefusal(bytesMax: bytesMax) { return refuse(problem) }
      stage = .body
      beginStream(bytesMax: bytesMax, handler)
      return .YES
    }
  }

  /// Why no answer would be acceptable. Before the body: what a write would answer in vain is not done.
  private func notAcceptable() -> Problem? {
    guard let route, !route.produces.isEmpty, !MediaRanges.accept(route.produces, headers.all("Accept")) else {
      return nil
    }
    return Problem(
      .notAcceptable, "Accept excludes \(route.produces.joined(separator: " and ")), which is all there is")
  }

  /// Why the body must not come, from what the head says of it. After the admission: who has no key learns nothing of
  /// limits and types.
  private func bodyRefusal(bytesMax: Int) -> Problem? {
    guard let route, let framing, framing.body != .none else { return nil }
    if case .length(let bytes) = framing.body, bytes > bytesMax || route.contentTypes.isEmpty {
      return tooLarge(route, bytesMax)
    }
    if framing.body == .chunked, route.contentTypes.isEmpty { return tooLarge(route, bytesMax) }
    guard let isPacked = Self.isPacked(headers.all("Content-Encoding")) else {
      return Problem(
        .unsupportedMediaType, "Content-Encoding must be gzip or identity",
        headers: [("Accept-Encoding", "gzip, identity")])
    }
    isBodyPacked = isPacked
    // Parameters are not looked at: JSON is UTF-8 whatever `charset` says.
    let type = headers["Content-Type"]?.prefix { $0 != ";" && $0 != " " && $0 != "\t" }.lowercased()
    guard let type, route.contentTypes.contains(type) else {
      let names = route.contentTypes.joined(separator: ", ")
      return Problem(.unsupportedMediaType, "Content-Type must be \(names)")
    }
    return nil
  }

  func tooLarge(_ route: Route, _ bytesMax: Int) -> Problem {
    route.contentTypes.isEmpty
      ? Problem(.bodyTooLarge, "this resource takes no body") : .bodyTooLarge(bytesMax, unpacked: false)
  }

  // MARK: - Refusals

  /// Where the request ends is in doubt, so nothing behind it may be read as another one.
  private func refuseFraming(_ detail: String) -> MHD_Result {
    leavesBodyUnread = true
    return reply(problemResponse(Problem(.malformedRequest, detail)), closes: true)
  }

  private func refuse(_ problem: Problem) -> MHD_Result { refuse(with: problemResponse(problem)) }

  /// Answers without a handler. An answer in this very callback makes libmicrohttpd close the connection, so a short
  /// body is dropped first and the connection kept; a client that waits for `100 Continue`, or that would send much or
  /// nobody knows how much, is answered at once.
  private func refuse(with response: Response) -> MHD_Result {
    let mayDrop =
      switch framing?.body {
      case .length(let bytes): bytes <= daemon.limits.refusedBodyBytesMax && framing?.expectsContinue == false
      case .chunked, nil: false
      case .some(.none): true
      }
    guard mayDrop else {
      leavesBodyUnread = true
      return reply(response, closes: true)
    }
    refusal = response
    stage = .body
    return .YES
  }
}
