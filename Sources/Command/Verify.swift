import ArgumentParser
import Service

struct Verify: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rebuilds every evidence cell and every score from the stored results, and compares.",
    discussion: "Works while the service runs. Lists each difference over 1e-9 and exits with 1 when there is one.")

  @OptionGroup var common: CommonOptions

  func run() async throws {
    let summary = try await withService(common) { service in try await service.verify { print($0) } }
    let compared =
      "\(summary.cells) cells and \(summary.scores) scores of \(summary.providers) providers compared with "
      + "\(summary.results) results"
    guard summary.differences == 0 else {
      printError("\(summary.differences) differences: \(compared)")
      throw ExitCode(1)
    }
    print("\(compared): no difference")
  }
}
