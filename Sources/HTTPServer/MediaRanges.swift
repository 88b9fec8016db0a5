/// `Accept`: which media types a client takes (RFC 9110, section 12.5.1).
enum MediaRanges {
  /// Whether one of the types, which have no parameters, is acceptable. Of the ranges that match a type the most
  /// specific one says so; parameters of a range are not looked at, as JSON is the same with any `charset`.
  /// - Parameter fields: every `Accept` line; none, or nothing readable in them, takes everything.
  static func accept(_ types: [String], _ fields: [String]) -> Bool {
    let ranges = Preferences(fields)
    if ranges.items.isEmpty { return true }
    return types.contains { type in
      let family = type.prefix { $0 != "/" } + "/*"
      let weight = ranges.weight(of: type) ?? ranges.weight(of: String(family)) ?? ranges.weight(of: "*/*")
      return weight ?? 0 > 0
    }
  }
}
