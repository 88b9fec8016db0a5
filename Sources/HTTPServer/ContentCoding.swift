/// The codings of a body (RFC 9110, section 8.4): gzip, or none.
enum ContentCoding {
  /// What a client can read, told by `Accept-Encoding`.
  struct Acceptance: Sendable {
    /// Gzip is at least as welcome as the bytes as they are.
    let prefersGzip: Bool
    /// So that what a client keeps in a coding may be confirmed in that coding.
    let takesGzip: Bool
    let takesIdentity: Bool

    /// - Parameter fields: every `Accept-Encoding` line. Without one any coding will do, and plain bytes are sent.
    init(_ fields: [String]) {
      guard !fields.isEmpty else {
        (prefersGzip, takesGzip, takesIdentity) = (false, true, true)
        return
      }
      let preferences = Preferences(fields)
      let others = preferences.weight(of: "*")
      let gzip = preferences.weight(of: "gzip") ?? preferences.weight(of: "x-gzip") ?? others ?? 0
      // Plain bytes are acceptable unless that is denied, but nobody who does not name them prefers them.
      let identity = preferences.weight(of: "identity") ?? others
      takesGzip = gzip > 0
      takesIdentity = identity != 0
      prefersGzip = gzip > 0 && gzip >= identity ?? 0
    }
  }

  /// A body below this fits into a packet or two either way.
  static let codedBodyBytesMin = 1024
  /// Packing more than this holds a loop up for longer than about a millisecond, so it is done elsewhere.
  static let bodyBytesOnLoopMax = 64 * 1024

  /// Whether a body of this type gets smaller; what is not text is usually packed by itself.
  static func isCompressible(_ contentType: String) -> Bool {
    let type = contentType.prefix { $0 != ";" && $0 != " " }.lowercased()
    return type.hasPrefix("text/") || type.hasSuffix("json") || type.hasSuffix("yaml") || type.hasSuffix("xml")
      || type == "application/javascript"
  }

  /// The tag of the gzip coding of what `tag` stands for: a strong tag is of one coding.
  static func gzipTag(_ tag: String) -> String { String(tag.dropLast()) + gzipSuffix }

  /// The tag that stands for the same without its coding.
  static func plainTag(_ tag: Substring) -> Substring {
    tag.hasSuffix(gzipSuffix) ? tag.dropLast(gzipSuffix.utf8.count) + "\"" : tag
  }
  private static let gzipSuffix = "-gzip\""
}

extension Response {
  /// Whether the coding of the answer is the client's to choose.
  var isCodable: Bool {
    guard status != 204, status != 304, isLong, header("Content-Encoding") == nil, let type = header("Content-Type")
    else { return false }
    return ContentCoding.isCompressible(type)
  }

  private var isLong: Bool {
    // What is streamed does not fit into a piece. Without an end it says something now and then, which must not wait.
    if case .stream(let stream) = body { return !stream.isEndless }
    return bodyBytes >= ContentCoding.codedBodyBytesMin
  }

  /// How long the body is; 0 while nobody knows.
  var bodyBytes: Int {
    switch body {
    case .none, .stream: 0
    case .bytes(let bytes): bytes.count
    case .prepared(let prepared): prepared.body.count
    }
  }

  /// The same in gzip; as it is when there is no memory for that.
  func gzipped() -> Response {
    var coded = self
    switch body {
    case .none: break
    case .stream(let stream):
      guard let packed = stream.gzipped() else { return self }
      coded.body = .stream(packed)
      coded.headers = Self.gzipHeaders(headers)
    case .prepared(let prepared):
      if let twin = prepared.gzipTwin() { coded.body = .prepared(twin) }
    case .bytes(let bytes):
      guard let packed = Gzip.compressed(bytes) else { return self }
      coded.body = .bytes(packed)
      coded.headers = Self.gzipHeaders(headers)
    }
    return coded
  }

  static func gzipHeaders(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
    var own = headers.varying(on: "Accept-Encoding")
    for index in own.indices where own[index].name.lowercased() == "etag" {
      own[index].value = ContentCoding.gzipTag(own[index].value)
    }
    return own + [("Content-Encoding", "gzip")]
  }
}

extension [(name: String, value: String)] {
  /// With a header that the answer depends on named in `Vary`, which stays one line.
  public func varying(on name: String) -> Self {
    guard let index = firstIndex(where: { $0.name.lowercased() == "vary" }) else { return self + [("Vary", name)] }
    var headers = self
    if !Preferences([headers[index].value]).items.contains(where: { $0.value == name.lowercased() }) {
      headers[index].value += ", \(name)"
    }
    return headers
  }
}
