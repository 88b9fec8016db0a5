/// A JSON value as it was written: numbers keep their digits, members their order.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(JSONNumber)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// The name of the value's type, as error messages say it.
  public var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// A number with the digits it was written with, so that what does not fit a double is stored unchanged.
public struct JSONNumber: Sendable, Equatable {
  /// Valid under RFC 8259's grammar.
  public let lexeme: String
  /// The nearest double; infinite when the number is out of range, which `JSONReader` reports as a fault.
  public var double: Double { Double(lexeme) ?? .nan }
  /// The number as an integer, when it is written as one and fits.
  public var integer: Int? { Int(lexeme) }

  init(lexeme: String) { self.lexeme = lexeme }
}

/// Members in the order they were written, each name once.
public struct JSONObject: Sendable, Equatable {
  public private(set) var members: [(name: String, value: JSONValue)]

  /// - Precondition: each name is there once.
  public init(members: [(name: String, value: JSONValue)]) { self.members = members }

  public subscript(name: String) -> JSONValue? {
    for member in members where member.name == name { return member.value }
    return nil
  }

  /// Two objects are equal when they have the same members in any order.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    guard left.members.count == right.members.count else { return false }
    return left.members.allSatisfy { right[$0.name] == $0.value }
  }
}

/// Something wrong at one place of a document that could be read: what `errors` of a problem lists.
public struct JSONFault: Error, Sendable, Equatable {
  /// RFC 6901; "" is the whole document.
  public let pointer: String
  /// One sentence for the sender.
  public let detail: String

  public init(pointer: String, detail: String) {
    self.pointer = pointer
    self.detail = detail
  }
}

/// Why bytes are not a JSON document at all.
public struct JSONSyntaxError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Reason: Sendable, Equatable {
    case notUTF8
    case tooDeep(levelsMax: Int)
    case endOfInput
    case unexpected(String)
  }
  public let reason: Reason
  /// Bytes from the start of the document.
  public let offset: Int

  public var description: String {
    switch reason {
    case .notUTF8: "invalid UTF-8 at byte \(offset)"
    case .tooDeep(let levels): "nested deeper than \(levels) levels at byte \(offset)"
    case .endOfInput: "the document ends at byte \(offset), before it is complete"
    case .unexpected(let what): "\(what) at byte \(offset)"
    }
  }
}

/// Appends a reference token to an RFC 6901 pointer.
public func jsonPointer(_ base: String, _ token: String) -> String {
  guard token.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
    return base + "/" + token
  }
  var escaped = base + "/"
  for scalar in token.unicodeScalars {
    switch scalar {
    case "~": escaped += "~0"
    case "/": escaped += "~1"
    default: escaped.unicodeScalars.append(scalar)
    }
  }
  return escaped
}
