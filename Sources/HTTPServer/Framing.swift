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
    try Self.checkFields(headers)
    try Self.checkHost(headers, isHTTP10: isHTTP10)
    let lengths = headers.all("Content-Length")
    let codings = headers.all("Transfer-Encoding")
    guard lengths.count <= 1 else { throw Fault(detail: "Content-Length is sent more than once") }
    if codings.isEmpty {
      body = try Self.length(lengths.first)
    } else {
      guard lengths.isEmpty else { throw Fault(detail: "Content-Length and Transfer-Encoding are both sent") }
      guard codings.count == 1, codings[0].lowercased() == "chunked", !isHTTP10 else {
        throw Fault(detail: "Transfer-Encoding is not exactly chunked")
      }
      body = .chunked
    }
    expectsContinue = !isHTTP10 && body != .none && headers["Expect"]?.lowercased() == "100-continue"
  }

  private static func checkFields(_ headers: Headers) throws(Fault) {
    do {
      try headers.forEachField { name, value in
        guard !name.isEmpty, name.allSatisfy(isTokenByte) else {
          throw Fault(detail: "a header name is not a token")
        }
        guard value.allSatisfy(isFieldValueByte) else {
          throw Fault(detail: "a header value holds a control character")
        }
      }
    } catch {
      // `rethrows` loses the type; nothing else is thrown above.
      throw error as? Fault ?? Fault(detail: "a header is malformed")
    }
  }

  private static func checkHost(_ headers: Headers, isHTTP10: Bool) throws(Fault) {
    let hosts = headers.all("Host")
    if hosts.isEmpty && isHTTP10 { return }
    guard hosts.count == 1 else {
      throw Fault(detail: hosts.isEmpty ? "Host is missing" : "Host is sent more than once")
    }
    // An authority without a user: names, addresses in brackets, a port.
    let isHost = hosts[0].utf8.allSatisfy { byte in
      isTokenByte(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "]")
    }
    guard isHost, !hosts[0].isEmpty else { throw Fault(detail: "Host is not a host and a port") }
  }

  private static func length(_ text: String?) throws(Fault) -> BodyFraming {
    guard let text else { return .none }
    guard !text.isEmpty, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let bytes = Int(text)
    else { throw Fault(detail: "Content-Length is not a number") }
    return bytes == 0 ? .none : .length(bytes)
  }
}
