import HTTPServer
import JSON

/// Where the next page of a list begins: the sort key of the last entry, so that pages stay stable while rows are
/// added. Opaque to clients: hexadecimal, which is within `[A-Za-z0-9_-]+`.
struct Cursor: Sendable {
  let text: String

  init(text: String) { self.text = text }

  /// - Throws: the fault of the parameter `cursor`.
  init(parsing encoded: String) throws(JSONFault) {
    let digits = encoded.utf8.map { byte in Character(Unicode.Scalar(byte)).hexDigitValue }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: digits.count - 1, by: 2) {
      guard let high = digits[index], let low = digits[index + 1] else { throw Self.fault }
      bytes.append(UInt8(high << 4 | low))
    }
    guard !digits.isEmpty, digits.count % 2 == 0, let text = String(validating: bytes, as: UTF8.self),
      !text.utf8.contains(0)
    else { throw Self.fault }
    self.text = text
  }

  static let fault = JSONFault(pointer: "?cursor", detail: "is not a cursor that this list gave out")

  var encoded: String { hexadecimal(text.utf8) }
}

extension QueryFields {
  /// How many entries a page has: `limit`, 1 to 500, 50 by default.
  mutating func limit() -> Int { optional("limit") { try $0.limit() } ?? Parameters.limitDefault }

  /// What `read` makes of the sort key at which the page before ended; nil on the first page.
  mutating func cursor<Key>(_ read: (String) -> Key?) -> Key? {
    optional("cursor") { field in
      guard let key = read(try Cursor(parsing: try field.string()).text) else { throw Cursor.fault }
      return key
    }
  }
}

extension Response {
  /// A page of a list: `{"items": [...], "next_cursor": ...}` with the `Link` to the next one.
  /// - Parameter found: up to one entry more than `limit`, which is not sent but says that another page follows.
  /// - Parameter end: where to go on when the list was not read to its end, although no further entry was found.
  static func page<Item>(
    _ found: [Item], limit: Int, _ call: Call, end: Cursor? = nil, _ write: (inout JSONWriter, Item) -> Void,
    cursor: (Item) -> Cursor
  ) -> Response {
    let items = found.prefix(limit)
    return page(Array(items), next: found.count > limit ? items.last.map(cursor) : end, call, write)
  }

  /// The same with the beginning of the next page told; nil when this is the last.
  static func page<Item>(
    _ items: [Item], next cursor: Cursor?, _ call: Call, _ write: (inout JSONWriter, Item) -> Void
  ) -> Response {
    let next = cursor?.encoded
    var json = JSONWriter()
    json.object { json in
      json.array("items", items, write)
      json.member("next_cursor", next)
    }
    var headers: [(name: String, value: String)] = []
    if let next { headers.append(("Link", "<\(nextTarget(call.request.target, cursor: next))>; rel=\"next\"")) }
    return .json(json.bytes, headers: headers)
  }

  /// The request's target with the cursor replaced; everything else stays as it was sent.
  private static func nextTarget(_ target: String, cursor: String) -> String {
    let parts = target.split(separator: "?", maxSplits: 1)
    let others = parts.count < 2 ? [] : parts[1].split(separator: "&").filter { !$0.hasPrefix("cursor=") }
    return parts[0] + "?" + (others.map(String.init) + ["cursor=\(cursor)"]).joined(separator: "&")
  }
}
