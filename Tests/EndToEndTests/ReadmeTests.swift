import Foundation
import TestHarness
import Testing

@Suite struct ReadmeTests {
  private static let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    .standardized

  /// The shell blocks of the README, in order.
  private func blocks() throws -> [String] {
    let text = try String(contentsOf: Self.top.appendingPathComponent("README.md"), encoding: .utf8)
    return text.components(separatedBy: "```sh\n").dropFirst().map { $0.components(separatedBy: "\n```")[0] }
  }

  @Test func theCommandsAreThoseOfTheMakefile() throws {
    let makefile = try String(contentsOf: Self.top.appendingPathComponent("Makefile"), encoding: .utf8)
    for command in try blocks().prefix(2) {
      let target = command.trimmingCharacters(in: .whitespacesAndNewlines)
      #expect(target.hasPrefix("make "))
      #expect(makefile.contains("\n\(target.dropFirst(5)):"), "\(target)")
    }
  }

  @Test func theScreenOfUseWorksAsPrinted() async throws {
    let service = RunningService()
    try await service.start()
    let key = try await service.createKey()
    // Only where the key and the address come from differs from a reader's terminal.
    let screen = try #require(try blocks().last).split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.hasPrefix("export ") }.joined(separator: "\n")
    #expect(screen.components(separatedBy: "curl ").count == 6)
    let output = service.dataDirectory + ".out"
    let script = "set -e; cd \"$0\"; exec > \"$1\"; \(screen)"
    setenv("KEY", key, 1)
    setenv("URL", service.address, 1)
    #expect(Shell.run(["/bin/bash", "-c", script, Self.top.path, output]) == 0)
    let printed = try String(contentsOfFile: output, encoding: .utf8)
    #expect(!printed.contains("/problems/"), "\(printed)")
    #expect(printed.contains(#""accepted":6,"duplicates":0,"rejected":0"#))
    #expect(printed.contains(#""check":"backdoor.tool-call-rewrite""#))
    let score = try await service.client(key: key).get("/v1/providers/old-relay/score")
    #expect(printed.contains(#""verdict":"\#(score.json["verdict"].string!)""#))
    #expect(score.json["reasons"].array.count == 5)
    await service.end(SIGTERM)
  }
}
