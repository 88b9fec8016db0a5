import Foundation
import JSON
import Testing

@testable import HTTPServer
@testable import Service

/// Readers of what anybody can send, given inputs made from a corpus: each is read, or refused by its typed error. What
/// is read in canonical form reads as itself. A trap ends the run; the seed of a round is in its message.
///
/// `make fuzz` goes on for longer and prints how many inputs there were.
@Suite struct HostileInputTests {
  /// Inputs made for each reader.
  private static let executions = Int(ProcessInfo.processInfo.environment["RELAYRISK_FUZZ_EXECUTIONS"] ?? "") ?? 5_000

  /// - Parameter read: whether it was accepted; throws what is no typed refusal.
  private func run(_ name: String, _ seeds: [[UInt8]], _ read: ([UInt8]) throws -> Bool) throws {
    try #require(!seeds.isEmpty)
    let seed = UInt64.random(in: 0...UInt64.max)
    var mutator = ByteMutator(seed: seed)
    var accepted = 0
    for input in seeds where try read(input) { accepted += 1 }
    for execution in 0..<Self.executions {
      let input = mutator.mutate(seeds)
      do {
        if try read(input) { accepted += 1 }
      } catch {
        let text = String(decoding: input, as: UTF8.self)
        Issue.record("\(name), seed \(seed), execution \(execution): \(error): \(text)")
        return
      }
    }
    print("hostile input: \(name): \(Self.executions) inputs, \(accepted) accepted")
  }

  private func corpus(_ name: String) throws -> [[UInt8]] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/hostile")
    let text = try String(contentsOf: folder.appendingPathComponent(name + ".txt"), encoding: .utf8)
    return text.split(separator: "\n").map { Array($0.utf8) }
  }

  /// Runs a reader of text over a corpus of lines.
  private func run(_ name: String, _ read: (String) throws -> Bool) throws {
    try run(name, try corpus(name)) { try read(String(decoding: $0, as: UTF8.self)) }
  }

  struct Unstable: Error { let first, second: String }

  private func check(_ first: String, isReadAs second: String) throws {
    if first != second { throw Unstable(first: first, second: second) }
  }

  @Test func json() throws {
    try run("json", try corpus("json")) { bytes in
      guard let document = try? JSONReader.read(bytes) else { return false }
      var first = JSONWriter()
      first.value(document.value)
      var second = JSONWriter()
      second.value(try JSONReader.read(first.bytes).value)
      try check(String(decoding: first.bytes, as: UTF8.self), isReadAs: String(decoding: second.bytes, as: UTF8.self))
      return true
    }
  }

  @Test func hosts() throws {
    try run("host") { text in
      guard let host = try? Host(text) else { return false }
      try check(host.text, isReadAs: try Host(host.text).text)
      return host.text.utf8.allSatisfy { 0x21...0x7E ~= $0 && !(0x41...0x5A ~= $0) }
    }
  }

  @Test func targets() throws {
    try run("target") { text in
      guard let target = try? TargetAddress(text) else { return false }
      try check(target.text, isReadAs: try TargetAddress(target.text).text)
      return true
    }
  }

  @Test func cursors() throws {
    try run("cursor") { text in
      guard let cursor = try? Cursor(parsing: text) else { return false }
      try check(cursor.text, isReadAs: try Cursor(parsing: cursor.encoded).text)
      return true
    }
  }

  @Test func times() throws {
    try run("instant") { text in
      guard let instant = Instant(rfc3339: text) else { return false }
      try check("\(instant.milliseconds)", isReadAs: "\(Instant(rfc3339: instant.rfc3339)?.milliseconds ?? -1)")
      return true
    }
  }

  @Test func rangesOfAddresses() throws {
    try run("range") { text in
      guard let range = try? AddressRange(text) else { return false }
      try check("\(range)", isReadAs: "\(try AddressRange("\(range)"))")
      return true
    }
  }

  @Test func requestLines() async throws {
    try await withInstance { instance in
      let router = try instance.service.router()
      try run("request") { line in
        let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 3, let target = try? Target(words[1]), (try? target.checkPath()) != nil,
          (try? target.queryItems()) != nil
        else { return false }
        if case .notFound = router.match(Method(rawValue: words[0]), target) { return false }
        return true
      }
    }
  }

  /// The header fields of a line, between bars.
  private func fields(_ line: String) -> [(name: String, value: String)] {
    line.split(separator: "|").map { field in
      let parts = field.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      return (name: parts[0], value: parts.count > 1 ? String(parts[1].trimmingPrefix(" ")) : "")
    }
  }

  @Test func headers() throws {
    try run("headers") { line in
      let fields = fields(line)
      guard let framing = try? Framing(headers: Headers(fields), isHTTP10: false) else { return false }
      // One meaning alone: never a length where chunks are announced too.
      let names = fields.map { $0.name.lowercased() }
      switch framing.body {
      case .none: return true
      case .length: try check("\(names.contains("transfer-encoding"))", isReadAs: "false")
      case .chunked: try check("\(names.contains("content-length"))", isReadAs: "false")
      }
      return true
    }
  }

  @Test func structuredFields() throws {
    try run("structured") { text in
      guard let entries = try? StructuredField.dictionary([text]) else { return false }
      let written = entries.map { "\($0.name)=\($0.member)" }.joined(separator: ", ")
      let read = try StructuredField.dictionary([written])
      try check(written, isReadAs: read.map { "\($0.name)=\($0.member)" }.joined(separator: ", "))
      return entries == read
    }
  }

  @Test func signaturesOfRequests() throws {
    let now = Instant(milliseconds: 1_618_884_473_000)
    try run("signature") { line in
      let head = RequestHead(method: .post, target: "/v1/probe-results", headers: Headers(fields(line)))
      let request: SignedRequest
      do throws(JSONFaults) { request = try SignedRequest(head, now: now) } catch {
        // Whatever is refused is refused with a reason.
        try check("\(error.faults.isEmpty)", isReadAs: "false")
        return false
      }
      // Nobody has signed what is made of the corpus.
      try check("\(request.isSigned(with: Self.signingKey(of: .least)))", isReadAs: "false")
      return !request.digest.matches([])
    }
  }

  /// What the results of the corpus are signed with.
  private static func signingKey(of source: Identifier) -> Service.SigningKey {
    Service.SigningKey(
      id: Identifier(parsing: "019ab0c1-4a5b-7c6d-8e7f-a01234567890")!, sourceID: source, name: "corpus",
      publicKey: .init(rawRepresentation: Array(Data(base64Encoded: "OdUvYz9uD5ZCqMeaMZilTvY8fJfwkq2Bx6vyt+JbnEo=")!)),
      createdAt: Instant(milliseconds: 0))
  }

  @Test func results() async throws {
    try await withRegisteredRelay { instance in
      let parts = instance.service.parts
      let keys = SigningKeyRing()
      let key = Self.signingKey(of: try parts.registry.existingSource("lab").id)
      keys.replace(with: [key])
      let decoder = ProbeResultDecoder(
        registry: parts.registry, signingKeys: keys, methodology: parts.catalogue.methodology,
        principal: Principal(key), now: parts.clock.now())
      try run("result", try corpus("result")) { bytes in
        guard let (value, faults) = try? JSONReader.read(bytes) else { return false }
        let result: ProbeResult
        do throws(JSONFaults) { result = try decoder.decode(value, readerFaults: faults) } catch {
          try check("\(error.faults.isEmpty)", isReadAs: "false")
          return false
        }
        guard let signature = result.signature else { return true }
        // What is kept can be verified from itself, and is in the one form.
        let signed = Array(signature.signed.utf8)
        try check("\(signature.publicKey.isValid(signature.value, of: signed))", isReadAs: "true")
        let again = try JSONReader.read(signed).value.canonical
        try check(signature.signed, isReadAs: String(decoding: again, as: UTF8.self))
        return true
      }
    }
  }

  @Test func whatIsSignedOfResults() throws {
    try run("signed", try corpus("result") + corpus("json")) { bytes in
      guard let (value, faults) = try? JSONReader.read(bytes), faults.isEmpty,
        let signed = try? ResultSignature.signedBytes(of: value)
      else { return false }
      let again = try JSONReader.read(signed).value.canonical
      try check(String(decoding: signed, as: UTF8.self), isReadAs: String(decoding: again, as: UTF8.self))
      return true
    }
  }

  @Test func reportsOfTestSSL() throws {
    let names = ["3.0.8-closed-flat", "3.0.8-closed-pretty", "3.3dev-closed-pretty", "3.0.8-two-targets-flat"]
    try run("testssl", try names.map { try testSSLFixture($0) }) { bytes in
      guard let report = try? TestSSLReport(bytes) else { return false }
      for target in report.targets { _ = target.conclusions().map { $0.evidence(version: nil) } }
      return true
    }
  }
}

