/// A list of alternatives with weights (RFC 9110, section 12.4.2): `gzip, br;q=0.5, *;q=0`.
struct Preferences: Sendable {
  struct Item: Sendable, Equatable {
    /// In lower case, without its parameters.
    let value: String
    /// In thousandths; 0 says "not this".
    let weight: Int
  }

  /// In the order they were sent. What cannot be read as an alternative is left out.
  private(set) var items: [Item] = []

  /// - Parameter fields: every line of the header.
  init(_ fields: [String]) {
    for field in fields {
      for element in Self.split(field, at: ",") {
        let parts = Self.split(element, at: ";").map(Self.trimmed)
        guard let value = parts.first, !value.isEmpty else { continue }
        let weight = parts.dropFirst().first { $0.lowercased().hasPrefix("q=") }.map { Self.weight($0.dropFirst(2)) }
        guard let weight = weight ?? 1000 else { continue }
        items.append(Item(value: value.lowercased(), weight: weight))
      }
    }
  }

  /// The weight of exactly this alternative, in lower case. Nil when it is not listed.
  func weight(of value: String) -> Int? { items.first { $0.value == value }?.weight }

  /// `0`, `1`, or with up to three digits behind the point.
  private static func weight(_ text: Substring) -> Int? {
    let digits = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = digits.first, whole == "0" || whole == "1" else { return nil }
    let fraction = digits.count > 1 ? digits[1] : ""
    guard fraction.utf8.count <= 3, fraction.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
    let thousandths = Int(whole + fraction + String(repeating: "0", count: 3 - fraction.utf8.count))!
    return thousandths <= 1000 ? thousandths : nil
  }

  /// A separator inside quotes separates nothing.
  private static func split(_ text: some StringProtocol, at separator: Character) -> [Substring] {
    var isQuoted = false
    var isEscaped = false
    return Substring(text).split { character in
      if isEscaped {
        isEscaped = false
      } else if isQuoted, character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        isQuoted.toggle()
      }
      return !isQuoted && character == separator
    }
  }

  private static func trimmed(_ text: Substring) -> Substring {
    let start = text.drop { $0 == " " || $0 == "\t" }
    guard let last = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
    return start[...last]
  }
}
