import Foundation
import RiskModel
import Testing

@testable import Service

@Suite struct VocabularyTests {
  @Test func timesAreReadWithAnyOffsetAndPrecisionAndCutToTheMillisecond() {
    let table: [(String, String?)] = [
      ("2026-11-23T08:00:00.000Z", "2026-11-23T08:00:00.000Z"),
      ("2026-11-23t08:00:00z", "2026-11-23T08:00:00.000Z"),
      ("2026-11-23T08:00:00.9999999Z", "2026-11-23T08:00:00.999Z"),
      ("2026-11-23T16:30:00.5+08:30", "2026-11-23T08:00:00.500Z"),
      ("2026-11-22T23:00:00-09:00", "2026-11-23T08:00:00.000Z"),
      ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
      ("2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000Z"),
      ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
      ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
      ("2023-02-29T00:00:00Z", nil), ("1900-02-29T00:00:00Z", nil), ("2026-13-01T00:00:00Z", nil),
      ("9999-12-31T23:59:59-00:01", nil), ("0000-01-01T00:00:00+00:01", nil),
      ("2026-11-31T00:00:00Z", nil), ("2026-11-23T24:00:00Z", nil), ("2026-11-23 08:00:00Z", nil),
      ("2026-11-23T08:00:00", nil), ("2026-11-23T08:00Z", nil), ("2026-11-23T08:00:00.Z", nil),
      ("2026-11-23T08:00:00+0800", nil), ("2026-11-23T08:00:00Zx", nil), ("", nil), ("２026-11-23T08:00:00Z", nil),
    ]
    for (input, expected) in table { #expect(Instant(rfc3339: input)?.rfc3339 == expected, "\(input)") }
  }

  @Test func timesAgreeWithFoundationOverFourCenturies() {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    var milliseconds: Int64 = -2_208_988_800_000  // 1900
    while milliseconds < 10_413_792_000_000 {  // 2300
      let expected = formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1000))
      #expect(Instant(milliseconds: milliseconds).rfc3339 == expected)
      #expect(Instant(rfc3339: expected)?.milliseconds == milliseconds)
      milliseconds += 86_400_000 * 97 + 12_345_000
    }
  }

  @Test func identifiersGrowStrictlyAlsoWithinAMillisecondAndWhenTheClockGoesBack() {
    let generator = IdentifierGenerator()
    var last = generator.next(at: Instant(milliseconds: 1_700_000_000_000))
    for step in 0..<20_000 {
      let next = generator.next(at: Instant(milliseconds: 1_700_000_000_000 - Int64(step % 7)))
      #expect(last < next)
      last = next
    }
    let text = last.description
    #expect(text.dropFirst(14).first == "7")
    #expect("89ab".contains(text.dropFirst(19).first!))
    #expect(Identifier(parsing: text) == last)
  }

  @Test func slugsAreWhatTheContractSays() {
    for good in ["a", "0", "acme", "a.b-c", "a--b", String(repeating: "a", count: 63)] {
      #expect((try? Slug(good))?.text == good)
    }
    for bad in [
      "", "-a", "a-", ".a", "a.", "A", "a_b", "a b", "ä", String(repeating: "a", count: 64), "import", "export",
      "01a206b2-9982-70c7-9da0-eb004864e187",
    ] { #expect((try? Slug(bad)) == nil, "\(bad)") }
  }

  @Test func hostsHaveOneForm() throws {
    let table: [(String, String?)] = [
      ("Relay.Example", "relay.example"), ("relay.example.", "relay.example"), ("中转.example", "xn--fiqq40n.example"),
      ("XN--FIQQ40N.example", "xn--fiqq40n.example"), ("faß.example", "xn--fa-hia.example"),
      ("bücher.example", "xn--bcher-kva.example"), ("ＲＥＬＡＹ.example", "relay.example"),
      ("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("2001:DB8::0:1", "2001:db8::1"),
      ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
      ("localhost", "localhost"),
      ("", nil), ("a b", nil), ("a..b", nil), (".a", nil), ("a/b", nil), ("a:80", nil), ("https://a.example", nil),
      ("-a.example", nil), ("a-.example", nil), ("a_b.example", nil), ("a＿b.example", nil), ("256.1.1.1", nil),
      ("1.2.3", nil), ("0x7f.1", nil),
      ("[1.2.3.4]", nil), ("a%00.example", nil), ("user@a.example", nil), ("a\u{0}.example", nil), ("*.example", nil),
      (String(repeating: "a", count: 64) + ".example", nil), (String(repeating: "a.", count: 127) + "example", nil),
    ]
    for (input, expected) in table { #expect((try? Host(input))?.text == expected, "\(input)") }
  }

  @Test func publicSuffixesAreTold() throws {
    for suffix in ["com", "co.uk", "vercel.app", "github.io", "localhost", "example"] {
      #expect(PublicSuffixes.contains(try Host(suffix)), "\(suffix)")
    }
    for own in ["relay.example", "foo.vercel.app", "bbc.co.uk", "127.0.0.1", "::1"] {
      #expect(!PublicSuffixes.contains(try Host(own)), "\(own)")
    }
  }

  @Test func targetsHaveOneForm() throws {
    let table: [(String, String?)] = [
      ("h.example", "h.example"), ("https://H.example", "h.example"), ("https://h.example:443/", "h.example"),
      ("h.example:443", "h.example"), ("h.example:80", "h.example:80"), ("h.example:", "h.example"),
      ("http://h.example:80/", "http://h.example"), ("http://h.example:443", "http://h.example:443"),
      ("https://h.example/v1/?a=b#c", "https://h.example/v1"), ("HTTPS://h.example/V1", "https://h.example/V1"),
      ("https://h.example:8443/v1", "https://h.example:8443/v1"), ("https://h.example?x", "h.example"),
      ("https://中转.example/路", "https://xn--fiqq40n.example/%E8%B7%AF"), ("[::1]:8443", "[::1]:8443"),
      ("::1", "[::1]"), ("https://[::1]", "[::1]"), ("10.0.0.1:8080", "10.0.0.1:8080"),
      ("", nil), ("ftp://h.example", nil), ("h.example/path", nil), ("https://u:p@h.example", nil),
      ("h.example:0", nil), ("h.example:65536", nil), ("h.example:x", nil), ("https://", nil), ("a b", nil),
      ("https://h.example/" + String(repeating: "a", count: 2_048), nil),
    ]
    for (input, expected) in table { #expect((try? TargetAddress(input))?.text == expected, "\(input)") }
    for (_, canonical) in table {
      if let canonical { #expect(try TargetAddress(canonical).text == canonical) }
    }
  }

  @Test func cursorsGoRoundAndForgedOnesAreRefused() throws {
    for text in ["a", "acme.relay-1", "中转"] { #expect(try Cursor(parsing: Cursor(text: text).encoded).text == text) }
    for forged in ["", "a", "zz", "ff", "00", "6", "61x1"] {
      #expect(throws: (any Error).self) { try Cursor(parsing: forged) }
    }
  }

  @Test func logLinesCannotBeForged() {
    let line = LogLine.text(time: "t", level: "info", message: "a\nb", fields: [("k", "\u{1B}[2Jx\r")])
    #expect(String(decoding: line, as: UTF8.self) == "t info a\\u{a}b k=\\u{1b}[2Jx\\u{d}\n")
    let json = LogLine.json(time: "t", level: "info", message: "a\nb", fields: [("k", "\"")])
    #expect(String(decoding: json, as: UTF8.self) == #"{"time":"t","level":"info","message":"a\nb","k":"\""}"# + "\n")
  }
}
