/// What a result speaks of: a host, URL or endpoint, and the model asked where the result names one.
///
/// The same address with another model is another target. Identity and order go by the bytes of UTF-8, as they do in
/// the database and in the methodology: Swift's own comparison of strings holds canonically equivalent spellings equal,
/// and would merge two targets that everything else keeps apart. The hash may stay Swift's: equal bytes hash equally.
public struct Target: Sendable, Hashable, Comparable {
  public let address: String
  public let model: String?

  public init(address: String, model: String? = nil) {
    self.address = address
    self.model = model
  }

  public static func == (left: Target, right: Target) -> Bool {
    guard left.address.hasBytes(of: right.address) else { return false }
    switch (left.model, right.model) {
    case (nil, nil): return true
    case (let left?, let right?): return left.hasBytes(of: right)
    default: return false
    }
  }

  /// By address, then by model; no model comes before any.
  public static func < (left: Target, right: Target) -> Bool {
    guard left.address.hasBytes(of: right.address) else {
      return left.address.utf8.lexicographicallyPrecedes(right.address.utf8)
    }
    switch (left.model, right.model) {
    case (_, nil): return false
    case (nil, _): return true
    case (let left?, let right?): return left.utf8.lexicographicallyPrecedes(right.utf8)
    }
  }
}

extension String {
  /// Swift compares ASCII by blocks of memory, and ASCII has one spelling only; the rest is compared byte by byte.
  fileprivate func hasBytes(of other: String) -> Bool {
    guard self == other else { return false }
    return utf8Span.isKnownASCII && other.utf8Span.isKnownASCII || utf8.elementsEqual(other.utf8)
  }
}
