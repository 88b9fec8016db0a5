import HTTPServer
import JSON

extension Problem.Kind {
  static let preconditionFailed = Problem.Kind(
    code: "precondition-failed", status: 412, title: "It is no longer what If-Match names",
    explanation: "Someone changed it after the ETag was given out. Read it again and decide anew; nothing was stored.")
}

extension Call {
  /// Holds `If-Match` (RFC 9110, section 13.1.1), when it was sent, against what a GET would answer now.
  /// - Parameter current: writes the thing as GET does.
  /// - Throws: 412.
  func requireMatch(_ current: (inout JSONWriter) -> Void) throws {
    let fields = request.headers.all("If-Match")
    if fields.isEmpty { return }
    var json = JSONWriter()
    current(&json)
    guard ConditionalRequest.matchesStrongly(fields, entityTag: entityTag(of: json.bytes)) else {
      throw Problem(.preconditionFailed, "It was changed since the ETag in `If-Match` was given out.")
    }
  }
}
