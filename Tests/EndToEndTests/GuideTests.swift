import Foundation
import TestHarness
import Testing

/// The pages of docs/, whose shell blocks are run as they are printed.
@Suite struct GuideTests {
  @Test(arguments: ["scanner-authors", "admins", "portal-developers", "operators"])
  func everyBlockOfAGuideWorksAsPrinted(_ name: String) async throws {
    let guide = try Document("docs/\(name).md")
    let blocks = guide.blocks("sh")
    #expect(blocks.count > 3)
    let service = RunningService()
    try await service.start()
    let key = try await service.createKey()
    let printed = try guide.run(blocks, against: service, key: key)
    switch name {
    case "scanner-authors":
      #expect(printed.contains(#""accepted":2,"duplicates":0,"rejected":0"#))
      #expect(printed.contains("accepted 2, duplicates 0, rejected 0\n"))
      // The signed one.
      #expect(printed.contains(#""observed_at":"2026-11-22T08:10:00.000Z""#))
    case "admins":
      #expect(printed.contains(#""matched":1,"voided":0,"dry_run":true"#))
      #expect(printed.contains(#""matched":1,"voided":1,"dry_run":false"#))
      #expect(printed.contains(#""verdict":"block""#))
    case "portal-developers": #expect(printed.hasSuffix("304\n") || printed.hasSuffix("200\n"))
    default:
      #expect(printed.contains("nothing is pending"))
      #expect(printed.contains(": no fault; the log ends at ") && printed.contains("every hash comes out"))
    }
    await service.end(SIGTERM)
  }
}
