/// `If-None-Match` and `If-Match` (RFC 9110, sections 13.1.2 and 13.1.1).
public enum ConditionalRequest {
  /// Whether the client has the representation already. Weak comparison: `W/` does not matter.
  /// - Parameter fields: every `If-None-Match` line, each a list of tags or `*`.
  static func matches(_ fields: [String], entityTag: String) -> Bool {
    let opaque = withoutWeakness(Substring(entityTag))
    return fields.contains { field in
      field == "*" || tags(in: field).contains { withoutWeakness($0) == opaque }
    }
  }

  /// Whether `If-Match` names the representation, in whatever coding its sender got it. Strong comparison: a weak tag
  /// matches nothing.
  /// - Parameter fields: every `If-Match` line, each a list of tags or `*`.
  public static func matchesStrongly(_ fields: [String], entityTag: String) -> Bool {
    fields.contains { field in
      field == "*" || tags(in: field).contains { ContentCoding.plainTag($0) == entityTag }
    }
  }

  /// What a 304 carries of the 200 it stands for (section 15.4.5): all but what describes the body it does not have.
  static func headersKept(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
    headers.filter { !$0.name.lowercased().hasPrefix("content-") }
  }

  /// The tags of a list. A comma may stand inside the quotes, so splitting at commas would not do.
  /// What is not a tag ends the list: a cache then fetches anew, which is always right.
  static func tags(in field: String) -> [Substring] {
    var tags: [Substring] = []
    var rest = Substring(field)
    while true {
      rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
      let start = rest.startIndex
      if rest.hasPrefix("W/") { rest = rest.dropFirst(2) }
      guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else { return tags }
      tags.append(field[start...end])
      rest = rest[rest.index(after: end)...]
    }
  }

  private static func withoutWeakness(_ tag: Substring) -> Substring {
    tag.hasPrefix("W/") ? tag.dropFirst(2) : tag
  }
}
