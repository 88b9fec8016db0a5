import HTTPServer
import JSON

/// `PATCH` and `DELETE /v1/providers/{p}`.
struct ProviderChangeRoutes {
  let parts: RiskService.Parts

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .patch, pattern: "/v1/providers/{p}", requirement: .scopes([.registryWrite]),
        contentTypes: ["application/merge-patch+json", "application/json"], handler: .async(patch)),
      Endpoint(
        method: .delete, pattern: "/v1/providers/{p}", requirement: .scopes([.registryWrite]),
        produces: [], handler: .async(retire)),
    ]
  }

  /// How often a change that lost against another is made anew on what the other left.
  private static let attemptsMax = 3

  @Sendable private func patch(_ call: Call) async throws -> Response {
    let provider = try await change(call) { provider in
      let (value, readerFaults) = try call.json()
      var json = JSONWriter()
      provider.writeRegistration(to: &json)
      let merged = try JSONReader.read(json.bytes).value.merging(value)
      var fields = JSONFields(merged, faults: readerFaults)
      let status = fields.required("status") { try $0.oneOf(Provider.Status.self) }
      provider.details = try Provider.Details(&fields)
      try provider.become(status!)
    }
    var json = JSONWriter()
    provider.write(to: &json)
    return .document(json.bytes)
  }

  @Sendable private func retire(_ call: Call) async throws -> Response {
    _ = try await change(call) { $0.status = .retired }
    return .noContent()
  }

  /// Changes what is stored, which may be newer than what is remembered here.
  private func change(_ call: Call, _ body: (inout Provider) throws -> Void) async throws -> Provider {
    let id = try parts.registry.existingProvider(call.path("p")).id
    for _ in 0..<Self.attemptsMax {
      // Providers are never deleted, so one that is remembered is stored.
      let before = try await parts.providers.providers([id])[0]
      try call.requireMatch(before.write)
      var provider = before
      try body(&provider)
      if provider == before { return before }
      provider.version += 1
      provider.updatedAt = parts.clock.now()
      do {
        guard try await parts.providers.update(provider, over: before, by: call.author) else { continue }
      } catch let taken as ProviderStore.Taken {
        throw Problem(taken)
      }
      parts.registry.apply(provider)
      return provider
    }
    throw Problem(.conflict, "The provider was changed by others at the same time, again and again. Try again.")
  }
}

extension Provider {
  /// pending -> active <-> suspended, any -> retired, retired -> active.
  /// - Throws: the 409 of any other step.
  fileprivate mutating func become(_ next: Status) throws {
    let allowed: [Status] =
      switch status {
      case .pending: [.active, .retired]
      case .active: [.suspended, .retired]
      case .suspended: [.active, .retired]
      case .retired: [.active]
      }
    guard next == status || allowed.contains(next) else {
      let names = allowed.map(\.rawValue).joined(separator: " or ")
      throw Problem(.conflict, "A provider that is \(status.rawValue) can become \(names), not \(next.rawValue).")
    }
    status = next
  }
}
