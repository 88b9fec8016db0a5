/// How long the body of a request is.
enum BodyFraming: Sendable, Equatable {
  case none
  /// Bytes; more than zero.
  case length(Int)
  case chunked
}

/// The checks that keep two parsers in a row from seeing different requests (RFC 9112, section 11.2).
/// libmicrohttpd passes all of what is refused here.
struct Framing: Equatable {
  /// Why a request is refused and its connection closed, as a sentence for the client.
  struct Fault: Error, Equatable {
    let detail: String
  }

  let body: BodyFraming
  /// The client waits for `100 Continue` before it sends the body.
  let expectsContinue: Bool

  /// - Parameter isHTTP10: HTTP/1.0, which knows neither `Host` nor chunks; anything else counts as 1.1.
  init(headers: Headers, isHTTP10: Bool) throws(Fault) {
    var (hosts, lengths, codings) = (0, 0, 0)
    var (length, isChunked, expects) = (0, false, false)
    // One pass, told apart by length first: this runs for every request.
    try headers.forEachField { name, value throws(Fault) in
      try Self.check(name, value)
      switch name.count {
      case 4 where equals(name, "host"):
        hosts += 1
        try Self.checkHost(value)
      case 6 where equals(name, "expect"): expects = equals(value, "100-continue")
      case 14 where equals(name, "content-length"):
        lengths += 1
        length = try Self.length(value)
      case 17 where equals(name, "transfer-encoding"):
        codings += 1
        isChunked = equals(value, "chunked")
      default: break
      }
    }
    guard hosts == 1 || hosts == 0 && isHTTP10 else {
      throw Fault(detail: hosts == 0 ? "Host is missing" : "Host is sent more than once")
    }
    guard lengths <= 1 else { throw Fault(detail: "Content-Length is sent more than once") }
    guard lengths == 0 || codings == 0 else {
      throw Fault(detail: "Content-Length and Transfer-Encoding are both sent")
    }
    guard codings == 0 || codings == 1 && isChunked && !isHTTP10 else {
      throw Fault(detail: "Transfer-Encoding is not exactly chunked")
    }
    body = isChunked ? .chunked : length > 0 ? .length(length) : .none
    expectsContinue = expects && !isHTTP10 && body != .none
  }

  private static func check(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) throws(Fault) {
    guard !name.isEmpty else { throw Fault(detail: "a header has no name") }
    for byte in name where !isTokenByte(byte) { throw Fault(detail: "a header name is not a token") }
    for byte in value where !isFieldValueByte(byte) {
      throw Fault(detail: "a header value holds a control character")
    }
  }

  /// An authority without a user: names, addresses in brackets, a port.
  private static func checkHost(_ value: UnsafeBufferPointer<UInt8>) throws(Fault) {
    var isHost = !value.isEmpty
    for byte in value where !isTokenByte(byte) {
      isHost = isHost && (byte == UInt8(ascii: ":") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "]"))
    }
    guard isHost else { throw Fault(detail: "Host is not a host and a port") }
  }

  /// Digits only: other parsers differ over signs, lists, spaces and what does not fit an integer.
  private static func length(_ value: UnsafeBufferPointer<UInt8>) throws(Fault) -> Int {
    var length = 0
    for byte in value {
      let digit = Int(byte) - 0x30
      let (product, overflows) = length.multipliedReportingOverflow(by: 10)
      guard 0...9 ~= digit, !overflows, product <= Int.max - digit else {
        throw Fault(detail: "Content-Length is not a number")
      }
      length = product + digit
    }
    guard !value.isEmpty else { throw Fault(detail: "Content-Length is not a number") }
    return length
  }
}
