/// A request target taken apart: `/path?query` as sent, nothing decoded yet.
struct Target {
  /// What kept a target from being read, as a sentence for the client.
  struct Fault: Error, Equatable {
    let detail: String
  }

  let raw: String
  /// Bytes of `raw` that are the path; starts with "/", or is "*".
  let path: Range<Int>
  let query: Range<Int>?

  /// Origin form, `*`, or absolute form (whose authority is not looked at: there is one host here).
  init(_ raw: String) throws(Fault) {
    var text = raw
    let outcome = text.withUTF8 { bytes -> Result<(Range<Int>, Range<Int>?), Fault> in
      do throws(Fault) { return .success(try Self.split(bytes)) } catch { return .failure(error) }
    }
    self.raw = raw
    (path, query) = try outcome.get()
  }

  /// Finds path and query without decoding: a `%2F` is part of a segment, a `%3F` of a path.
  private static func split(_ bytes: UnsafeBufferPointer<UInt8>) throws(Fault) -> (Range<Int>, Range<Int>?) {
    var question: Int?
    for (index, byte) in bytes.enumerated() {
      // RFC 3986 has no such byte in a URI; a fragment is never sent.
      guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#") else {
        throw Fault(detail: "the request target holds a byte that must be percent-encoded")
      }
      if byte == UInt8(ascii: "?"), question == nil { question = index }
    }
    let pathEnd = question ?? bytes.count
    let query = question.map { $0 + 1..<bytes.count }
    if bytes.first == UInt8(ascii: "/") || pathEnd == 1 && bytes[0] == UInt8(ascii: "*") { return (0..<pathEnd, query) }
    let scheme = ["http://", "https://"].first { scheme in
      bytes.count > scheme.utf8.count && zip(scheme.utf8, bytes).allSatisfy { $0 == lowercased($1) }
    }
    guard let scheme else { throw Fault(detail: "the request target is not a path") }
    let authority = bytes[scheme.utf8.count..<pathEnd].prefix { $0 != UInt8(ascii: "/") }
    guard !authority.isEmpty, authority.endIndex < pathEnd, !authority.contains(UInt8(ascii: "@")) else {
      throw Fault(detail: "the request target has no path or names a user")
    }
    return (authority.endIndex..<pathEnd, query)
  }

  /// Checks every escape of the path, so that routing may assume them well-formed.
  func checkPath() throws(Fault) {
    let bytes = Array(raw.utf8)[path]
    guard bytes.contains(UInt8(ascii: "%")) else { return }
    for segment in bytes.split(separator: UInt8(ascii: "/")) where Self.decode(segment) == nil {
      throw Fault(detail: "the path holds a percent escape that is not UTF-8 text")
    }
  }

  /// - Throws: when a name or value is not valid UTF-8 without U+0000 once decoded.
  func queryItems() throws(Fault) -> [QueryItem] {
    guard let query, !query.isEmpty else { return [] }
    var items: [QueryItem] = []
    for part in Array(raw.utf8)[query].split(separator: UInt8(ascii: "&")) {
      let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
      guard let name = Self.decode(part[..<equals], plusIsSpace: true),
        let value = Self.decode(part[equals...].dropFirst(), plusIsSpace: true)
      else { throw Fault(detail: "the query holds a percent escape that is not UTF-8 text") }
      items.append(QueryItem(name: name, value: value))
    }
    return items
  }

  /// - Returns: nil when an escape is incomplete, or the text is not UTF-8 or holds U+0000.
  static func decode(_ bytes: some Collection<UInt8>, plusIsSpace: Bool = false) -> String? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var iterator = bytes.makeIterator()
    while let byte = iterator.next() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = iterator.next().flatMap(hexadecimalValue), let low = iterator.next().flatMap(hexadecimalValue),
          high << 4 | low != 0
        else { return nil }
        decoded.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: decoded.append(0x20)
      default: decoded.append(byte)
      }
    }
    return String(validating: decoded, as: UTF8.self)
  }
}

extension RequestHead {
  /// The path as it was sent, nothing decoded.
  public var rawPath: Substring { sent { $0.path } ?? "/" }

  /// What stands behind the `?`, nothing decoded; nil without one.
  public var rawQuery: Substring? { sent { $0.query } }

  private func sent(_ part: (Target) -> Range<Int>?) -> Substring? {
    guard let target = try? Target(target), let range = part(target) else { return nil }
    let bytes = target.raw.utf8
    return Substring(bytes[bytes.index(bytes.startIndex, offsetBy: range.lowerBound)...].prefix(range.count))
  }
}
