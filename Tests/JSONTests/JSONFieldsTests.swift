import JSON
import Testing

@Suite struct JSONFieldsTests {
  private enum Color: String, CaseIterable { case red, green }

  private func faults(_ text: String, _ body: (inout JSONFields) throws -> Void) throws -> [String] {
    let (value, readerFaults) = try JSONReader.read(Array(text.utf8))
    var fields = JSONFields(value, faults: readerFaults)
    try body(&fields)
    do throws(JSONFaults) {
      try fields.finish()
      return []
    } catch {
      return error.faults.map(\.pointer)
    }
  }

  @Test func everyFaultIsNamedAtOnce() throws {
    let found = try faults(
      #"{"name":"","age":"x","color":"blue","list":[1,"a",2.5],"inner":{"deep":5,"extra":1},"extra":1,"nil":null}"#
    ) { fields in
      _ = fields.required("name") { try $0.string(bytesMin: 1) }
      _ = fields.required("age") { try $0.double() }
      _ = fields.optional("color") { try $0.oneOf(Color.self) }
      _ = fields.optional("list") { try $0.array { try $0.integer(in: 0...9) } }
      _ = fields.optional("inner") { field in
        try field.object { fields in _ = fields.required("deep") { try $0.string() } }
      }
      _ = fields.required("missing") { try $0.bool() }
      _ = fields.required("nil") { try $0.bool() }
    }
    #expect(
      found == [
        "/name", "/age", "/color", "/list/1", "/list/2", "/inner/deep", "/inner/extra", "/missing", "/nil", "/extra",
      ])
  }

  @Test func whatIsRightIsRead() throws {
    let found = try faults(#"{"s":"é","d":1.5,"i":3,"b":true,"c":"red","a":[1,2],"z":null}"#) { fields in
      #expect(fields.required("s") { try $0.string(bytesMax: 2) } == "é")
      #expect(fields.required("d") { try $0.double() } == 1.5)
      #expect(fields.required("i") { try $0.integer(in: 1...3) } == 3)
      #expect(fields.required("b") { try $0.bool() } == true)
      #expect(fields.required("c") { try $0.oneOf(Color.self) } == .red)
      #expect(fields.required("a") { try $0.array(count: 2...2) { try $0.integer(in: 0...9) } } == [1, 2])
      #expect(fields.optional("z") { try $0.bool() } == nil)
      #expect(fields.optional("absent") { try $0.bool() } == nil)
    }
    #expect(found == [])
  }

  @Test func limitsAreInBytesAndCounts() throws {
    let found = try faults(#"{"s":"éé","a":[1,2,3],"i":4.0,"big":99999999999999999999}"#) { fields in
      _ = fields.required("s") { try $0.string(bytesMax: 3) }
      _ = fields.required("a") { try $0.array(count: 0...2) { try $0.integer(in: 0...9) } }
      _ = fields.required("i") { try $0.integer(in: 0...9) }
      _ = fields.required("big") { try $0.integer(in: 0...9) }
    }
    #expect(found == ["/s", "/a", "/i", "/big"])
  }

  @Test func aDocumentThatIsNoObjectIsOneFault() throws {
    let found = try faults("[]") { fields in _ = fields.required("a") { try $0.bool() } }
    #expect(found == [""])
  }

  @Test func writtenDocumentsAreJSON() throws {
    var json = JSONWriter()
    json.object { json in
      json.member("s", "a\"b\\\n\u{1}é")
      json.member("none", nil as Double?)
      json.member("d", 0.1)
      json.array("list", [1, 2]) { $0.value($1) }
      json.object("o") { json in json.member("t", true) }
      json.array("empty", [Int]()) { $0.value($1) }
      json.member("raw", json: Array("[1]".utf8))
    }
    #expect(
      String(decoding: json.bytes, as: UTF8.self)
        == #"{"s":"a\"b\\\n\u0001é","none":null,"d":0.1,"list":[1,2],"o":{"t":true},"empty":[],"raw":[1]}"#)
    #expect(try JSONReader.read(json.bytes).faults.isEmpty)
  }
}
