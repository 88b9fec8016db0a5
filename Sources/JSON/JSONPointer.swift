extension JSONValue {
  /// The value at an RFC 6901 pointer; nil when there is none, or when it is no pointer.
  public func value(at pointer: String) -> JSONValue? {
    guard let tokens = Self.tokens(of: pointer) else { return nil }
    return tokens.reduce(self as JSONValue?) { value, token in
      switch value {
      case .object(let object): object[token]
      case .array(let elements): Self.index(token, of: elements).map { elements[$0] }
      default: nil
      }
    }
  }

  /// The document with another value at an RFC 6901 pointer; nil when there is nothing at it yet.
  public func replacing(_ pointer: String, with value: JSONValue) -> JSONValue? {
    Self.tokens(of: pointer).flatMap { replacing($0[...], with: value) }
  }

  private func replacing(_ tokens: ArraySlice<String>, with value: JSONValue) -> JSONValue? {
    guard let token = tokens.first else { return value }
    switch self {
    case .object(let object):
      var members = object.members
      guard let index = members.firstIndex(where: { $0.name == token }),
        let changed = members[index].value.replacing(tokens.dropFirst(), with: value)
      else { return nil }
      members[index].value = changed
      return .object(JSONObject(members: members))
    case .array(var elements):
      guard let index = Self.index(token, of: elements),
        let changed = elements[index].replacing(tokens.dropFirst(), with: value)
      else { return nil }
      elements[index] = changed
      return .array(elements)
    default: return nil
    }
  }

  /// Decimal digits without leading zeros, within the array.
  private static func index(_ token: String, of elements: [JSONValue]) -> Int? {
    guard let index = Int(token), String(index) == token, elements.indices.contains(index) else { return nil }
    return index
  }

  /// The reference tokens; nil when the text is no pointer.
  private static func tokens(of pointer: String) -> [String]? {
    if pointer.isEmpty { return [] }
    guard pointer.utf8.first == UInt8(ascii: "/") else { return nil }
    var tokens: [String] = []
    for part in pointer.unicodeScalars.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      var token = String.UnicodeScalarView()
      var rest = part[...]
      while let scalar = rest.popFirst() {
        guard scalar == "~" else {
          token.append(scalar)
          continue
        }
        switch rest.popFirst() {
        case "0": token.append("~")
        case "1": token.append("/")
        default: return nil
        }
      }
      tokens.append(String(token))
    }
    return tokens
  }
}
