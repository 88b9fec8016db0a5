import Foundation
import TestHarness
import Testing

@Suite struct ReadmeTests {
  @Test func theCommandsAreThoseOfTheMakefile() throws {
    let makefile = try String(contentsOf: Document.top.appendingPathComponent("Makefile"), encoding: .utf8)
    for command in try Document("README.md").blocks("sh").prefix(2) {
      let target = command.trimmingCharacters(in: .whitespacesAndNewlines)
      #expect(target.hasPrefix("make "))
      #expect(makefile.contains("\n\(target.dropFirst(5)):"), "\(target)")
    }
  }

  @Test func theScreenOfUseWorksAsPrinted() async throws {
    let service = RunningService()
    try await service.start()
    let key = try await service.createKey()
    let readme = try Document("README.md")
    let screen = try #require(readme.blocks("sh").last)
    #expect(screen.components(separatedBy: "curl ").count == 6)
    let printed = try readme.run([screen], against: service, key: key)
    #expect(printed.contains(#""accepted":6,"duplicates":0,"rejected":0"#))
    #expect(printed.contains(#""check":"backdoor.tool-call-rewrite""#))
    let score = try await service.client(key: key).get("/v1/providers/old-relay/score")
    #expect(printed.contains(#""verdict":"\#(score.json["verdict"].string!)""#))
    #expect(score.json["reasons"].array.count == 5)
    await service.end(SIGTERM)
  }
}
