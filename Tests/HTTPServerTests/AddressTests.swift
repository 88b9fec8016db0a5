import Glibc
import Testing

@testable import HTTPServer

@Suite struct AddressTests {
  @Test(arguments: [
    ("127.0.0.1", "127.0.0.1"), ("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"),
    ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::1", "::1"), ("::", "::"),
    ("2001:DB8:0:0:0:0:0:7", "2001:db8::7"), ("fe80::1", "fe80::1"),
    ("64:ff9b::203.0.113.7", "64:ff9b::cb00:7107"),
  ])
  func addressesAreReadAndWrittenInOneForm(text: String, canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
  }

  @Test(arguments: [
    "", " ", "x", "localhost", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x7f.0.0.1", "1.2.3.4 ",
    "1.2.3.4:80",
    "[::1]", "fe80::1%lo", ":", ":::", "1::2::3", "12345::", "::1/128", "1.2.3.4\u{0}", "::g",
  ])
  func whatIsNoAddressIsRefused(text: String) { #expect(IPAddress(text) == nil) }

  @Test func loopbackIsARangeOfIPv4AndOneAddressOfIPv6() {
    for (text, expected) in [
      ("127.0.0.1", true), ("127.255.255.254", true), ("::ffff:127.0.0.1", true), ("::1", true), ("128.0.0.1", false),
      ("126.255.255.255", false), ("::2", false), ("::", false), ("::7f00:1", false), ("0.0.0.1", false),
    ] {
      #expect(IPAddress(text)?.isLoopback == expected, "\(text)")
    }
  }

  @Test func aRangeHoldsWhatBeginsWithItsBits() throws {
    for (range, inside, outside) in [
      (
        "203.0.113.0/24", ["203.0.113.0", "203.0.113.255", "::ffff:203.0.113.7"],
        ["203.0.112.255", "203.0.114.0", "::1"]
      ),
      ("203.0.113.7", ["203.0.113.7"], ["203.0.113.6", "203.0.113.8"]),
      ("203.0.113.7/32", ["203.0.113.7"], ["203.0.113.6"]),
      ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "2001:db8::1"]),
      ("128.0.0.0/1", ["128.0.0.0", "255.0.0.1"], ["127.255.255.255"]),
      ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff:ffff::1"], ["2001:db9::", "2001:db7:ffff::", "32.1.13.184"]),
      ("2001:db8::1", ["2001:db8::1"], ["2001:db8::", "2001:db8::2"]),
      ("::/0", ["::", "2001:db8::1"], ["203.0.113.7", "0.0.0.0"]), ("::/127", ["::", "::1"], ["::2"]),
    ] {
      let parsed = try AddressRange(range)
      for text in inside + outside {
        let address = try #require(IPAddress(text))
        #expect(parsed.contains(address) == inside.contains(text), "\(text) in \(range)")
      }
    }
  }

  @Test func rangesAreWrittenInOneForm() throws {
    for (text, canonical) in [
      ("203.0.113.7", "203.0.113.7/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("2001:DB8:0::/32", "2001:db8::/32"),
      ("::1", "::1/128"), ("0.0.0.0/0", "0.0.0.0/0"), ("::/0", "::/0"),
    ] {
      #expect(try AddressRange(text).description == canonical)
      #expect(try AddressRange(canonical) == AddressRange(text))
    }
  }

  @Test func faultsOfARangeSayWhatToWrite() throws {
    for text in [
      "", "/", "x", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129", "::/1000",
    ] {
      #expect(throws: InvalidAddressRange.notARange, "\(text)") { try AddressRange(text) }
    }
    #expect(throws: InvalidAddressRange.bitsBehindPrefix(try AddressRange("10.0.0.0/8"))) {
      try AddressRange("10.1.2.3/8")
    }
    #expect(throws: InvalidAddressRange.mapped(try #require(IPAddress("10.0.0.0")))) {
      try AddressRange("::ffff:10.0.0.0/104")
    }
  }

  @Test func anAddressComesFromASocketAddress() {
    var ipv4 = sockaddr_in()
    ipv4.sin_family = sa_family_t(AF_INET)
    ipv4.sin_addr.s_addr = UInt32(0xCB00_7107).bigEndian
    #expect(read(&ipv4) == IPAddress("203.0.113.7"))
    var ipv6 = sockaddr_in6()
    ipv6.sin6_family = sa_family_t(AF_INET6)
    _ = inet_pton(AF_INET6, "2001:db8::7", &ipv6.sin6_addr)
    #expect(read(&ipv6) == IPAddress("2001:db8::7"))
    _ = inet_pton(AF_INET6, "::ffff:203.0.113.7", &ipv6.sin6_addr)
    #expect(read(&ipv6) == IPAddress("203.0.113.7"))
    var local = sockaddr_un()
    local.sun_family = sa_family_t(AF_UNIX)
    #expect(read(&local) == nil)
  }

  private func read<Address>(_ address: inout Address) -> IPAddress? {
    withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { IPAddress($0) } }
  }
}
