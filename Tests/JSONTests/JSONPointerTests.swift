import Testing

@testable import JSON

struct JSONPointerTests {
  private let document = try! JSONReader.read(Array(#"{"a":{"b/c":[1,{"~d":"x"}],"":2},"e":null}"#.utf8)).value

  private func text(_ value: JSONValue?) -> String? {
    value.map { value in
      var json = JSONWriter()
      json.value(value)
      return String(decoding: json.bytes, as: UTF8.self)
    }
  }

  @Test func aPointerNamesOneValueOrNone() {
    let places = [
      "": #"{"a":{"b/c":[1,{"~d":"x"}],"":2},"e":null}"#, "/a/b~1c/0": "1", "/a/b~1c/1/~0d": #""x""#, "/a/": "2",
      "/e": "null",
    ]
    for (pointer, expected) in places { #expect(text(document.value(at: pointer)) == expected, "\(pointer)") }
    for pointer in ["a", "/x", "/a/b", "/a/b~1c/2", "/a/b~1c/00", "/a/b~1c/-", "/a/b~2c", "/a/b~", "/e/x"] {
      #expect(document.value(at: pointer) == nil, "\(pointer)")
      #expect(document.replacing(pointer, with: .null) == nil, "\(pointer)")
    }
  }

  @Test func oneValueIsReplacedAndTheRestStays() {
    #expect(
      text(document.replacing("/a/b~1c/1/~0d", with: .bool(true)))
        == #"{"a":{"b/c":[1,{"~d":true}],"":2},"e":null}"#)
    #expect(text(document.replacing("/a/b~1c/0", with: .null)) == #"{"a":{"b/c":[null,{"~d":"x"}],"":2},"e":null}"#)
    #expect(text(document.replacing("", with: .null)) == "null")
  }
}
