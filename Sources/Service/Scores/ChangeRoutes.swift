import HTTPServer
import JSON

/// `/v1/changes`: what a gateway keeps its own copy of all scores by.
struct ChangeRoutes {
  let service: RiskService

  private var parts: RiskService.Parts { service.parts }

  /// How long an answer waits for what this instance knows to be published.
  private static let waitMillisecondsMax = 1_000
  private static let pollMilliseconds = 20

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .get, pattern: "/v1/changes", requirement: .scopes([.scoresRead]), parameters: ["since"],
        handler: .async(changes))
    ]
  }

  @Sendable private func changes(_ call: Call) async throws -> Response {
    let since = try call.parameters.field("since")?.version()
    await catchUp(to: since ?? 0)
    let changes = await parts.publisher.changes(since: since)
    return try await Self.body(changes).response(
      permits: parts.streamPermits, headers: [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
  }

  /// The items come last, so that they can be written while they are sent: those of all providers are megabytes.
  private static func body(_ changes: ScorePublisher.Changes) -> PiecewiseBody {
    var json = JSONWriter()
    json.object { json in
      json.member("version", changes.version)
      json.member("full", changes.isFull)
      json.array("removed", changes.removed) { $0.value($1.description) }
      json.member("checksum", changes.checksum)
    }
    let items = changes.items.compactMap(\.body)
    return PiecewiseBody(
      opening: json.bytes.dropLast() + Array(",\"items\":[".utf8), count: items.count, closing: Array("]}".utf8)
    ) { index, bytes in
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes += items[index]
    }
  }

  /// Who changed something here finds it in the answer, and who read a version from another instance is not told that
  /// it is unknown. With the database away, what was published before has to do.
  private func catchUp(to version: Int) async {
    let end = ContinuousClock.now + .milliseconds(Self.waitMillisecondsMax)
    while true {
      await parts.publisher.refresh()
      let isBehind = await parts.publisher.isBehind
      if !isBehind, await version <= parts.publisher.version { return }
      guard parts.database.isAvailable, (try? await parts.publisher.catchUp()) != nil else { return }
      if !isBehind { return }
      guard ContinuousClock.now < end else { return }
      try? await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
    }
  }
}

extension JSONField {
  /// A version that was given out before.
  func version() throws -> Int {
    guard let version = Int(try string()), version >= 0 else { throw fault("must be an integer from 0 on") }
    return version
  }
}
