import Foundation
import TestHarness
import Testing

struct MasterKeyTests {
  private func mode(of path: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
  }

  @Test func aPrivateClusterMakesItsKeyOnceAndOthersMayNotReadIt() async throws {
    let directory = TemporaryDirectory.make()
    ExitCleanup.add(directory)
    let key = directory + "/master.key"
    let list = ["keys", "list", "--data-dir", directory]
    #expect(try await Program.run(list).status == 0)
    let made = try String(contentsOfFile: key, encoding: .utf8)
    #expect(Data(base64Encoded: made.trimmingCharacters(in: .newlines))?.count == 32)
    #expect(try mode(of: key) == 0o600)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("master") }.count == 1)
    #expect(try await Program.run(list).status == 0)
    #expect(try String(contentsOfFile: key, encoding: .utf8) == made)

    chmod(key, 0o640)
    let refused = try await Program.run(list)
    #expect(refused.status != 0 && refused.errors.contains("chmod 600 \(key)"), "\(refused)")
    let named = try await Program.run(list + ["--master-key-file", key])
    #expect(named.status != 0 && named.errors.contains("chmod 600 \(key)"), "\(named)")
    chmod(key, 0o400)
    #expect(try await Program.run(list + ["--master-key-file", key]).status == 0)
    try "none".write(toFile: key + ".other", atomically: false, encoding: .utf8)
    chmod(key + ".other", 0o600)
    let wrong = try await Program.run(list + ["--master-key-file", key + ".other"])
    #expect(wrong.status != 0 && wrong.errors.contains("Base64"), "\(wrong)")
  }
}
