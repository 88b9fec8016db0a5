/// What keeps a file readable in one go.
enum SizeRules {
  static let fileLinesMax = 300
  static let functionLinesMax = 70
  static let columnsMax = 120

  static func longFiles(in files: [SourceFile]) -> [Violation] {
    files.compactMap { file in
      // The text after the last line end is no line.
      let count = file.lines.count - (file.lines.last == "" ? 1 : 0)
      if count <= fileLinesMax { return nil }
      return Violation(
        path: file.path, line: count, advice: "\(count) lines, at most \(fileLinesMax): split it by what it does")
    }
  }

  static func longLines(in files: [SourceFile]) -> [Violation] {
    everyLine(of: files) { line in
      line.count > columnsMax ? "\(line.count) columns, at most \(columnsMax): break it, or run swift format" : nil
    }
  }

  static func tabs(in files: [SourceFile]) -> [Violation] {
    everyLine(of: files) { $0.contains("\t") ? "a tab: indent by two spaces" : nil }
  }

  private static func everyLine(of files: [SourceFile], _ advice: (Substring) -> String?) -> [Violation] {
    files.flatMap { file in
      file.lines.enumerated().compactMap { index, line in
        advice(line).map { Violation(path: file.path, line: index + 1, advice: $0) }
      }
    }
  }

  // MARK: - Functions

  static func longFunctions(in files: [SourceFile]) -> [Violation] {
    files.filter(\.isSwift).flatMap { file in
      functions(in: file).compactMap { start, count in
        if count <= functionLinesMax { return nil }
        return Violation(
          path: file.path, line: start,
          advice: "a function of \(count) lines, at most \(functionLinesMax): give its steps names of their own")
      }
    }
  }

  /// The line on which each function, initialiser or subscript with a body begins, and the lines between its braces.
  static func functions(in file: SourceFile) -> [(line: Int, bodyLines: Int)] {
    var found: [(Int, Int)] = []
    for (number, code) in file.numberedCode where beginsFunction(code) {
      if let count = bodyLines(from: number - 1, in: file.codeLines) { found.append((number, count)) }
    }
    return found
  }

  private static let words: Set<Substring> = ["func", "init", "init?", "deinit", "subscript"]

  private static func beginsFunction(_ code: Substring) -> Bool {
    // `self.init(...)` and `.init(...)` are calls and not split off.
    code.split { $0 == " " || $0 == "(" || $0 == "<" }.contains { words.contains($0) }
  }

  /// Counts from the first brace outside of the parameters. Nil without one before the next declaration: a protocol's
  /// requirement.
  private static func bodyLines(from start: Int, in lines: [Substring]) -> Int? {
    var parentheses = 0
    var braces = 0
    var opening: Int?
    for index in start..<lines.count {
      if opening == nil, index > start, parentheses == 0, beginsDeclaration(lines[index]) { return nil }
      for byte in lines[index].utf8 {
        switch byte {
        case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
        case UInt8(ascii: "{") where parentheses == 0 || opening != nil:
          opening = opening ?? index
          braces += 1
        case UInt8(ascii: "}") where opening != nil:
          braces -= 1
          if braces == 0 { return max(0, index - opening! - 1) }
        case UInt8(ascii: "}") where parentheses == 0: return nil
        default: break
        }
      }
    }
    return nil
  }

  private static func beginsDeclaration(_ code: Substring) -> Bool {
    let others: Set<Substring> = ["var", "let", "case", "associatedtype", "struct", "class", "enum", "extension"]
    return beginsFunction(code) || code.split(separator: " ").contains { others.contains($0) }
  }
}
