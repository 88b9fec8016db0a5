/// The threat model names for each threat the test that shows what stops it.
enum ThreatRules {
  private static let head = "| entry | against | what stops it | shown by |"

  /// - Parameter suites: names of the files of tests, without `.swift`.
  static func violations(in document: SourceFile, suites: Set<String>) -> [Violation] {
    guard let start = document.lines.firstIndex(where: { $0 == head }) else {
      return [Violation(path: document.path, line: 1, advice: "it has no table with the head \(head)")]
    }
    return document.lines[(start + 2)...].prefix { $0.hasPrefix("|") }.indices.compactMap { index in
      let shownBy = document.lines[index].split(separator: "|").last ?? ""
      let named = shownBy.split(separator: "`").map(String.init).filter { $0.hasSuffix("Tests") }
      if let missing = named.first(where: { !suites.contains($0) }) {
        return Violation(path: document.path, line: index + 1, advice: "there is no \(missing)")
      }
      return named.isEmpty
        ? Violation(path: document.path, line: index + 1, advice: "name the test that shows it in the last column")
        : nil
    }
  }
}
