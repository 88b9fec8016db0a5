/// What a repository that others read holds and does not hold.
enum TextRules {
  /// Put together from parts, so that this file is not one of those it finds.
  private static let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
  private static let places = ["/wo" + "rk/", "../sha" + "red"]

  /// Nothing is left for later in a comment, and no place outside of the repository is known in it.
  static func forbiddenWords(in files: [SourceFile]) -> [Violation] {
    files.flatMap { file in
      file.lines.enumerated().flatMap { index, line in
        let tokens = Set(line.split { !$0.isLetter && !$0.isNumber && $0 != "_" })
        let found =
          words.filter { tokens.contains($0[...]) }.map { "\($0): do it, or say plainly what is not there yet" }
          + places.filter { line.contains($0) }.map { "\($0): the repository speaks of itself only" }
        return found.map { Violation(path: file.path, line: index + 1, advice: $0) }
      }
    }
  }

  static func emptyFiles(in files: [SourceFile]) -> [Violation] {
    let declaring: Set<Substring> = [
      "struct", "class", "actor", "enum", "protocol", "extension", "func", "var", "let", "typealias", "@main",
    ]
    return files.filter(\.isSwift).compactMap { file in
      let words = file.codeLines.lazy.flatMap { $0.split(separator: " ") }
      if words.contains(where: declaring.contains) { return nil }
      return Violation(path: file.path, line: 1, advice: "declares nothing: remove the file")
    }
  }

  /// A checkout on a file system that ignores case would lose one of them.
  static func clashingNames(_ paths: [String]) -> [Violation] {
    Dictionary(grouping: paths) { $0.lowercased() }.values.filter { $0.count > 1 }.map { clash in
      let sorted = clash.sorted()
      return Violation(path: sorted[1], line: 1, advice: "differs from \(sorted[0]) by case alone: rename one")
    }.sorted { $0.path < $1.path }
  }

  /// Names that a document gives in backticks and that end like a file have to exist, so that documents age visibly.
  /// One that begins with a slash is a path of the API.
  static func unknownFiles(in documents: [SourceFile], existing paths: [String]) -> [Violation] {
    let endings = [".swift", ".sql", ".c", ".h", ".json", ".md", ".yaml"]
    let known = paths.map { "/" + $0 }
    return documents.flatMap { document in
      document.lines.enumerated().flatMap { index, line in
        line.split(separator: "`", omittingEmptySubsequences: false).enumerated().compactMap { place, quoted in
          let isPlain = quoted.allSatisfy { $0.isLetter || $0.isNumber || "/._+-".contains($0) }
          let isName = isPlain && !quoted.hasPrefix(".") && !quoted.hasPrefix("/")
          // Every second piece stands between backticks.
          guard place % 2 == 1, isName, endings.contains(where: quoted.hasSuffix),
            !known.contains(where: { $0.hasSuffix("/" + quoted) })
          else { return nil }
          return Violation(path: document.path, line: index + 1, advice: "\(quoted) does not exist")
        }
      }
    }
  }
}

/// What keeps the tests honest.
enum TestRules {
  private static let constructs = [".disabled(", "withKnownIssue", "XCTSkip"]

  static func switchedOff(in tests: [SourceFile]) -> [Violation] {
    everyLine(of: tests) { code in
      constructs.first { code.contains($0) }.map { "\($0): repair the test or remove it" }
    }
  }

  /// Machines are slow at times. That something does not hang is what the time limit of a test is for.
  static func timeBounds(in tests: [SourceFile]) -> [Violation] {
    let bounds = ["<", "<="].flatMap { sign in ["seconds", "milliseconds"].map { "\(sign) .\($0)(" } }
    return everyLine(of: tests) { code in
      let isExpectation = code.contains("#expect(") || code.contains("#require(")
      guard isExpectation, bounds.contains(where: { code.contains($0) }) else { return nil }
      return "an upper bound of time: expect what happened, or use .timeLimit against a hang"
    }
  }

  private static func everyLine(of files: [SourceFile], _ advice: (Substring) -> String?) -> [Violation] {
    files.filter(\.isSwift).flatMap { file in
      file.numberedCode.compactMap { number, code in
        advice(code).map { Violation(path: file.path, line: number, advice: $0) }
      }
    }
  }
}
