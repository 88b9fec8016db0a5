import Foundation
import TestHarness
import Testing

/// docs/methodology.md, whose tables are computed by a program of their own.
@Suite struct MethodologyPageTests {
  private static let page = Document.top.appendingPathComponent("docs/methodology.md").path

  @Test func theComputedPartsAreWhatTheEngineComputes() throws {
    #expect(try computed(under: "catalogue/rm-1.json") == String(contentsOfFile: Self.page, encoding: .utf8))
  }

  /// Of every constant: the page cannot keep an old one.
  @Test func anotherConstantGivesAnotherPage() throws {
    let text = try String(
      contentsOf: Document.top.appendingPathComponent("catalogue/rm-1.json"), encoding: .utf8)
    let edited = text.replacingOccurrences(of: #""saturation": 6.0"#, with: #""saturation": 7.0"#)
    #expect(edited != text)
    let directory = TemporaryDirectory.make()
    defer { Shell.run(["/bin/rm", "-rf", directory]) }
    try edited.write(toFile: "\(directory)/rm-1.json", atomically: true, encoding: .utf8)
    let page = try computed(under: "\(directory)/rm-1.json")
    #expect(page.contains("| `saturation` | 7.0 |"))
    #expect(try page != String(contentsOfFile: Self.page, encoding: .utf8))
  }

  private func computed(under methodology: String) throws -> String {
    let directory = TemporaryDirectory.make()
    defer { Shell.run(["/bin/rm", "-rf", directory]) }
    let program = URL(fileURLWithPath: Program.path).deletingLastPathComponent().appendingPathComponent(
      "MethodologyPage"
    ).path
    let status = Shell.run([
      "/bin/sh", "-c", "cd \"$0\" && \"$1\" \"$2\" docs/methodology.md > \"$3/page.md\"", Document.top.path, program,
      methodology, directory,
    ])
    #expect(status == 0)
    return try String(contentsOfFile: "\(directory)/page.md", encoding: .utf8)
  }
}
