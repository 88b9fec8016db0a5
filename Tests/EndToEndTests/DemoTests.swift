import Foundation
import TestHarness
import Testing

@Suite(.serialized) struct DemoTests {
  /// What the README shows, from the line of titles on.
  private func printedInReadme() throws -> String {
    let readme = try Document("README.md")
    return try #require(readme.blocks("text").first { $0.hasPrefix("relay ") })
  }

  @Test func theTableIsTheOneInTheReadmeAndLoadingAgainAddsNothing() async throws {
    let service = RunningService()
    let first = try await Program.run(["demo", "--data-dir", service.dataDirectory])
    #expect(first.status == 0, "\(first.errors)")
    #expect(first.output == (try printedInReadme()) + "\n")
    let lines = first.output.split(separator: "\n")
    #expect(lines.count == 7)
    #expect(lines.allSatisfy { $0.count <= 100 && $0.last != " " })
    for verdict in ["allow", "warn", "block", "unknown"] {
      #expect(lines.dropFirst().contains { $0.contains(" \(verdict) ") }, "\(verdict)")
    }
    #expect(!first.output.contains("\u{1B}"))

    let counts = try await countStored(service)
    #expect(try #require(counts.first) > 500)
    let second = try await Program.run(["demo", "--data-dir", service.dataDirectory])
    #expect(second.output == first.output)
    #expect(try await countStored(service) == counts)
  }

  /// Results, relays, sources, waivers and incidents, as the service counts or lists them.
  private func countStored(_ service: RunningService) async throws -> [Int] {
    try await service.start()
    let admin = service.client(key: try await service.createKey())
    var counts = [0, 0, 0, 0, 0]
    for provider in try await admin.get("/v1/providers?limit=500").json["items"].array {
      let path = "/v1/providers/\(provider["slug"].string!)"
      var cursor: String? = ""
      while let after = cursor {
        let page = try await admin.get("\(path)/probe-results?limit=500" + (after.isEmpty ? "" : "&cursor=\(after)"))
        counts[0] += page.json["items"].array.count
        cursor = page.json["next_cursor"].string
      }
      counts[1] += 1
      counts[3] += try await admin.get("\(path)/waivers").json["items"].array.count
      counts[4] += try await admin.get("\(path)/incidents").json["items"].array.count
    }
    counts[2] = try await admin.get("/v1/sources").json["items"].array.count
    await service.end(SIGTERM)
    return counts
  }

  @Test func aRunningServiceShowsWhatWasLoaded() async throws {
    let service = RunningService()
    try await service.start()
    let admin = service.client(key: try await service.createKey())
    let loaded = try await Program.run(["demo", "--data-dir", service.dataDirectory])
    #expect(loaded.status == 0, "\(loaded.errors)")
    let relays = try await waitFor("the examples") {
      let items = try await admin.get("/v1/scores").json["items"].array
      return items.contains { $0["verdict"].string == "allow" } ? items : nil
    }
    #expect(relays.count == 6)
    for line in loaded.output.split(separator: "\n").dropFirst() {
      let words = line.split(separator: " ")
      let score = try await admin.get("/v1/providers/\(words[0])/score").json
      #expect(score["verdict"].string == String(words[4]))
      #expect(score["grade"].string ?? "-" == String(words[3]))
      #expect(try await admin.get("/v1/providers/\(words[0])").json["tags"][0].string == "demo")
    }
    await service.end(SIGTERM)
  }

  @Test func aRelayOfTheSameNameIsNotTouched() async throws {
    let service = RunningService()
    try await service.start()
    let admin = service.client(key: try await service.createKey())
    _ = try await admin.post("/v1/providers", #"{"slug":"own","name":"Own","hosts":["harbor.example"]}"#)
    let refused = try await Program.run(["demo", "--data-dir", service.dataDirectory])
    #expect(refused.status == 1)
    #expect(refused.errors.contains("harbor.example"), "\(refused.errors)")
    #expect(refused.errors.contains("database of their own"), "\(refused.errors)")
    #expect(refused.output.isEmpty)
    #expect(try await admin.get("/v1/providers").json["items"].array.count == 1)
    #expect(try await admin.get("/v1/sources").json["items"].array.isEmpty)
    await service.end(SIGTERM)
  }

  /// `script` gives the program a terminal.
  @Test func coloursAreForATerminalThatWantsThem() async throws {
    let service = RunningService()
    let command = "'\(Program.path)' demo --data-dir '\(service.dataDirectory)'"
    let file = service.dataDirectory + ".terminal"
    for (setting, isColoured) in [("", true), ("NO_COLOR=1 ", false), ("TERM=dumb ", false), ("NO_COLOR= ", true)] {
      #expect(
        Shell.run([
          "/usr/bin/env", "-u", "NO_COLOR", "TERM=xterm", "/usr/bin/script", "-qec", setting + command, file,
        ]) == 0)
      let shown = try String(contentsOfFile: file, encoding: .utf8)
      #expect(shown.contains("\u{1B}[32mallow\u{1B}[0m") == isColoured, "\(setting)")
      #expect(shown.contains("rookery"))
    }
  }
}
