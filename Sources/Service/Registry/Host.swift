import CIDN2
import Glibc

/// A DNS name or an IP literal in its one canonical form: no trailing dot, IDN as A-labels, lower case, IPv6 as
/// RFC 5952 writes it and without brackets.
public struct Host: Sendable, Hashable, CustomStringConvertible {
  public let text: String
  public let isAddress: Bool
  public var description: String { text }

  /// How the host stands in a URL.
  var authority: String { isAddress && text.contains(":") ? "[\(text)]" : text }

  /// A name that is in canonical form already, as nearly all are: recognised in one pass, without libidn2, which would
  /// give it back unchanged. Nil says nothing: the text may still be a host.
  init?(canonicalName text: String) {
    guard Self.isCanonicalName(text) else { return nil }
    (self.text, isAddress) = (text, false)
  }

  /// - Throws: `InvalidHost`, which says what is wrong.
  public init(_ input: some StringProtocol) throws(InvalidHost) {
    var text = String(input)
    if Self.isCanonicalName(text) {
      (self.text, isAddress) = (text, false)
      return
    }
    if text.isEmpty { throw .empty }
    if text.utf8.count > 1024 { throw .tooLong }
    if text.hasPrefix("["), text.hasSuffix("]") {
      guard let address = Self.canonicalAddress(String(text.dropFirst().dropLast()), family: AF_INET6) else {
        throw .notAnAddress
      }
      (self.text, isAddress) = (address, true)
      return
    }
    if text.contains(":") {
      guard let address = Self.canonicalAddress(text, family: AF_INET6) else { throw .notAnAddress }
      (self.text, isAddress) = (address, true)
      return
    }
    if text.hasSuffix(".") { text.removeLast() }
    let name = try Self.asciiName(text)
    if Self.endsInANumber(name) {
      // The URL standard's rule: such a name is an IPv4 address or nothing, so `1.2.3` and `0x7f.1` cannot slip
      // through as names that a browser would read as addresses.
      guard let address = Self.canonicalAddress(name, family: AF_INET) else { throw .notAnAddress }
      (self.text, isAddress) = (address, true)
      return
    }
    (self.text, isAddress) = (name, false)
  }

  private static func canonicalAddress(_ text: String, family: Int32) -> String? {
    var address = in6_addr()
    guard inet_pton(family, text, &address) == 1 else { return nil }
    var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(family, &address, &buffer, socklen_t(buffer.count)) != nil else { return nil }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// UTS-46 (non-transitional) to A-labels, then the rules of host names (RFC 1123).
  private static func asciiName(_ text: String) throws(InvalidHost) -> String {
    // libidn2 passes ASCII through as it is, so what no host name holds is refused before and after.
    if text.unicodeScalars.contains(where: {
      $0.value <= 0x20 || $0.value == 0x7F || "/\\@?#%:[]<>^|\"'".unicodeScalars.contains($0)
    }) {
      throw .forbiddenCharacter
    }
    var output: UnsafeMutablePointer<UInt8>?
    // Not with IDN2_USE_STD3_ASCII_RULES: libidn2 2.3.3 drops `_` then, and `a_b` would silently become `ab`.
    let flags = Int32(IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue)
    let status = idn2_lookup_u8(Array(text.utf8) + [0], &output, flags)
    guard status == 0, let output else {
      throw .notAName(String(cString: idn2_strerror(status)))
    }
    defer { idn2_free(output) }
    let name = String(cString: output).lowercased()
    if name.utf8.count > 253 { throw .tooLong }
    for label in name.split(separator: ".", omittingEmptySubsequences: false) {
      if label.isEmpty { throw .emptyLabel }
      if label.utf8.count > 63 { throw .tooLong }
      if label.hasPrefix("-") || label.hasSuffix("-") { throw .notAName("a label begins or ends with a hyphen") }
      let isPlain = label.utf8.allSatisfy {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
          || $0 == UInt8(ascii: "-")
      }
      if !isPlain { throw .forbiddenCharacter }
    }
    return name
  }

  private static func isCanonicalName(_ text: String) -> Bool {
    var (length, first, previous) = (0, UInt8(0), UInt8(0))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "."):
        if length == 0 || previous == UInt8(ascii: "-") { return false }
        length = 0
        continue
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): break
      case UInt8(ascii: "-"):
        // Hyphens in the third and fourth place mark A-labels, which only libidn2 can judge.
        if length == 0 || (length == 3 && previous == byte) { return false }
      default: return false
      }
      if length == 0 { first = byte }
      length += 1
      if length > 63 { return false }
      previous = byte
    }
    // A last label that begins with a digit may make the name an IPv4 address.
    return text.utf8.count <= 253 && length > 0 && previous != UInt8(ascii: "-") && first >= UInt8(ascii: "a")
  }

  private static func endsInANumber(_ name: String) -> Bool {
    let last = name.split(separator: ".").last ?? ""
    return last.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
      || (last.hasPrefix("0x") && last.dropFirst(2).allSatisfy(\.isHexDigit))
  }
}

public enum InvalidHost: Error, Equatable, CustomStringConvertible {
  case empty
  case tooLong
  case emptyLabel
  case forbiddenCharacter
  case notAnAddress
  case notAName(String)

  public var description: String {
    switch self {
    case .empty: "must not be empty"
    case .tooLong: "is too long: a host name has at most 253 bytes and 63 in a label"
    case .emptyLabel: "has an empty label: two dots in a row, or one at the start"
    case .forbiddenCharacter:
      "holds a character that no host name has; only the name or address is wanted, no scheme, port or path"
    case .notAnAddress: "looks like an IP address but is none"
    case .notAName(let why): "is not a host name: \(why)"
    }
  }
}
