internal import CMicroHTTPD

/// Bodies in gzip, as they come and as they go, and which of both a client gets.
extension Exchange {
  /// What a route of small bodies can be sent is unpacked and hashed in a fraction of a millisecond; more is dealt with
  /// elsewhere.
  private static let unpackedBytesOnLoopMax = 256 * 1024

  // MARK: - Requests

  /// Whether a body in these codings can be read; nil for one that cannot.
  static func isPacked(_ fields: [String]) -> Bool? {
    let codings = Preferences(fields).items.map(\.value).filter { $0 != "identity" }
    if codings.isEmpty { return false }
    return codings == ["gzip"] || codings == ["x-gzip"] ? true : nil
  }

  /// Looks at the body where the admission demanded that, unpacks it, and runs the handler on it.
  func runHandler(_ handler: Admission, head: RequestHead, sent: [UInt8], route: Route) -> MHD_Result {
    let (check, isBodyPacked) = (bodyCheck, isBodyPacked)
    @Sendable func received() throws(Problem) -> [UInt8] {
      try check?(sent)
      return isBodyPacked ? try unpacked(sent, route) : sent
    }
    if route.bodyBytesMax <= Self.unpackedBytesOnLoopMax {
      do throws(Problem) {
        return run(handler, Request(head: head, body: try received()))
      } catch {
        return reply(problemResponse(error))
      }
    }
    return wait {
      do {
        let body = try await withTaskExecutorPreference(globalConcurrentExecutor) { try received() }
        let request = Request(head: head, body: body)
        switch handler {
        case .direct(let handler): return .response(await self.packed(try handler(request)))
        case .async(let handler): return .response(await self.packed(try await handler(request)))
        case .refuse(let problem): return .failure(problem)
        case .stream: preconditionFailure("a streamed body is not collected")
        case .later(let decide): return .admission(await decide())
        case .noting, .checking: return .admission(handler)
        }
      } catch {
        return .failure(error)
      }
    }
  }

  /// The limit is that of what comes out: a small body can unpack to a thousand times as much.
  private func unpacked(_ packed: [UInt8], _ route: Route) throws(Problem) -> [UInt8] {
    do throws(Gzip.Fault) {
      return try Gzip.decompressed(packed, bytesMax: route.bodyBytesMax)
    } catch {
      throw error == .tooLarge ? .bodyTooLarge(route.bodyBytesMax, unpacked: true) : .malformedGzip
    }
  }

  // MARK: - Responses

  /// Packs a large answer off the loop, which others wait for; what is small is packed as it is sent.
  func packed(_ response: Response) async -> Response {
    guard isPackedElsewhere(response) else { return response }
    return await withTaskExecutorPreference(globalConcurrentExecutor) { response.gzipped() }
  }

  func isPackedElsewhere(_ response: Response) -> Bool {
    guard response.bodyBytes > ContentCoding.bodyBytesOnLoopMax, selection(of: response).isGzip else { return false }
    if case .prepared(let prepared) = response.body { return !prepared.hasGzipTwin }
    return true
  }

  /// In which coding the client gets the answer, and whether it has it already.
  ///
  /// What it has is confirmed in the coding it has it in, as long as it still takes that one: a cache knows what the
  /// 304 means by its tag.
  func selection(of response: Response) -> (isGzip: Bool, isNotModified: Bool) {
    let tag = conditionalTag(of: response)
    let held = tag == nil ? [] : headers.all("If-None-Match")
    guard response.isCodable else {
      return (false, tag.map { ConditionalRequest.matches(held, entityTag: $0) } ?? false)
    }
    let acceptance = ContentCoding.Acceptance(headers.all("Accept-Encoding"))
    if let tag {
      let choices = [(false, tag, acceptance.takesIdentity), (true, ContentCoding.gzipTag(tag), acceptance.takesGzip)]
      for (isGzip, tag, isTaken) in acceptance.prefersGzip ? choices.reversed() : choices
      where isTaken && ConditionalRequest.matches(held, entityTag: tag) {
        return (isGzip, true)
      }
    }
    return (acceptance.prefersGzip, false)
  }

  /// The tag of the answer when the request is conditional on it. Once for all routes: a handler that sets `ETag` need
  /// not know of conditions.
  private func conditionalTag(of response: Response) -> String? {
    guard response.status == 200, let head, head.method == .get || head.method == .head,
      headers.occurrences(of: "If-None-Match") > 0
    else { return nil }
    return response.header("ETag")
  }
}
