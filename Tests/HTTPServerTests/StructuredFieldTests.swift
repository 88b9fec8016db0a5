import Testing

@testable import HTTPServer

/// Structured fields (RFC 8941): what can be read, what it is written as, and what cannot be read.
@Suite struct StructuredFieldTests {
  @Test(arguments: [
    ("", ""), ("  ", ""), ("a", "a=?1"), ("a=1", "a=1"), ("a=-15", "a=-15"), ("a=00042", "a=42"),
    ("a=-0", "a=0"), ("a=999999999999999", "a=999999999999999"), ("a=-999999999999999", "a=-999999999999999"),
    ("a=1.5", "a=1.5"), ("a=-0.125", "a=-0.125"), ("a=1.500", "a=1.5"), ("a=2.0", "a=2.0"),
    ("a=999999999999.999", "a=999999999999.999"),
    ("a=\"\"", "a=\"\""), ("a=\"b c\"", "a=\"b c\""), (#"a="\"\\""#, #"a="\"\\""#),
    ("a=tok", "a=tok"), ("a=*t/o:k!", "a=*t/o:k!"), ("a=?0", "a=?0"), ("a=?1", "a=?1"),
    ("a=::", "a=::"), ("a=:AA==:", "a=:AA==:"), ("a=:aGVsbG8=:", "a=:aGVsbG8=:"), ("a=:+/+/:", "a=:+/+/:"),
    ("a=1,b=2", "a=1, b=2"), ("a=1 , \t b=2", "a=1, b=2"), ("  a=1  ", "a=1"), ("a\t", "a=?1"),
    ("*a_-.*9=1", "*a_-.*9=1"),
    ("a;b", "a=?1;b"), ("a=1;b;c=2", "a=1;b;c=2"), ("a=1; b=\"x\"", "a=1;b=\"x\""), ("a=1;b=?1", "a=1;b"),
    ("a=1;b=?0", "a=1;b=?0"),
    ("a=()", "a=()"), ("a=( )", "a=()"), ("a=(1 2)", "a=(1 2)"), ("a=(  1   2  )", "a=(1 2)"),
    ("a=(\"x\";y \"z\");k=1;l", "a=(\"x\";y \"z\");k=1;l"),
    (#"s=("@path" "a");created=1618884473;keyid="k""#, #"s=("@path" "a");created=1618884473;keyid="k""#),
  ])
  func whatIsADictionaryIsReadAndWritten(text: String, expected: String) throws {
    let written = try StructuredField.dictionary([text]).map { "\($0.name)=\($0.member)" }.joined(separator: ", ")
    #expect(written == expected)
    // What is written is read as the same.
    #expect(try StructuredField.dictionary([written]) == StructuredField.dictionary([text]))
  }

  @Test func linesOfAFieldAreOne() throws {
    #expect(try StructuredField.dictionary(["a=1", "b=2"]) == StructuredField.dictionary(["a=1, b=2"]))
    #expect(throws: StructuredField.Fault.self) { try StructuredField.dictionary(["a=1", "a=2"]) }
    #expect(throws: StructuredField.Fault.self) { try StructuredField.dictionary(["a=1", ""]) }
  }

  @Test(arguments: [
    // Where members begin and end.
    ",", "a,", "a=1,", "a=1,,b", "a=1 b=2", "a=1;", "a=", "a= 1", "a =1", "=1", "1", "A=1", "\ta", "a=1\n",
    "a,a", "a=1, b=2, a=3", "ä=1", "-a=1", "a=1;;b", "a=1;B", "a=1;b=", "a=1 ;b", "a=1;b;b", "a=1;\tb", "\u{0}",
    // Numbers.
    "a=-", "a=+1", "a=1.", "a=.5", "a=1.2345", "a=1000000000000000", "a=1000000000000.1", "a=--1", "a=1e3", "a=0x1",
    // Strings and tokens.
    "a=\"", "a=\"b", "a=\"\\\"", "a=\"\\n\"", "a=\"\t\"", "a=\"ä\"", "a=\"\u{7F}\"", "a='b'", "a=@b", "a=/b", "a=tok\"",
    // Booleans and bytes.
    "a=?", "a=?2", "a=?true", "a=:", "a=:AA", "a=:AA:", "a=:AB==:", "a=:AAB=:", "a=:A===:", "a=:====:", "a=:A A=:",
    "a=:AA==", "a=:-_-_:", "a=:AA==AA==:", "a=:AA=A:",
    // Inner lists.
    "a=(", "a=(1", "a=(1 2", "a=1)", "a=(1,2)", "a=(1\t2)", "a=(1)(2)", "a=((1))", "a=(\"x\"\"y\")", "a=(1;)", "a=(=1)",
    "(1)", "a=();", "a=() x",
    // Types of later documents.
    "a=@1659578233", "a=%\"x\"",
  ])
  func whatIsNoDictionaryIsRefused(text: String) {
    #expect(throws: StructuredField.Fault.self) { try StructuredField.dictionary([text]) }
  }

  @Test func faultsSayWhere() throws {
    for (text, expected) in [
      ("a=1, b=", "cannot be read at byte 7: a value is missing"),
      ("a=1, a=2", "cannot be read at byte 5: a is there twice"),
      ("a=(\"x\"", "cannot be read at byte 6: a space or ) is missing"),
      ("a=:A:", "cannot be read at byte 2: it is not base64"),
    ] {
      let fault = try #require(throws: StructuredField.Fault.self) { try StructuredField.dictionary([text]) }
      #expect(fault.description == expected)
    }
  }

  /// The vectors of RFC 4648, section 10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ("foobar", "Zm9vYmFy"),
  ])
  func base64HasOneText(plain: String, encoded: String) {
    #expect(Base64.encode(Array(plain.utf8)) == encoded)
    #expect(Base64.decode(Array(encoded.utf8)) == Array(plain.utf8))
  }

  @Test func base64IsItsOwnInverse() {
    let bytes = (0...255).map { UInt8($0) }
    for count in 0...256 {
      let text = Base64.encode(bytes.prefix(count))
      #expect(Base64.decode(Array(text.utf8)) == Array(bytes.prefix(count)))
    }
  }

  @Test(
    arguments: [
      ("/a", "/a", nil), ("/a?", "/a", ""), ("/a?b=c&d", "/a", "b=c&d"), ("/a%2Fb?c?d", "/a%2Fb", "c?d"),
      ("http://example.com/a/?b", "/a/", "b"), ("*", "*", nil),
    ] as [(String, String, String?)])
  func targetsAreTakenApartAsTheyWereSent(target: String, path: String, query: String?) {
    let head = RequestHead(method: .get, target: target)
    #expect(head.rawPath == path)
    #expect(head.rawQuery.map(String.init) == query)
  }
}
