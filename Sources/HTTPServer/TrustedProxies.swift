/// The proxies that are believed when they say for whom they ask. Everybody else may write into `X-Forwarded-For` what
/// they like, so it counts only as far as it was written by one of these.
public struct TrustedProxies: Sendable {
  private let ranges: [AddressRange]

  public init(_ ranges: [AddressRange]) { self.ranges = ranges }

  var isEmpty: Bool { ranges.isEmpty }

  private func contain(_ address: IPAddress) -> Bool { ranges.contains { $0.contains(address) } }

  /// Who sent a request: the rightmost address that is not a trusted proxy's, since each proxy adds the one that it saw
  /// at the end. When all are trusted it is the leftmost, and when one is reached that cannot be read nobody knows.
  /// - Parameter peer: the other end of the connection.
  func client(of peer: Peer, _ headers: Headers) -> Peer {
    guard let ip = peer.ip, contain(ip) else { return peer }
    var client = peer
    for line in headers.all("X-Forwarded-For").reversed() {
      for element in line.split(separator: ",").reversed() {
        guard let text = Self.trimmed(element) else { continue }
        guard let address = Self.address(text) else { return Peer(nil) }
        client = Peer(address)
        if !contain(address) { return client }
      }
    }
    return client
  }

  /// Nil for an element without content, which a list may have (RFC 9110, 5.6.1).
  private static func trimmed(_ element: Substring) -> Substring? {
    var rest = element
    while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
    while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
    return rest.isEmpty ? nil : rest
  }

  /// `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:4711`.
  private static func address(_ text: Substring) -> IPAddress? {
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]"), isPort(text[text.index(after: end)...]) else { return nil }
      let inside = text[text.index(after: text.startIndex)..<end]
      return inside.contains(":") ? IPAddress(inside) : nil
    }
    if let colon = text.firstIndex(of: ":"), text[..<colon].contains(".") {
      return isPort(text[colon...]) ? IPAddress(text[..<colon]) : nil
    }
    return IPAddress(text)
  }

  /// Whether it is empty, or a colon and a number.
  private static func isPort(_ text: Substring) -> Bool {
    let digits = text.dropFirst().utf8
    return text.isEmpty
      || text.hasPrefix(":") && 1...5 ~= digits.count
        && digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }
}

extension RequestHead {
  /// What proxies add, of which any is enough: who adds one by himself only says that he is not the one who asks.
  private static let forwardingFields = [
    "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "X-Forwarded-Host", "Via",
  ]

  /// Whether it comes from this machine and, as far as its header fields tell, for nobody else. A proxy that adds none
  /// of them cannot be told from a client.
  public var isLocal: Bool { peer.isLoopback && !Self.forwardingFields.contains { headers.occurrences(of: $0) > 0 } }
}
