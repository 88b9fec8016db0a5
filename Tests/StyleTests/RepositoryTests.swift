import Testing

/// The rules, held against the repository as it is. A rule that finds something says where and what to do.
@Suite struct RepositoryTests {
  @Test func theRepositoryIsFound() throws {
    #expect(Repository.sources.count > 100)
    #expect(Repository.tests.contains { $0.path == "Tests/StyleTests/RepositoryTests.swift" })
    #expect(Repository.paths.contains("Package.swift"))
  }

  @Test func targetsImportOnlyWhatTheyMay() { expectNone(ImportRules.violations(in: Repository.swift)) }

  @Test func everyTargetHasARow() {
    // The C targets hold no Swift.
    let targets = Set(Repository.sources.filter(\.isSwift).map(\.target))
    #expect(Set(ImportRules.allowed.keys) == targets)
  }

  @Test func safetyIsSwitchedOffOnlyForAReason() { expectNone(SafetyRules.violations(in: Repository.sources)) }

  @Test func filesAreShort() { expectNone(SizeRules.longFiles(in: Repository.sources.filter(\.isSwift))) }

  @Test func functionsAreShort() { expectNone(SizeRules.longFunctions(in: Repository.swift)) }

  @Test func linesAreShort() { expectNone(SizeRules.longLines(in: Repository.swift)) }

  @Test func nothingIsIndentedByTabs() { expectNone(SizeRules.tabs(in: Repository.swift)) }

  @Test func everyFileDeclaresSomething() { expectNone(TextRules.emptyFiles(in: Repository.swift)) }

  @Test func nothingIsLeftForLater() {
    let files = Repository.sources + Repository.tests + Repository.migrations + Repository.documents
    expectNone(TextRules.forbiddenWords(in: files))
  }

  @Test func namesDifferByMoreThanCase() { expectNone(TextRules.clashingNames(Repository.paths)) }

  @Test func documentsNameFilesThatExist() {
    expectNone(TextRules.unknownFiles(in: Repository.documents, existing: Repository.paths))
  }

  @Test func everyThreatNamesItsTest() throws {
    let suites = Set(Repository.tests.map { String($0.name.dropLast(".swift".count)) })
    expectNone(ThreatRules.violations(in: try Repository.file("SECURITY.md"), suites: suites))
  }

  @Test func everyMigrationIsEmbedded() throws {
    expectNone(
      EmbeddingRules.violations(
        migrations: Repository.migrations.map(\.path), embedding: try Repository.file(EmbeddingRules.path)))
  }

  @Test func noTestIsSwitchedOff() { expectNone(TestRules.switchedOff(in: Repository.tests)) }

  @Test func noTestMeasuresTime() { expectNone(TestRules.timeBounds(in: Repository.tests)) }

  private func expectNone(_ violations: [Violation], sourceLocation: SourceLocation = #_sourceLocation) {
    for violation in violations { Issue.record("\(violation)", sourceLocation: sourceLocation) }
  }
}
