import HTTPServer
import JSON

/// `/v1/providers/import` and `/v1/providers/export`: the registry as lines of JSON, for copies and spreadsheets.
struct ProviderTransferRoutes {
  let service: RiskService

  static let bodyBytesMax = 32 * 1024 * 1024
  /// So many are stored well within the time that a request may take.
  static let linesCountMax = 20_000
  static let contentType = "application/x-ndjson"

  private var parts: RiskService.Parts { service.parts }

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/providers/import", requirement: .scopes([.registryWrite]),
        bodyBytesMax: Self.bodyBytesMax, contentTypes: [Self.contentType], handler: .async(receive)),
      Endpoint(
        method: .get, pattern: "/v1/providers/export", requirement: .scopes([.scoresRead, .registryWrite]),
        produces: [Self.contentType],
        handler: .async(export)),
    ]
  }

  /// Ids and times are of the installation, not of the provider, so a line has none. From memory, which holds every
  /// provider, in the order of slugs.
  @Sendable private func export(_ call: Call) async throws -> Response {
    let lines = try await service.computing { [self] in
      var lines: [UInt8] = []
      var run = parts.registry.providers(after: nil)
      while let last = run.last {
        for listed in run {
          var json = JSONWriter()
          listed.provider.writeRegistration(to: &json)
          lines += json.bytes
          lines.append(UInt8(ascii: "\n"))
        }
        // Whatever else waits for this thread gets its turn.
        await Task.yield()
        run = parts.registry.providers(after: last.provider.slug.text)
      }
      return lines
    }
    return Response(status: 200, headers: [("Content-Type", Self.contentType)], body: .bytes(lines))
  }

  @Sendable private func receive(_ call: Call) async throws -> Response {
    let body = call.request.body
    let lines = try await service.reading(body) { try Self.lines(of: body) }
    let now = parts.clock.now()
    let arrivals = lines.map { line in
      line.map { sent in
        ProviderStore.Arrival(
          provider: Provider(
            id: parts.identifiers.next(at: now), details: sent.details, status: sent.status ?? .pending, version: 1,
            createdAt: now, updatedAt: now),
          isStatusSent: sent.status != nil)
      }
    }
    // Off the request's loop: thousands of audit entries take a while to write.
    let (entries, added) = try await service.computing { [parts] in
      try await parts.providers.add(arrivals, by: call.author, at: now)
    }
    for provider in added { parts.registry.apply(provider) }
    return .json(BatchOutcome(entries: entries).encoded(requestID: call.request.id))
  }

  struct SentProvider: Sendable {
    let details: Provider.Details
    let status: Provider.Status?
  }

  /// Every line that is not blank, read on its own: a wrong one does not spoil the others.
  private static func lines(of body: [UInt8]) throws -> [Result<SentProvider, Problem>] {
    let lines = body.split(separator: UInt8(ascii: "\n")).filter { line in
      !line.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
    }
    guard lines.count <= linesCountMax else {
      throw JSONFault(pointer: "", detail: "has \(lines.count) lines, at most \(linesCountMax) are allowed")
    }
    return try lines.map { line in
      do {
        let (value, readerFaults) = try JSONReader.read(Array(line))
        var fields = JSONFields(value, faults: readerFaults)
        let status = fields.optional("status") { try $0.oneOf(Provider.Status.self) }
        return .success(SentProvider(details: try Provider.Details(&fields), status: status))
      } catch {
        guard let problem = Problem.rendering(error) else { throw error }
        return .failure(problem)
      }
    }
  }
}
