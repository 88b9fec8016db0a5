/// What one binary carries is what the repository holds: every migration is embedded and listed, and the other way
/// round.
enum EmbeddingRules {
  static let path = "Sources/CShippedFiles/CShippedFiles.c"

  /// - Parameter migrations: paths from the repository's top.
  static func violations(migrations: [String], embedding: SourceFile) -> [Violation] {
    var violations = numbering(of: migrations)
    let embedded = quoted(in: embedding, after: "#embed \"../../")
    let listed = quoted(in: embedding, after: "{\"")
    for migration in migrations where !embedded.contains(where: { $0.name == migration }) {
      violations.append(
        Violation(path: migration, line: 1, advice: "is not embedded: add #embed and its entry to \(embedding.path)"))
    }
    for (name, line) in embedded + listed where name.hasPrefix("migrations/") && !migrations.contains(name) {
      violations.append(Violation(path: embedding.path, line: line, advice: "\(name) does not exist"))
    }
    for (name, line) in embedded where !listed.contains(where: { $0.name == name }) {
      violations.append(
        Violation(path: embedding.path, line: line, advice: "\(name) is embedded and not in the list of files"))
    }
    return violations
  }

  /// `0001_registry.sql`, counting without gaps: the migrator refuses anything else.
  private static func numbering(of migrations: [String]) -> [Violation] {
    migrations.sorted().enumerated().compactMap { index, path in
      let name = path.dropFirst("migrations/".count)
      let digits = String(index + 1)
      let prefix = String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "_"
      let isNamed = name.hasPrefix(prefix) && name.hasSuffix(".sql") && name.count > prefix.count + 4
      if isNamed { return nil }
      return Violation(path: path, line: 1, advice: "is number \(index + 1): name it \(prefix)<what>.sql")
    }
  }

  private static func quoted(in file: SourceFile, after mark: String) -> [(name: String, line: Int)] {
    file.lines.enumerated().compactMap { index, line in
      guard let start = line.firstRange(of: mark)?.upperBound,
        let end = line[start...].firstIndex(of: "\"")
      else { return nil }
      return (String(line[start..<end]), index + 1)
    }
  }
}
