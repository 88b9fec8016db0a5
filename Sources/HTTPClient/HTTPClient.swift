import CCurl

/// One request after the other, over connections that are kept, by libcurl: TLS with verified certificates, and the
/// proxies that the environment names. Blocks; one thread at a time may use it.
public final class HTTPClient {
  public struct Answer {
    public let status: Int
    /// Of the header `Retry-After`; nil without one, or when it holds a date.
    public let retryAfterSeconds: Int?
    public let body: [UInt8]
  }

  /// Why there is no answer, in libcurl's words.
  public struct TransportError: Error, CustomStringConvertible {
    public let description: String
  }

  private static let connectTimeoutSeconds = 10
  private let handle: UnsafeMutableRawPointer
  /// Where libcurl writes what went wrong.
  private let errorText: UnsafeMutableBufferPointer<CChar>
  private let received: ReceivedBody
  private let interruption: InterruptionCheck

  /// - Parameters:
  ///   - authorities: a file of certificates (PEM) that are trusted instead of the system's.
  ///   - answerBytesMax: an answer that is longer is an error.
  ///   - isInterrupted: asked about once a second; when true, the exchange ends without an answer.
  /// - Throws: when libcurl lacks memory or does not take a setting.
  public init(userAgent: String, authorities: String? = nil, answerBytesMax: Int, isInterrupted: @escaping () -> Bool)
    throws(TransportError)
  {
    guard curl_prepare() == CURLE_OK, let handle = curl_easy_init() else {
      throw TransportError(description: "libcurl cannot be used")
    }
    self.handle = handle
    errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    errorText.initialize(repeating: 0)
    received = ReceivedBody(bytesMax: answerBytesMax)
    interruption = InterruptionCheck(isInterrupted: isInterrupted)
    try set(CURLOPT_USERAGENT, userAgent)
    // A redirection would take the key to somewhere else, so none is followed.
    try set(CURLOPT_FOLLOWLOCATION, 0)
    try set(CURLOPT_PROTOCOLS_STR, "http,https")
    try set(CURLOPT_NOSIGNAL, 1)
    try set(CURLOPT_CONNECTTIMEOUT, Self.connectTimeoutSeconds)
    if let authorities { try set(CURLOPT_CAINFO, authorities) }
    try check(curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText.baseAddress))
    try check(
      curl_set_watch(
        handle,
        { context, _, _, _, _ in
          Unmanaged<InterruptionCheck>.fromOpaque(context!).takeUnretainedValue().isInterrupted() ? 1 : 0
        }, Unmanaged.passUnretained(interruption).toOpaque()))
    try check(
      curl_set_write(
        handle,
        { bytes, _, count, context in
          let received = Unmanaged<ReceivedBody>.fromOpaque(context!).takeUnretainedValue()
          return received.append(UnsafeRawBufferPointer(start: bytes, count: count)) ? count : 0
        }, Unmanaged.passUnretained(received).toOpaque()))
  }

  deinit {
    curl_easy_cleanup(handle)
    errorText.deallocate()
  }

  /// - Parameters:
  ///   - headers: lines of the form `Name: value`.
  ///   - timeoutSeconds: for the whole exchange, at least 1.
  public func post(
    _ url: String, headers: [String], body: [UInt8], timeoutSeconds: Int
  ) throws(TransportError) -> Answer {
    try set(CURLOPT_POST, 1)
    try set(CURLOPT_POSTFIELDSIZE, body.count)
    return try exchange(url, headers: headers, timeoutSeconds: timeoutSeconds) {
      body.withUnsafeBytes { bytes in
        let code = curl_set_pointer(handle, CURLOPT_POSTFIELDS, bytes.baseAddress)
        return code == CURLE_OK ? curl_easy_perform(handle) : code
      }
    }
  }

  /// The same without a body.
  public func get(_ url: String, headers: [String], timeoutSeconds: Int) throws(TransportError) -> Answer {
    try set(CURLOPT_HTTPGET, 1)
    return try exchange(url, headers: headers, timeoutSeconds: timeoutSeconds) { curl_easy_perform(handle) }
  }

  private func exchange(
    _ url: String, headers: [String], timeoutSeconds: Int, _ perform: () -> CURLcode
  ) throws(TransportError) -> Answer {
    var list: UnsafeMutablePointer<curl_slist>?
    defer { curl_slist_free_all(list) }
    for header in headers {
      guard let longer = curl_slist_append(list, header) else { throw TransportError(description: "no memory") }
      list = longer
    }
    try set(CURLOPT_URL, url)
    try set(CURLOPT_TIMEOUT, timeoutSeconds)
    try check(curl_set_pointer(handle, CURLOPT_HTTPHEADER, list))
    received.reset()
    errorText[0] = 0
    try check(perform())
    return Answer(
      status: curl_status(handle), retryAfterSeconds: header("Retry-After").flatMap { Int($0) }, body: received.bytes)
  }

  /// A header of the last answer.
  private func header(_ name: String) -> String? {
    var found: UnsafeMutablePointer<curl_header>?
    let code = curl_easy_header(handle, name, 0, UInt32(CURLH_HEADER), -1, &found)
    return code == CURLHE_OK ? found.map { String(cString: $0.pointee.value) } : nil
  }

  private func set(_ option: CURLoption, _ value: String) throws(TransportError) {
    try check(curl_set_string(handle, option, value))
  }

  private func set(_ option: CURLoption, _ value: Int) throws(TransportError) {
    try check(curl_set_number(handle, option, value))
  }

  private func check(_ code: CURLcode) throws(TransportError) {
    if code == CURLE_OK { return }
    let detail = String(cString: errorText.baseAddress!)
    throw TransportError(description: detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail)
  }
}

/// A closure with an address that C can hold.
private final class InterruptionCheck {
  let isInterrupted: () -> Bool
  init(isInterrupted: @escaping () -> Bool) { self.isInterrupted = isInterrupted }
}

/// What libcurl has received of an answer.
private final class ReceivedBody {
  private(set) var bytes: [UInt8] = []
  private let bytesMax: Int

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  func reset() { bytes.removeAll(keepingCapacity: true) }

  /// - Returns: false when it is too much, which ends the exchange.
  func append(_ more: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count + more.count <= bytesMax else { return false }
    bytes.append(contentsOf: more)
    return true
  }
}
