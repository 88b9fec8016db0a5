import ArgumentParser
import Service

extension Keys {
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

    @OptionGroup var expiry: KeyExpiry

    @Option(
      help: ArgumentHelp(
        "Addresses that the key may be used from, such as 203.0.113.0/24; may be repeated. In the environment they are "
          + "separated by commas. (default: any)", valueName: "range"))
    var addressRange: [String] = []

    @OptionGroup var common: CommonOptions

    func validate() throws {
      let (name, scopes) = (try required(name, "name"), try scopes)
      _ = try limits
      if scopes.isEmpty {
        throw ValidationError("Missing expected argument '--scope <scope>', and RELAYRISK_SCOPE is not set either.")
      }
      if scopes.contains(.resultsWrite), !scopes.contains(.admin), boundSource == nil {
        throw ValidationError("a key with results:write posts for one source: name it with --source")
      }
      guard 1...200 ~= name.utf8.count else { throw ValidationError("--name must have 1 to 200 bytes") }
    }

    private var boundSource: String? { source ?? environment("RELAYRISK_SOURCE") }

    private var limits: KeyLimits {
      get throws {
        let quota = KeyQuota(
          requestsPerMinute: try limit(requestsPerMinute, "requests-per-minute"),
          resultsPerMinute: try limit(resultsPerMinute, "results-per-minute"))
        let ranges = try addressRanges(addressRange, "address-range")
        guard ranges.count <= KeyLimits.addressRangesCountMax else {
          throw ValidationError("a key has at most \(KeyLimits.addressRangesCountMax) ranges of addresses")
        }
        return KeyLimits(quota: quota, expiresAt: try expiry.instant(), addressRanges: ranges)
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
      let limits = try limits
      let text = try await withService(common) { service in
        try await service.createKey(name: name, scopes: scopes, source: source, limits: limits)
      }
      print(text)
    }
  }
}
