/// The short name by which people and URLs mean one thing of a kind.
public struct Slug: Sendable, Hashable, CustomStringConvertible {
  public let text: String
  public var description: String { text }

  /// Words that stand in a path where a slug could.
  private static let reserved: Set<String> = ["import", "export"]

  /// - Throws: `InvalidSlug`, which says what a slug is.
  public init(_ text: String) throws(InvalidSlug) {
    let bytes = Array(text.utf8)
    guard 1...63 ~= bytes.count, bytes.allSatisfy(Self.isInner),
      Self.isOuter(bytes[0]), Self.isOuter(bytes[bytes.count - 1])
    else { throw InvalidSlug.malformed }
    if Identifier.isShaped(text) { throw InvalidSlug.shapedLikeAnIdentifier }
    if Self.reserved.contains(text) { throw InvalidSlug.reserved(text) }
    self.text = text
  }

  private static func isOuter(_ byte: UInt8) -> Bool {
    UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
  }

  private static func isInner(_ byte: UInt8) -> Bool {
    isOuter(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
  }
}

public enum InvalidSlug: Error, CustomStringConvertible {
  case malformed
  case shapedLikeAnIdentifier
  case reserved(String)

  public var description: String {
    switch self {
    case .malformed:
      "must be 1 to 63 of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit"
    case .shapedLikeAnIdentifier: "must not have the shape of a UUID: that is how ids are told from slugs"
    case .reserved(let word): "must not be '\(word)', which is part of a path"
    }
  }
}
