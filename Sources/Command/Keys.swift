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
    var name: String

    @Option(
      help: ArgumentHelp(
        "What the key may do, repeated: \(Scope.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "scope"))
    var scope: [Scope]

    @Option(help: ArgumentHelp("The one source that the key posts for.", valueName: "slug"))
    var source: String?

    @OptionGroup var common: CommonOptions

    func validate() throws {
      if scope.isEmpty { throw ValidationError("at least one --scope is needed") }
      if scope.contains(.resultsWrite), !scope.contains(.admin), source == nil {
        throw ValidationError("a key with results:write posts for one source: name it with --source")
      }
      guard 1...200 ~= name.utf8.count else { throw ValidationError("--name must have 1 to 200 bytes") }
    }

    func run() async throws {
      let text = try await withService(common) { service in
        try await service.createKey(name: name, scopes: scope, source: source)
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
        print("\(key.id)  \(state)  \(key.createdAt)  \(scopes)  \(key.source ?? "-")  \(key.name)")
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

/// Runs `body` with the registry and keys loaded, evidence not.
func withService<Value>(
  _ options: CommonOptions, _ body: (RiskService) async throws -> Value
) async throws -> Value {
  let logger = try options.logger()
  return try await Backend.withMigrated(options, logger: logger) { backend in
    let service = try RiskService(database: backend.database, reader: backend.reader, logger: logger)
    try await service.load(evidence: false)
    return try await body(service)
  }
}
