/// Where a server listens: a host or a numeric address, and a port.
public struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
  /// Without brackets.
  public let host: String
  /// 0 lets the system choose.
  public let port: UInt16

  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `127.0.0.1:8080`, `[::1]:8080` or `localhost:0`.
  /// - Throws: `ListenFault` when there is no port, or an IPv6 address without brackets.
  public init(parsing text: String) throws(ListenFault) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
      throw ListenFault(address: text, reason: "it does not end in a port from 0 to 65535")
    }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw ListenFault(address: text, reason: "an IPv6 address stands in brackets")
    }
    guard !host.isEmpty else { throw ListenFault(address: text, reason: "the host is missing") }
    self.init(host: String(host), port: port)
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Why a server cannot listen.
public struct ListenFault: Error, Sendable, Equatable, CustomStringConvertible {
  public let address: String
  public let reason: String

  public var description: String { "cannot listen on \(address): \(reason)" }
}
