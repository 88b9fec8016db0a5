import ArgumentParser
import Glibc
import Service

struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Loads example relays with weeks of results, then prints their scores as a table.",
    discussion: """
      Six relays on .example names, tagged "demo", and three sources whose names begin with demo-. Running it again \
      loads nothing twice. Remove one from lists with DELETE /v1/providers/{slug}, which retires it.
      """)

  @OptionGroup var common: CommonOptions

  func run() async throws {
    let scores = try await withService(common, loadingEvidence: true) { try await $0.loadDemo() }
    // Colour is for a person in front of a terminal who did not ask for none (no-color.org).
    let isColoured = isatty(STDOUT_FILENO) == 1 && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
    for line in ScoreTable(scores).lines(isColoured: isColoured) { print(line) }
  }
}
