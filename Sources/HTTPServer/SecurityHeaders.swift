/// What every answer says to browsers.
enum SecurityHeaders {
  private static let always: [(name: String, value: String)] = [
    // Never sniffed: what is served as JSON must not run as a page.
    ("X-Content-Type-Options", "nosniff"),
    // Nothing that is served runs or loads anything, unless a page says so itself; and none is shown within another.
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
  ]

  /// Two years, as browsers' own lists ask for. Only over TLS, where alone it counts (RFC 6797, section 7.2).
  static let strictTransport = (name: "Strict-Transport-Security", value: "max-age=63072000")

  /// - Returns: those that an answer with these headers does not set itself.
  static func missing(in headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
    always.filter { headers.value(of: $0.name) == nil }
  }
}
