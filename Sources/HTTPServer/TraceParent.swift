/// `traceparent` (W3C Trace Context): where the request belongs in its caller's traces.
enum TraceParent {
  /// The header as it was sent when it is valid: sent once, of a version there can be, no id all zeros.
  static func valid(in headers: Headers) -> String? {
    let sent = headers.all("traceparent")
    guard sent.count == 1, let text = sent.first else { return nil }
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    // A version to come may add parts, version 00 has four.
    guard parts.count == 4 || parts.count > 4 && parts[0] != "00", text.utf8.count <= bytesMax,
      parts[0] != "ff", zip(parts, [2, 32, 16, 2]).allSatisfy({ $0.utf8.count == $1 && isHexadecimal($0) }),
      parts[1...2].allSatisfy({ $0.contains { $0 != "0" } })
    else { return nil }
    return text
  }
  private static let bytesMax = 256

  private static func isHexadecimal(_ text: Substring) -> Bool {
    text.utf8.allSatisfy {
      UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
    }
  }
}
