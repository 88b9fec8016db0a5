import Foundation
import JSON
import Testing

@Suite struct JSONReaderTests {
  private func read(_ text: String) throws -> (value: JSONValue, faults: [JSONFault]) {
    try JSONReader.read(Array(text.utf8))
  }

  @Test func documentsComeBackAsTheyWereWritten() throws {
    for text in [
      "null", "true", "false", "0", "-0", "12345678901234567890", "1.50", "1e-7", "-1.25E+10", "\"\"", "[]", "{}",
      #"{"a":[1,{"b":null}],"ä":"中\n\"\\"}"#, #"["😀"]"#,
    ] {
      var json = JSONWriter()
      json.value(try read(" \n\t\r\(text) ").value)
      #expect(String(decoding: json.bytes, as: UTF8.self) == text)
    }
  }

  @Test func escapesAreRead() throws {
    let (value, faults) = try read(#""\u0041\ud83d\ude00\/\b\f\n\r\t\"\\""#)
    #expect(value == .string("A😀/\u{8}\u{C}\n\r\t\"\\"))
    #expect(faults.isEmpty)
  }

  @Test func whatIsNotJSONIsRefusedWithTheByte() {
    let table: [(String, Int)] = [
      ("", 0), ("{", 1), ("[1", 2), ("{\"a\"", 4), ("{\"a\":", 5), ("nul", 3), ("nulL", 3), ("\"abc", 4), ("\"\\", 2),
      ("\"\\u12", 5), ("1.", 2), ("1e", 2), ("-", 1), ("[1,]", 3), ("{\"a\":1,}", 7), ("{a:1}", 1), ("[1 2]", 3),
      ("01", 1), (".5", 0), ("+1", 0), ("NaN", 0), ("Infinity", 0), ("'a'", 0), ("[] []", 3), ("\"\u{1}\"", 1),
      ("\"\\x\"", 2), ("\"\\ud800\"", 1), ("\"\\udc00\"", 1), ("\"\\ud800\\u0041\"", 1), ("1.x", 2), ("// c", 0),
    ]
    for (text, offset) in table {
      #expect("\(text)") { try read(text) } throws: { ($0 as? JSONSyntaxError)?.offset == offset }
    }
  }

  @Test func invalidUTF8IsRefusedWithTheByte() {
    let table: [([UInt8], Int)] = [
      ([0x22, 0x61, 0xFF, 0x22], 2), ([0x22, 0xC0, 0x80, 0x22], 1), ([0x22, 0xED, 0xA0, 0x80, 0x22], 1),
      ([0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], 1), ([0x22, 0xE4, 0xB8, 0x22], 1), ([0x22, 0x5C, 0x6E, 0x80, 0x22], 3),
      ([0xEF, 0xBB, 0xBF, 0x5B, 0x5D], 0),
    ]
    for (bytes, offset) in table {
      #expect("\(bytes)") { try JSONReader.read(bytes) } throws: { ($0 as? JSONSyntaxError)?.offset == offset }
    }
  }

  @Test func depthIsLimitedToTheLevel() throws {
    func nested(_ levels: Int) -> String {
      String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
    }
    _ = try read(nested(32))
    #expect { try read(nested(33)) } throws: {
      $0 as? JSONSyntaxError == JSONSyntaxError.tooDeep(at: 32)
    }
    // A million brackets must not cost a stack frame each.
    #expect(throws: JSONSyntaxError.self) { try read(String(repeating: "[{\"a\":", count: 500_000)) }
  }

