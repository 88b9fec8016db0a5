import Glibc
import HTTPClient

/// Where an issuer's keys are read: a file, or a URL of `https`. What comes over `http` could come from anybody, so
/// that is for this machine alone.
public enum KeySetLocation: Sendable, Equatable, CustomStringConvertible {
  case file(String)
  case url(String)

  /// - Throws: what is wrong with a URL.
  public init(_ text: String) throws(KeySetFault) {
    guard text.contains("://") else {
      self = .file(text)
      return
    }
    let rest = text.split(separator: "://", maxSplits: 1)
    guard rest.count == 2, ["https", "http"].contains(rest[0]) else {
      throw KeySetFault("\(text) is no URL of https and no file")
    }
    let authority = rest[1].prefix { !"/?#\\".contains($0) }
    guard !authority.isEmpty, !authority.contains("@") else { throw KeySetFault("\(text) is no URL of https") }
    if rest[0] == "http" {
      let host = authority.hasPrefix("[") ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
      guard ["127.0.0.1", "[::1]", "localhost"].contains(host) else {
        throw KeySetFault("\(text) is not https, and not on this machine")
      }
    }
    self = .url(text)
  }

  public var description: String {
    switch self {
    case .file(let path): path
    case .url(let url): url
    }
  }

  static let documentBytesMax = 1024 * 1024
  private static let timeoutSeconds = 10

  /// Reads the document. Blocks.
  /// - Parameter isInterrupted: asked about once a second.
  func read(isInterrupted: @escaping () -> Bool) throws(KeySetFault) -> [UInt8] {
    switch self {
    case .file(let path): return try Self.read(path)
    case .url(let url):
      let answer: HTTPClient.Answer
      do throws(HTTPClient.TransportError) {
        let client = try HTTPClient(
          userAgent: "relayrisk", answerBytesMax: Self.documentBytesMax, isInterrupted: isInterrupted)
        answer = try client.get(url, headers: ["Accept: application/json"], timeoutSeconds: Self.timeoutSeconds)
      } catch {
        throw KeySetFault(error.description)
      }
      guard answer.status == 200 else { throw KeySetFault("it was answered with status \(answer.status)") }
      return answer.body
    }
  }

  private static func read(_ path: String) throws(KeySetFault) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw KeySetFault(String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 16 * 1024)
    while bytes.count <= documentBytesMax {
      let count = piece.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return bytes }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw KeySetFault(String(cString: strerror(errno))) }
      bytes += piece[..<count]
    }
    throw KeySetFault("it is longer than \(documentBytesMax) bytes")
  }
}
