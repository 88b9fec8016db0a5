import Testing

/// Each rule, held against small sources that break it, and against ones that only look as if.
@Suite struct RuleTests {
  typealias Rule = @Sendable ([SourceFile]) -> [Violation]

  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let rule: Rule
    let path: String
    let source: String
    /// The lines on which the rule has to find something.
    let lines: [Int]

    init(_ name: String, _ rule: @escaping Rule, _ path: String, _ source: String, _ lines: [Int]) {
      self.name = name
      self.rule = rule
      self.path = path
      self.source = source
      self.lines = lines
    }
    var testDescription: String { name }
  }

  @Test(arguments: imports + safety + sizes + texts + honesty)
  func aRuleFindsWhatBreaksItAndNothingElse(_ example: Case) {
    let violations = example.rule([SourceFile(example.path, example.source)])
    #expect(violations.map(\.line) == example.lines)
    for violation in violations {
      #expect(violation.path == example.path)
      #expect(violation.description.hasPrefix("\(example.path):\(violation.line): "))
    }
  }

  private static let importing: Rule = { ImportRules.violations(in: $0) }
  static let imports = [
    Case("libpq elsewhere", importing, "Sources/Service/A.swift", "import CLibPQ\n", [1]),
    Case("libpq in its target", importing, "Sources/Postgres/A.swift", "import CLibPQ\n", []),
    Case("libpq in a test", importing, "Tests/PostgresTests/A.swift", "\nimport CLibPQ\n", [2]),
    Case("libmicrohttpd, internal", importing, "Sources/Command/A.swift", "internal import CMicroHTTPD\n", [1]),
    Case("libmicrohttpd in its target", importing, "Sources/HTTPServer/A.swift", "internal import CMicroHTTPD\n", []),
    Case("libidn2 elsewhere", importing, "Sources/RiskModel/A.swift", "import CIDN2\n", [1]),
    Case("Foundation", importing, "Sources/Service/A.swift", "import FoundationEssentials\n", [1]),
    Case("Foundation in a test", importing, "Tests/ServiceTests/A.swift", "import Foundation\n", []),
    Case("a layer above", importing, "Sources/JSON/A.swift", "import RiskModel\n", [1]),
    Case("a part of a module", importing, "Sources/JSON/A.swift", "import struct Glibc.timespec\n", [1]),
    Case("a target without a row", importing, "Sources/Portal/A.swift", "@preconcurrency import Glibc\n", [1]),
    Case("a comment", importing, "Sources/JSON/A.swift", "// import Glibc\n", []),
  ]

  private static let keepingSafe: Rule = { SafetyRules.violations(in: $0, exceptions: []) }
  static let safety = [
    Case("unchecked", keepingSafe, "Sources/JSON/A.swift", "final class A: @unchecked Sendable {}\n", [1]),
    Case("unsafe global", keepingSafe, "Sources/JSON/A.swift", "nonisolated(unsafe) var a = 1\n", [1]),
    Case("bit cast", keepingSafe, "Sources/JSON/A.swift", "let a = unsafeBitCast(b, to: Int.self)\n", [1]),
    Case("try!", keepingSafe, "Sources/JSON/A.swift", "let a = 1\nlet b = try! c()\n", [2]),
    Case("fatalError", keepingSafe, "Sources/JSON/A.swift", "func a() -> Never { fatalError() }\n", [1]),
    Case("words in text", keepingSafe, "Sources/JSON/A.swift", "/* try! */ let a = \"fatalError\" // try!\n", []),
    Case("in an interpolation", keepingSafe, "Sources/JSON/A.swift", "let a = \"\\(try! b(\")\")) try!\"\n", [1]),
  ]

  static let sizes = [
    Case("a long file", { SizeRules.longFiles(in: $0) }, "a.swift", lines(301), [301]),
    Case("a file at the limit", { SizeRules.longFiles(in: $0) }, "a.swift", lines(300), []),
    Case("a long line", { SizeRules.longLines(in: $0) }, "a.swift", "//" + text(119, of: "ü") + "\n", [1]),
    Case("a line at the limit", { SizeRules.longLines(in: $0) }, "a.swift", "//" + text(118, of: "ü") + "\n", []),
    Case("a tab", { SizeRules.tabs(in: $0) }, "a.swift", "let a = 1\n\tlet b = 2\n", [2]),
    Case("a long function", functionSizes, "a.swift", "func a() {\n\(lines(71))}\n", [1]),
    Case("a function at the limit", functionSizes, "a.swift", "func a() {\n\(lines(70))}\n", []),
    Case(
      "a long initialiser", functionSizes, "a.swift", "struct A {\n  init?(\n    a: B\n  ) {\n\(lines(71))}\n}", [2]),
    Case("braces in text", functionSizes, "a.swift", "func a() {\n  b(\"}\")  // }\n\(lines(70))}\n", [1]),
    Case("braces in a parameter", functionSizes, "a.swift", "func a(_ b: () -> Void = {}) {\n\(lines(71))}\n", [1]),
    Case("a requirement", functionSizes, "a.swift", "protocol A {\n  func a()\n}\nenum C {\n\(lines(71))}\n", []),
  ]
  private static let functionSizes: Rule = { SizeRules.longFunctions(in: $0) }

  static let texts = [
    Case("for later", { TextRules.forbiddenWords(in: $0) }, "a.sql", "select 1;\n-- TO" + "DO: more\n", [2]),
    Case("a template of mkdtemp", { TextRules.forbiddenWords(in: $0) }, "a.swift", "let a = \"b-XXXXXX\"\n", []),
    Case("a place outside", { TextRules.forbiddenWords(in: $0) }, "a.md", "See ../sha" + "red/notes\n", [1]),
    Case("nothing declared", { TextRules.emptyFiles(in: $0) }, "a.swift", "import Glibc\n// struct A {}\n", [1]),
    Case("an extension", { TextRules.emptyFiles(in: $0) }, "a.swift", "extension Int {}\n", []),
    Case("a file that is gone", naming, "a.md", "`Row.swift`\n`Gone.swift`, `x.swift`, `.swift`\n", [2, 2]),
    Case("a path that is right", naming, "a.md", "`Postgres/Row.swift`, `swift test`, `/a.yaml`\n", []),
  ]
  private static let naming: Rule = {
    TextRules.unknownFiles(in: $0, existing: ["Sources/Postgres/Row.swift"])
  }

  static let honesty = [
    Case("disabled", { TestRules.switchedOff(in: $0) }, "a.swift", "@Test(.disabled(\"slow\")) func a() {}\n", [1]),
    Case("a known issue", { TestRules.switchedOff(in: $0) }, "a.swift", "\nwithKnownIssue { a() }\n", [2]),
    Case("skipped", { TestRules.switchedOff(in: $0) }, "a.swift", "throw XCTSkip()\n", [1]),
    Case("a bound", { TestRules.timeBounds(in: $0) }, "a.swift", "#expect(.now - a < .seconds(3))\n", [1]),
    Case("a lower bound", { TestRules.timeBounds(in: $0) }, "a.swift", "#expect(.now - a >= .seconds(3))\n", []),
    Case("a deadline", { TestRules.timeBounds(in: $0) }, "a.swift", "while .now - a < .seconds(3) {}\n", []),
  ]

  // MARK: - Rules over more than one file

  @Test func anExceptionThatIsGoneIsFound() {
    let exceptions = [SafetyRules.Exception("a.swift", "try!", "once")]
    #expect(SafetyRules.violations(in: [SourceFile("a.swift", "let a = 1\n")], exceptions: exceptions).count == 1)
    #expect(SafetyRules.violations(in: [SourceFile("a.swift", "try! a()\n")], exceptions: exceptions).isEmpty)
  }

  @Test func namesThatDifferByCaseAreFound() {
    #expect(TextRules.clashingNames(["a/b.c", "a/c.c", "A/b.c"]).map(\.path) == ["a/b.c"])
    #expect(TextRules.clashingNames(["a/b.c", "b/b.c"]).isEmpty)
  }

  @Test(arguments: [
    // Embedded, listed, migrations, what is wrong.
    ("1_a", "1_a", ["1_a"], 0),
    ("1_a", "", ["1_a"], 1),
    ("", "", ["1_a"], 1),
    ("1_a", "1_a", ["1_a", "2_b"], 1),
    ("1_b", "1_b", ["1_a"], 3),
    ("2_a", "2_a", ["2_a"], 1),
  ])
  func migrationsThatAreNotEmbeddedAreFound(embedded: String, listed: String, migrations: [String], count: Int) {
    func file(_ name: String) -> String { "migrations/000\(name).sql" }
    let source =
      (embedded.isEmpty ? "" : "#embed \"../../\(file(embedded))\"\n")
      + (listed.isEmpty ? "" : "    {\"\(file(listed))\", bytes, sizeof bytes},\n")
    let found = EmbeddingRules.violations(
      migrations: migrations.map(file), embedding: SourceFile(EmbeddingRules.path, source))
    #expect(found.count == count, "\(found)")
  }

  @Test(arguments: [("`ATests`", 0), ("`ATests`, `CTests`", 1), ("", 1), ("by hand", 1)])
  func everyThreatNeedsATestThatThereIs(shownBy: String, count: Int) {
    let table = """
      | entry | against | what stops it | shown by |
      |---|---|---|---|
      | a | b | c | \(shownBy) |

      | d | e |
      """
    let found = ThreatRules.violations(in: SourceFile("S.md", table), suites: ["ATests", "BTests"])
    #expect(found.count == count, "\(found)")
  }

  @Test func bodiesAreCounted() {
    let source = """
      struct A {
        init() {}
        func a(b: [Int] = [1]) -> Int {
          b { "}" }
        }
        func c()
        where B: C {
        }
        var d: Int { 1 }
      }
      """
    let found = SizeRules.functions(in: SourceFile("a.swift", source))
    #expect(found.map(\.line) == [2, 3, 6])
    #expect(found.map(\.bodyLines) == [0, 1, 0])
  }

  @Test(arguments: [
    ("a // b", "a     "),
    ("a /* b /* c */ d */ e", "a                   e"),
    (#"a("b\"c", d)"#, #"a("    ", d)"#),
    (##"a(#"b"c\d"#, e)"##, ##"a(#"     "#, e)"##),
    (#"a("\(b("c"))d")"#, #"a("\(b(" ")) ")"#),
    ("a(\"\"\"\nb \"c\"\n\"\"\")", "a(\"\"\"\n     \n\"\"\")"),
    ("\"a // b\"", "\"      \""),
  ])
  func whatIsNotCodeIsBlanked(source: String, code: String) { #expect(SwiftMask.blanked(source) == code) }

  private static func text(_ count: Int, of character: Character) -> String {
    String(repeating: character, count: count)
  }
  private static func lines(_ count: Int) -> String { String(repeating: "a\n", count: count) }
}
