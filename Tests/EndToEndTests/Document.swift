import Foundation
import TestHarness
import Testing

/// A page of the documentation, whose shell blocks are run as they are printed.
struct Document {
  static let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    .standardized
  let path: String
  private let text: String

  /// - Parameter path: from the repository's top.
  init(_ path: String) throws {
    self.path = path
    text = try String(contentsOf: Self.top.appendingPathComponent(path), encoding: .utf8)
  }

  /// The fenced blocks of a language, in order.
  func blocks(_ language: String) -> [String] {
    text.components(separatedBy: "```\(language)\n").dropFirst().map { $0.components(separatedBy: "\n```")[0] }
  }

  /// Runs shell blocks one after the other in one shell, in the repository's top folder and against `service`. Only
  /// where key, address and data directory come from differs from a reader's terminal: lines that export are left out.
  /// - Returns: what they printed.
  func run(_ blocks: [String], against service: RunningService, key: String) throws -> String {
    let lines = blocks.joined(separator: "\n").split(separator: "\n", omittingEmptySubsequences: false)
    let script = lines.filter { !$0.hasPrefix("export ") }.joined(separator: "\n")
    let output = service.dataDirectory + ".out"
    let status = Shell.run([
      "/usr/bin/env", "KEY=\(key)", "URL=\(service.address)", "RELAYRISK_DATA_DIR=\(service.dataDirectory)",
      "PATH=\(URL(fileURLWithPath: Program.path).deletingLastPathComponent().path):/usr/sbin:/usr/bin:/sbin:/bin",
      "/bin/bash", "-c", "set -euo pipefail; cd \"$0\"; exec > \"$1\" 2>&1; \(script)", Self.top.path, output,
    ])
    let printed = try String(contentsOfFile: output, encoding: .utf8)
    #expect(status == 0, "\(path): \(printed)")
    #expect(!printed.contains("/problems/"), "\(path): \(printed)")
    return printed
  }
}
