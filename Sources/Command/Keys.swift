import ArgumentParser
import Service

struct Keys: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Creates, lists and revokes API keys.",
    discussion: "Works while the service runs, which takes up a change within a second, and without it.",
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Creates a key and prints it, and nothing else, on standard output. It is shown this once.")

    @Option(help: "A label for people; need not be unique.")
    var name: String?

    @Option(
      help: ArgumentHelp(
        "What the key may do, repeated: \(Scope.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "scope")
    )
    var scope: [Scope] = []

    @Option(help: ArgumentHelp("The one source that the key posts for.", valueName: "slug"))
    var source: String?

    @Option(
      help: ArgumentHelp(
        "How many requests the key may send in a minute to each instance. (default: no limit)", valueName: "n"))
    var requestsPerMinute: Int?

    @Option(
      help: ArgumentHelp(
        "How many results the key may send in a minute to each instance. (default: no limit)", valueName: "n"))
    var resultsPerMinute: Int?

    @OptionGroup var common: CommonOptions

    func validate() throws {
      let (name, scopes) = (try required(name, "name"), try scopes)
      _ = try quota
      if scopes.isEmpty {
        throw ValidationError("Missing expected argument '--scope <scope>', and RELAYRISK_SCOPE is not set either.")
      }
      if scopes.contains(.resultsWrite), !scopes.contains(.admin), boundSource == nil {
        throw ValidationError("a key with results:write posts for one source: name it with --source")
      }
      guard 1...200 ~= name.utf8.count else { throw ValidationError("--name must have 1 to 200 bytes") }
    }

    private var boundSource: String? { source ?? environment("RELAYRISK_SOURCE") }

    private var quota: KeyQuota {
      get throws {
        KeyQuota(
          requestsPerMinute: try limit(requestsPerMinute, "requests-per-minute"),
          resultsPerMinute: try limit(resultsPerMinute, "results-per-minute"))
      }
    }

    private func limit(_ flag: Int?, _ name: String) throws -> Int? {
      guard let text = flag.map(String.init) ?? environment(twin(of: name)) else { return nil }
      guard let limit = Int(text), KeyQuota.range.contains(limit) else {
        let range = KeyQuota.range
        throw ValidationError(
          "--\(name), or \(twin(of: name)), must be an integer from \(range.lowerBound) to \(range.upperBound)")
      }
      return limit
    }

    /// Of the flags, or of a list with commas in the environment.
    private var scopes: [Scope] {
      get throws {
        guard scope.isEmpty, let list = environment("RELAYRISK_SCOPE") else { return scope }
        return try list.split(separator: ",").map { name in
          guard let scope = Scope(rawValue: String(name)) else {
            let known = Scope.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("RELAYRISK_SCOPE names \"\(name)\"; scopes are \(known)")
          }
          return scope
        }
      }
    }

    func run() async throws {
      let (name, scopes, source) = (try required(name, "name"), try scopes, boundSource)
      let quota = try quota
      let text = try await withService(common) { service in
        try await service.createKey(name: name, scopes: scopes, source: source, quota: quota)
      }
      print(text)
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the keys, without their secrets.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
      for key in try await withService(common, { try await $0.listKeys() }) {
        let scopes = key.scopes.map(\.rawValue).joined(separator: ",")
        let state = key.isRevoked ? "revoked" : "valid"
        let limits = [(key.quota.requestsPerMinute, "requests/min"), (key.quota.resultsPerMinute, "results/min")]
          .compactMap { limit, unit in limit.map { "\($0) \(unit)" } }
        let quota = limits.isEmpty ? "" : "  (\(limits.joined(separator: ", ")))"
        print("\(key.id)  \(state)  \(key.createdAt)  \(scopes)  \(key.source ?? "-")  \(key.name)\(quota)")
      }
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Revokes a key; it is refused from then on.")

    @Argument(help: "The key's id, as listed: what stands between rr_ and the second _.")
    var id: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
      try await withService(common) { try await $0.revokeKey(id) }
    }
  }
}

extension Scope: ExpressibleByArgument {}

/// Runs `body` with the registry and keys loaded, and the evidence where scores are wanted.
func withService<Value>(
  _ options: CommonOptions, loadingEvidence: Bool = false, _ body: (RiskService) async throws -> Value
) async throws -> Value {
  let logger = try options.logger()
  return try await Backend.withMigrated(options, logger: logger) { backend in
    let service = try RiskService(
      database: backend.database, masterKey: backend.masterKey, reader: backend.reader, logger: logger)
    try await service.load(evidence: loadingEvidence)
    return try await body(service)
  }
}
