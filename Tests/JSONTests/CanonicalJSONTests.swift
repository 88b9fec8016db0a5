import Testing

@testable import JSON

/// RFC 8785, by the examples of the standard itself.
@Suite struct CanonicalJSONTests {
  private func canonical(_ text: String) throws -> String {
    String(decoding: try JSONReader.read(Array(text.utf8)).value.canonical, as: UTF8.self)
  }

  /// Section 3.2.2 and 3.2.4.
  @Test func theExampleOfTheStandardComesOut() throws {
    let text = #"""
      {
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
      }
      """#
    #expect(
      try canonical(text)
        == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
        + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#)
  }

  /// Section 3.2.3: by UTF-16, in which the emoji comes before U+FB33.
  @Test func membersAreSortedByUTF16() throws {
    let text = #"""
      {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}
      """#
    #expect(
      try canonical(text) == "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"😀\":5,\"\u{fb33}\":3}")
  }

  /// Appendix B, those that are JSON numbers.
  @Test(
    arguments: [
      (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
      (0x8000_0000_0000_0001, "-5e-324"), (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
      (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"), (0x4340_0000_0000_0000, "9007199254740992"),
      (0xc340_0000_0000_0000, "-9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
      (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"), (0x44b5_2d02_c7e1_4af6, "1e+23"),
      (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"), (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
      (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"), (0x444b_1ae4_d6e2_ef50, "1e+21"),
      (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"), (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
      (0x41b3_de43_5555_5553, "333333333.3333332"), (0x41b3_de43_5555_5554, "333333333.33333325"),
      (0x41b3_de43_5555_5555, "333333333.3333333"), (0x41b3_de43_5555_5556, "333333333.3333334"),
      (0x41b3_de43_5555_5557, "333333333.33333343"), (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
      (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] as [(UInt64, String)])
  func numbersAreWrittenAsECMAScriptDoes(_ bits: UInt64, _ text: String) throws {
    #expect(try canonical(Double(bitPattern: bits).description) == text)
  }

  @Test func controlCharactersAreEscapedInTheShortestWay() throws {
    #expect(try canonical(#""\u0008\u0009\u000a\u000c\u000d\u001f\u007f""#) == "\"\\b\\t\\n\\f\\r\\u001f\u{7f}\"")
  }
}