/// Makes inputs of inputs: bytes changed, cut out, doubled, put together, and those that readers stumble over put in.
struct ByteMutator {
  private var generator: SeededGenerator
  private static let stumbling: [[UInt8]] = [
    [0], [0x0D, 0x0A], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], Array("%00".utf8),
    Array("%2f".utf8), Array("\\u0000".utf8), Array("\\ud800".utf8), Array("-0".utf8), Array("1e309".utf8),
    Array("99999999999999999999".utf8), Array("..".utf8), Array("[[[[".utf8), Array("\u{202E}".utf8),
    Array("\u{FEFF}".utf8), Array("xn--".utf8), Array("::".utf8), Array("\"".utf8), Array("{".utf8), Array("}".utf8),
  ]

  init(seed: UInt64) { generator = SeededGenerator(state: seed) }

  mutating func mutate(_ seeds: [[UInt8]]) -> [UInt8] {
    var bytes = seeds.randomElement(using: &generator)!
    for _ in 0..<Int.random(in: 1...6, using: &generator) { change(&bytes, seeds) }
    return bytes
  }

  private mutating func change(_ bytes: inout [UInt8], _ seeds: [[UInt8]]) {
    let place = Int.random(in: 0...bytes.count, using: &generator)
    let end = min(bytes.count, place + Int.random(in: 0...16, using: &generator))
    switch Int.random(in: 0..<6, using: &generator) {
    case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &generator)
    case 1 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
    case 2: bytes.removeSubrange(place..<end)
    case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
    case 4:
      let other = seeds.randomElement(using: &generator)!
      bytes = Array(bytes[..<place] + other.suffix(Int.random(in: 0...other.count, using: &generator)))
    default: bytes.insert(contentsOf: Self.stumbling.randomElement(using: &generator)!, at: place)
    }
  }
}
