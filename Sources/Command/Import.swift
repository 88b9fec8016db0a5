import ArgumentParser
import Glibc
import Service

struct Import: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Takes over a scanner's own report.", subcommands: [TestSSL.self])

  struct TestSSL: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "testssl",
      abstract: "Takes over a JSON report of testssl.sh (--jsonfile or --jsonfile-pretty).",
      discussion: "Taking over the same report again stores nothing. Exits with 1 when a result was rejected.")

    @Argument(help: "The report, or - for standard input.")
    var file: String

    @Option(help: ArgumentHelp("The provider that was scanned: slug, id or host.", valueName: "slug"))
    var provider: String?

    @Option(help: ArgumentHelp("The source that did the scan.", valueName: "slug"))
    var source: String?

    @OptionGroup var common: CommonOptions

    func validate() throws {
      _ = (try required(provider, "provider"), try required(source, "source"))
    }

    func run() async throws {
      let (provider, source) = (try required(provider, "provider"), try required(source, "source"))
      let report = try readFile(file, bytesMax: 32 * 1024 * 1024)
      let summary = try await withService(common) { service in
        try await service.importTestSSL(report, provider: provider, source: source)
      }
      for line in summary.lines { print("\(line.status)  \(line.outcome)  \(line.check)  \(line.target)") }
      for warning in summary.warnings { printError("warning: \(warning)") }
      if summary.isAnyRejected { throw ExitCode(1) }
    }
  }
}

func printError(_ text: String) {
  let line = Array((text + "\n").utf8)
  line.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