  @Test func whatCanBeReadButIsWrongIsReportedAllAtOnce() throws {
    let (value, faults) = try read(
      #"{"a":1,"a":2,"b":{"c/d~":1e999,"x":[0,"\u0000"]},"b":3,"\u0061":4,"n":-1e400}"#)
    #expect(
      faults.map(\.pointer) == ["/a", "/b/c~1d~0", "/b/x/1", "/b", "/a", "/n"])
    guard case .object(let object) = value else { return #expect(Bool(false)) }
    let one = try number("1")
    #expect(object["a"] == .number(one))
  }

  private func number(_ text: String) throws -> JSONNumber {
    guard case .number(let number) = try read(text).value else { throw JSONFault(pointer: "", detail: text) }
    return number
  }

  @Test func duplicatesAreFoundAmongManyMembersAndFaultsAreBounded() throws {
    let members = (0..<5_000).map { "\"k\($0)\":0" } + (0..<300).map { "\"k\($0)\":1" }
    let (value, faults) = try read("{" + members.joined(separator: ",") + "}")
    #expect(faults.count == 100)
    guard case .object(let object) = value else { return #expect(Bool(false)) }
    #expect(object.members.count == 5_000)
  }

  @Test func aDocumentOfTooManyValuesIsRefused() {
    let bytes = Array(("[" + String(repeating: "0,", count: 2_000_000) + "0]").utf8)
    #expect(throws: JSONSyntaxError.self) { try JSONReader.read(bytes) }
  }

  @Test func agreesWithFoundationOnRandomDocuments() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix64(state: seed)
    for _ in 0..<2_000 {
      var json = JSONWriter()
      json.value(try read(randomDocument(depth: 0, &generator)).value)
      let own = try JSONSerialization.jsonObject(with: Data(json.bytes), options: .fragmentsAllowed) as! NSObject
      let text = randomDocument(depth: 0, &generator)
      var again = JSONWriter()
      again.value(try read(text).value)
      let first = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed) as! NSObject
      let second = try JSONSerialization.jsonObject(with: Data(again.bytes), options: .fragmentsAllowed) as! NSObject
      #expect(first == second, "seed \(seed): \(text)")
      #expect(own == own.copy() as! NSObject)
    }
  }

  @Test func cutOrChangedDocumentsAreRefusedOrReadButNeverCrash() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix64(state: seed)
    let text = Array(
      #"{"provider":"acme","n":[1.5e3,-2,"é\u00e9\ud83d\ude00"],"o":{"a":{"b":[true,false,null]}}}"#.utf8)
    for length in 0..<text.count {
      #expect(throws: JSONSyntaxError.self) { try JSONReader.read(Array(text[..<length])) }
    }
    for _ in 0..<20_000 {
      var changed = text
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        changed[Int.random(in: changed.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      let own = try? JSONReader.read(changed)
      // What this reader takes, Foundation takes too: nothing is read that is no JSON.
      if let own, own.faults.isEmpty {
        #expect(
          (try? JSONSerialization.jsonObject(with: Data(changed), options: .fragmentsAllowed)) != nil,
          "seed \(seed): \(String(decoding: changed, as: UTF8.self))")
      }
    }
  }

  private func randomDocument(depth: Int, _ generator: inout SplitMix64) -> String {
    switch Int.random(in: 0...(depth > 4 ? 3 : 5), using: &generator) {
    case 0: return ["null", "true", "false"].randomElement(using: &generator)!
    case 1: return "\(Double.random(in: -1e6...1e6, using: &generator))"
    case 2: return "\(Int.random(in: -1000...1000, using: &generator))"
    case 3: return ["\"\"", "\"a\\u00e9b\"", "\"中文\"", "\"\\n\\\"\""].randomElement(using: &generator)!
    case 4:
      let items = (0..<Int.random(in: 0...4, using: &generator)).map { _ in randomDocument(depth: depth + 1, &generator)
      }
      return "[ " + items.joined(separator: " , ") + "]"
    default:
      let members = (0..<Int.random(in: 0...4, using: &generator)).map { index in
        "\"k\(index)\" : " + randomDocument(depth: depth + 1, &generator)
      }
      return "{" + members.joined(separator: ",\n") + "}"
    }
  }
}

extension JSONSyntaxError {
  fileprivate static func tooDeep(at offset: Int) -> JSONSyntaxError {
    do {
      _ = try JSONReader.read(Array(String(repeating: "[", count: offset + 1).utf8), depthLevelsMax: offset)
      preconditionFailure("read")
    } catch { return error }
  }
}

/// Vigna's SplitMix64, so that a failing case comes back from its seed.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
