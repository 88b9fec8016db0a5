/// Which pages of other origins may call (CORS, in the Fetch standard). There are no cookies here, so credentials are
/// never allowed: a page sends its key by `Authorization`, which the preflight grants.
public struct CrossOriginPolicy: Sendable {
  /// Sent with every preflight; a browser asks again after this time.
  private static let maxAgeSeconds = 600
  private static let requestHeaders =
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Accept-Language"
  private static let responseHeaders =
    "Content-Language, ETag, Evidence-As-Of, Link, Location, RateLimit, RateLimit-Policy, Retry-After, "
    + "WWW-Authenticate, X-Request-Id"

  private let origins: Set<String>

  /// - Parameter origins: as browsers send them, such as `https://portal.example` or `http://localhost:3000`.
  /// - Throws: which origin no browser would send.
  public init(origins: [String]) throws(OriginFault) {
    for origin in origins { try Self.check(origin) }
    self.origins = Set(origins)
  }

  /// Scheme, host in lower case and a port that is not the scheme's own: anything else would never match.
  private static func check(_ origin: String) throws(OriginFault) {
    let parts = origin.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let ownPort = ["http": "80", "https": "443"][parts[0]] else {
      throw OriginFault(origin: origin, reason: "it must begin with http:// or https://")
    }
    var host = parts[1]
    if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
      let port = host[host.index(after: colon)...]
      host = host[..<colon]
      guard let number = UInt16(port), number > 0, String(number) == port, port != ownPort else {
        throw OriginFault(origin: origin, reason: "its port must be from 1 to 65535 and not the scheme's own")
      }
    }
    let isAddress = host.hasPrefix("[") && host.hasSuffix("]") && host.utf8.count > 2
    let name = isAddress ? host.dropFirst().dropLast() : host
    let isHost = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."): true
      case UInt8(ascii: "-"), UInt8(ascii: "_"): !isAddress
      case UInt8(ascii: ":"): isAddress
      default: false
      }
    }
    guard isHost, !name.isEmpty else {
      throw OriginFault(origin: origin, reason: "a host in lower case must follow, and no path")
    }
  }

  /// What an answer says to the page that asked, errors included.
  func headers(for request: Headers) -> [(name: String, value: String)] {
    guard let origin = allowedOrigin(of: request) else { return [] }
    return [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", Self.responseHeaders)]
  }

  /// What is granted to a preflight; nothing when it is none, or comes from another page.
  /// - Parameter allow: the methods of the path.
  func preflightHeaders(for request: Headers, allow: String) -> [(name: String, value: String)] {
    guard request.occurrences(of: "Access-Control-Request-Method") > 0, allowedOrigin(of: request) != nil else {
      return []
    }
    return [
      ("Access-Control-Allow-Methods", allow), ("Access-Control-Allow-Headers", Self.requestHeaders),
      ("Access-Control-Max-Age", String(Self.maxAgeSeconds)),
    ]
  }

  private func allowedOrigin(of request: Headers) -> String? {
    let sent = request.all("Origin")
    return sent.count == 1 && origins.contains(sent[0]) ? sent[0] : nil
  }
}

/// Why an origin cannot be allowed.
public struct OriginFault: Error, Sendable, Equatable, CustomStringConvertible {
  public let origin: String
  public let reason: String

  public var description: String { "\"\(origin)\" is no origin: \(reason)" }
}
