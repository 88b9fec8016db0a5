/// Values of structured header fields (RFC 8941).
public enum StructuredField {
  public enum BareItem: Sendable, Equatable {
    case integer(Int64)
    /// In thousandths, of which there are at most three digits.
    case decimal(thousandths: Int64)
    case string(String)
    case token(String)
    case bytes([UInt8])
    case boolean(Bool)
  }

  public struct Parameter: Sendable, Equatable {
    public let name: String
    public let value: BareItem
  }

  public struct Item: Sendable, Equatable {
    public let value: BareItem
    public let parameters: [Parameter]
  }

  public enum Member: Sendable, Equatable {
    case item(Item)
    case innerList([Item], parameters: [Parameter])
  }

  public struct Entry: Sendable, Equatable {
    public let name: String
    public let member: Member
  }

  /// Where and why a value cannot be read, as the end of a sentence that begins with the name of the field.
  public struct Fault: Error, Equatable, CustomStringConvertible {
    let offset: Int
    let reason: String

    public var description: String { "cannot be read at byte \(offset): \(reason)" }
  }

  /// A dictionary, in the order it was sent.
  ///
  /// Stricter than the RFC, which lets the last of two values stand: a name that is there twice is a fault, since
  /// another reader could take the first one.
  /// - Parameter lines: every line of the field.
  public static func dictionary(_ lines: [String]) throws(Fault) -> [Entry] {
    var parser = StructuredFieldParser(lines.joined(separator: ", "))
    return try parser.dictionary()
  }
}

extension StructuredField.Member: CustomStringConvertible {
  /// The one text of the value, as RFC 8941 has it in section 4.1.
  public var description: String {
    switch self {
    case .item(let item): item.description
    case .innerList(let items, let parameters):
      "(\(items.map(\.description).joined(separator: " ")))" + parameters.map(\.description).joined()
    }
  }
}

extension StructuredField.Item: CustomStringConvertible {
  public var description: String { value.description + parameters.map(\.description).joined() }
}

extension StructuredField.Parameter: CustomStringConvertible {
  public var description: String { value == .boolean(true) ? ";\(name)" : ";\(name)=\(value)" }
}

extension StructuredField.BareItem: CustomStringConvertible {
  public var description: String {
    switch self {
    case .integer(let integer): "\(integer)"
    case .decimal(let thousandths): Self.decimal(thousandths)
    case .string(let text): "\"\(text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    case .token(let token): token
    case .bytes(let bytes): ":\(Base64.encode(bytes)):"
    case .boolean(let flag): flag ? "?1" : "?0"
    }
  }

  private static func decimal(_ thousandths: Int64) -> String {
    let (whole, rest) = thousandths.magnitude.quotientAndRemainder(dividingBy: 1000)
    var fraction = String(String(rest + 1000).dropFirst())
    while fraction.count > 1, fraction.hasSuffix("0") { fraction.removeLast() }
    return "\(thousandths < 0 ? "-" : "")\(whole).\(fraction)"
  }
}
