import ArgumentParser
import Service

extension Keys {
  struct Rotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Creates a key with the same rights in the place of one, and prints it as `keys create` does.",
      discussion: """
        Both are valid until the overlap is over; then the former one expires by itself. Unless told otherwise the new \
        key is valid for as long as the former one was made for.
        """)

    @Argument(help: "The key's id, as listed: what stands between rr_ and the second _.")
    var id: String

    @Option(
      help: ArgumentHelp(
        "How long the former key stays valid: 0, or such as 1h or 7d. (default: 24h)", valueName: "span"))
    var overlap: String?

    @OptionGroup var expiry: KeyExpiry

    @OptionGroup var common: CommonOptions

    func validate() throws { _ = try overlapSeconds }

    private var overlapSeconds: Int? {
      get throws {
        let twin = twin(of: "overlap")
        guard let text = overlap ?? environment(twin) else { return nil }
        let range = RiskService.overlapSecondsRange
        guard let span = TimeSpan(text), range.contains(span.seconds) else {
          throw ValidationError(
            "--overlap, or \(twin), must be 0 or \(TimeSpan.form), at most \(range.upperBound / 86_400)d")
        }
        return span.seconds
      }
    }

    func run() async throws {
      let (overlapSeconds, expiresAt) = (try overlapSeconds, try expiry.instant())
      let (text, formerEnd) = try await withService(common) { service in
        try await service.rotateKey(id, overlapSeconds: overlapSeconds, expiresAt: expiresAt)
      }
      printError("the former key is valid until \(formerEnd.rfc3339)")
      print(text)
    }
  }
}
