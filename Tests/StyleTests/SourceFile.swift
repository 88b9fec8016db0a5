import Foundation

/// A text file of the repository, as the rules see it.
struct SourceFile: Sendable {
  /// From the repository's top.
  let path: String
  let text: String
  let lines: [Substring]
  /// The same lines with comments and the contents of string literals blanked, so that a rule about code finds only
  /// code.
  let codeLines: [Substring]

  init(_ path: String, _ text: String) {
    self.path = path
    self.text = text
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let code = SwiftMask.blanked(text)
    codeLines = code.split(separator: "\n", omittingEmptySubsequences: false)
  }

  var name: String { String(path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]) }
  var isSwift: Bool { path.hasSuffix(".swift") }
  /// `Postgres` for `Sources/Postgres/Row.swift`.
  var target: String {
    let parts = path.split(separator: "/")
    return parts.count > 2 ? String(parts[1]) : ""
  }

  /// Each line's number, from 1, with its code.
  var numberedCode: [(number: Int, code: Substring)] { codeLines.enumerated().map { ($0.offset + 1, $0.element) } }
}

/// What breaks a rule, where, and what to do about it.
struct Violation: Sendable, Equatable, CustomStringConvertible {
  let path: String
  let line: Int
  let advice: String

  var description: String { "\(path):\(line): \(advice)" }
}

/// The files of the repository that this test was built from.
enum Repository {
  static let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static let sources = files(in: "Sources")
  static let tests = files(in: "Tests")
  static let migrations = files(in: "migrations")
  static let documents = (files(in: "") + files(in: "docs")).filter { $0.path.hasSuffix(".md") }

  static var swift: [SourceFile] { (sources + tests).filter(\.isSwift) }

  /// Every path below the folders that people write in, folders included.
  static var paths: [String] {
    ["Sources", "Tests", "migrations", "catalogue", "demo", "deploy", "docs"].flatMap(paths(below:)) + names(in: "")
  }

  static func file(_ path: String) throws -> SourceFile {
    SourceFile(path, try String(contentsOf: top.appending(path: path), encoding: .utf8))
  }

  /// The texts in a folder and below; of the top itself only what lies there.
  private static func files(in folder: String) -> [SourceFile] {
    let paths = folder.isEmpty ? names(in: "") : paths(below: folder)
    let endings = [".swift", ".c", ".h", ".modulemap", ".sql", ".md", ".yaml"]
    return paths.filter { path in endings.contains { path.hasSuffix($0) } }.compactMap { try? file($0) }
  }

  private static func paths(below folder: String) -> [String] {
    let all = FileManager.default.enumerator(atPath: top.appending(path: folder).path)
    return (all?.allObjects as? [String] ?? []).map { "\(folder)/\($0)" }.sorted()
  }

  private static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: top.appending(path: folder).path))?.sorted() ?? []
  }
}
