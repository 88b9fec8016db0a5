/// `Accept`: which media types a client takes (RFC 9110, section 12.5.1).
enum MediaRanges {
  /// Whether one of the types, which have no parameters, is acceptable.
  /// - Parameter fields: every `Accept` line; none, or nothing readable in them, takes everything.
  static func accept(_ types: [String], _ fields: [String]) -> Bool { preferred(types, fields) != nil }

  /// The type that the client likes best; of several the first. Nil when it takes none. Of the ranges that match a
  /// type the most specific one says how much it is liked; parameters of a range are not looked at, as JSON is the same
  /// with any `charset`.
  static func preferred(_ types: [String], _ fields: [String]) -> String? {
    let ranges = Preferences(fields)
    if ranges.items.isEmpty { return types.first }
    var best: (type: String?, weight: Int) = (nil, 0)
    for type in types {
      let family = type.prefix { $0 != "/" } + "/*"
      let weight = ranges.weight(of: type) ?? ranges.weight(of: String(family)) ?? ranges.weight(of: "*/*") ?? 0
      if weight > best.weight { best = (type, weight) }
    }
    return best.type
  }
}

extension RequestHead {
  /// Which of the route's media types the client likes best.
  /// - Precondition: `types` is not empty.
  public func preferredType(of types: [String]) -> String {
    MediaRanges.preferred(types, headers.all("Accept")) ?? types[0]
  }
}
