/// What a result speaks of, in its one canonical form: `h`, `h:8443` or `http(s)://h[:port]/path`. HTTPS is what is
/// meant where nothing else is said, so `https://h`, `https://h:443/` and `h` are the same target.
public struct TargetAddress: Sendable, Hashable {
  public let text: String

  static let bytesMax = 2_048

  /// The target of a result that names none: the host itself.
  init(of host: Host) { text = host.authority }

  /// Reads a host, host:port or http(s) URL. Query and fragment are dropped, as are default ports and trailing slashes.
  /// - Throws: `InvalidTarget`, which says what is wrong.
  init(_ input: String) throws(InvalidTarget) {
    let (scheme, host, port, rest) = try Self.split(input)
    let path = try Self.canonicalPath(rest)
    let isHTTP = scheme == "http"
    let port80 = port == (isHTTP ? 80 : 443) ? nil : port
    let canonical = host.authority + (port80.map { ":\($0)" } ?? "") + path
    text = isHTTP ? "http://" + canonical : path.isEmpty ? canonical : "https://" + canonical
    if text.utf8.count > Self.bytesMax { throw .tooLong }
  }

  /// The host of what could be a target.
  static func host(of input: String) throws(InvalidTarget) -> Host { try split(input).host }

  private static func split(
    _ input: String
  ) throws(InvalidTarget) -> (scheme: String?, host: Host, port: Int?, rest: Substring) {
    if input.utf8.count > bytesMax { throw .tooLong }
    let (scheme, rest) = try splitScheme(input)
    let end = rest.utf8.firstIndex { "/?#\\".utf8.contains($0) } ?? rest.endIndex
    let authority = rest[..<end]
    if scheme == nil, end != rest.endIndex { throw .notATarget }
    // A password in a target would be stored and shown for good.
    if authority.utf8.contains(UInt8(ascii: "@")) { throw .credentials }
    let (host, port) = try splitPort(authority)
    return (scheme, host, port, rest[end...])
  }

  private static func splitScheme(_ input: String) throws(InvalidTarget) -> (scheme: String?, rest: Substring) {
    guard let colon = input.firstRange(of: "://") else { return (nil, input[...]) }
    let scheme = input[..<colon.lowerBound].lowercased()
    guard scheme == "http" || scheme == "https" else { throw .scheme }
    return (scheme, input[colon.upperBound...])
  }

  private static func splitPort(_ authority: Substring) throws(InvalidTarget) -> (host: Host, port: Int?) {
    var hostText = authority
    var port: Int?
    // A bare IPv6 address has several colons and no port.
    let colons = authority.utf8.count { $0 == UInt8(ascii: ":") }
    if let colon = authority.lastIndex(of: ":"), colons == 1 || authority[..<colon].hasSuffix("]") {
      let digits = authority[authority.index(after: colon)...]
      hostText = authority[..<colon]
      // "host:" is the default port, as in a URL.
      if !digits.isEmpty {
        guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let number = Int(digits),
          1...65_535 ~= number
        else { throw .port }
        port = number
      }
    }
    do throws(InvalidHost) {
      return (try Host(hostText), port)
    } catch {
      throw .host(error)
    }
  }

  /// The path without trailing slashes; what a URL does not hold as it is, is percent-encoded.
  private static func canonicalPath(_ rest: Substring) throws(InvalidTarget) -> String {
    let path = rest.prefix { $0 != "?" && $0 != "#" }
    var encoded = ""
    for byte in path.utf8 {
      switch byte {
      case 0..<0x20, 0x7F: throw .notATarget
      case UInt8(ascii: "\\"): encoded += "/"
      case 0x20, 0x22, 0x3C, 0x3E, 0x5E, 0x60, 0x7B, 0x7C, 0x7D, 0x80...0xFF:
        let digits = String(byte, radix: 16, uppercase: true)
        encoded += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
      default: encoded.unicodeScalars.append(Unicode.Scalar(byte))
      }
    }
    while encoded.hasSuffix("/") { encoded.removeLast() }
    return encoded
  }
}

public enum InvalidTarget: Error, Equatable, CustomStringConvertible {
  case tooLong, notATarget, scheme, credentials, port
  case host(InvalidHost)

  public var description: String {
    switch self {
    case .tooLong: "is longer than \(TargetAddress.bytesMax) bytes"
    case .notATarget: "must be a host, host:port or http(s) URL"
    case .scheme: "must be an http or https URL when it is a URL"
    case .credentials: "must not hold a user name or password"
    case .port: "has a port that is not a number from 1 to 65535"
    case .host(let why): "has a host that \(why)"
    }
  }
}
