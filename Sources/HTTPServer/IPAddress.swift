import Glibc

/// An IPv4 or IPv6 address. One of IPv4 is the same whether it comes as such or mapped into IPv6.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
  /// The 128 bits of IPv6, the first of them highest; IPv4 as `::ffff:a.b.c.d`.
  let bits: UInt128

  init(bits: UInt128) { self.bits = bits }

  /// Reads `203.0.113.7` or `2001:db8::7`. Nil for anything else, such as a name, a zone or a port behind it.
  public init?(_ text: some StringProtocol) {
    // What is told apart here holds no NUL, at which C would stop reading.
    guard 2...45 ~= text.utf8.count, text.utf8.allSatisfy(Self.isAddressByte) else { return nil }
    let text = String(text)
    var ipv4 = in_addr()
    if inet_pton(AF_INET, text, &ipv4) == 1 {
      self.init(ipv4)
      return
    }
    var ipv6 = in6_addr()
    guard inet_pton(AF_INET6, text, &ipv6) == 1 else { return nil }
    self.init(ipv6)
  }

  private static func isAddressByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: ":"): true
    default: UInt8(ascii: "a")...UInt8(ascii: "f") ~= lowercased(byte)
    }
  }

  /// - Parameter address: of a socket; nil for another family than IPv4 and IPv6.
  init?(_ address: UnsafePointer<sockaddr>) {
    let raw = UnsafeRawPointer(address)
    switch Int32(address.pointee.sa_family) {
    case AF_INET: self.init(raw.load(as: sockaddr_in.self).sin_addr)
    case AF_INET6: self.init(raw.load(as: sockaddr_in6.self).sin6_addr)
    default: return nil
    }
  }

  private init(_ ipv4: in_addr) { bits = UInt128(Self.ipv4Prefix) << 32 | UInt128(UInt32(bigEndian: ipv4.s_addr)) }

  private init(_ ipv6: in6_addr) {
    bits = withUnsafeBytes(of: ipv6) { UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self)) }
  }

  /// What stands before an IPv4 address that is mapped into IPv6.
  private static let ipv4Prefix: UInt64 = 0xFFFF

  public var isIPv4: Bool { bits >> 32 == UInt128(Self.ipv4Prefix) }

  /// 127.0.0.0/8 or ::1.
  public var isLoopback: Bool { isIPv4 ? bits >> 24 & 0xFF == 127 : bits == 1 }

  /// As it is usually written: a mapped one as IPv4, IPv6 as RFC 5952 says.
  public var description: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
      let capacity = socklen_t(INET6_ADDRSTRLEN)
      let written: UnsafePointer<CChar>? =
        if isIPv4 {
          withUnsafeBytes(of: UInt32(truncatingIfNeeded: bits).bigEndian) {
            inet_ntop(AF_INET, $0.baseAddress, buffer.baseAddress, capacity)
          }
        } else {
          withUnsafeBytes(of: bits.bigEndian) { inet_ntop(AF_INET6, $0.baseAddress, buffer.baseAddress, capacity) }
        }
      // It fails only for a family that it does not know or too small a buffer.
      return written.map { String(cString: $0) } ?? ""
    }
  }
}

/// Addresses that begin with the same bits (CIDR, RFC 4632).
public struct AddressRange: Sendable, Hashable, CustomStringConvertible {
  private let first: IPAddress
  /// Of the 128 bits of IPv6, in which IPv4 lies behind 96.
  private let prefixBits: Int

  /// Reads `203.0.113.0/24`, `2001:db8::/32`, or one address alone.
  /// - Throws: what is wrong with it.
  public init(_ text: some StringProtocol) throws(InvalidAddressRange) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = IPAddress(parts[0]) else { throw .notARange }
    let bitsBefore = first.isIPv4 ? 96 : 0
    // Mapped it would say how many bits of the other family are meant.
    if first.isIPv4, parts[0].contains(":") { throw .mapped(first) }
    var prefixBits = 128
    if parts.count == 2 {
      let digits = parts[1].utf8
      guard 1...3 ~= digits.count, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
        let bits = Int(parts[1]), bits <= 128 - bitsBefore
      else { throw .notARange }
      prefixBits = bitsBefore + bits
    }
    let clean = IPAddress(bits: first.bits & Self.mask(prefixBits))
    (self.first, self.prefixBits) = (clean, prefixBits)
    if clean != first { throw .bitsBehindPrefix(self) }
  }

  /// One of IPv6 holds no IPv4 address, whatever its prefix.
  public func contains(_ address: IPAddress) -> Bool {
    (address.bits ^ first.bits) & Self.mask(prefixBits) == 0 && address.isIPv4 == first.isIPv4
  }

  private static func mask(_ prefixBits: Int) -> UInt128 { prefixBits == 0 ? 0 : UInt128.max << (128 - prefixBits) }

  /// `203.0.113.7/32` for one address.
  public var description: String { "\(first)/\(prefixBits - (first.isIPv4 ? 96 : 0))" }
}

/// What keeps a text from being an `AddressRange`.
public enum InvalidAddressRange: Error, Sendable, Equatable, CustomStringConvertible {
  case notARange
  case mapped(IPAddress)
  /// It names one address and a range that holds more.
  case bitsBehindPrefix(AddressRange)

  public var description: String {
    switch self {
    case .notARange: "must be an address or a range of addresses, such as 203.0.113.0/24 or 2001:db8::/32"
    case .mapped(let address): "must be written as IPv4, such as \(address)/32"
    case .bitsBehindPrefix(let range): "has bits set behind its prefix; the range that holds it is \(range)"
    }
  }
}
