/// Takes an object apart, member by member, and collects every fault instead of stopping at the first.
///
/// Read each member once, with the check it needs, then call `finish()`: it throws what was found, including members
/// that nothing asked for.
///
///     var fields = JSONFields(value)
///     let slug = fields.required("slug") { try Slug($0.string()) }
///     let name = fields.required("name") { try $0.string(bytesMax: 200) }
///     try fields.finish()
///     return Provider(slug: slug!, name: name!)
public struct JSONFields {
  private let pointer: String
  private var members: [(name: String, value: JSONValue)]
  private var taken: [Bool]
  public private(set) var faults: [JSONFault]

  /// - Parameter pointer: where the value stands in the whole document.
  public init(_ value: JSONValue, at pointer: String = "", faults: [JSONFault] = []) {
    self.pointer = pointer
    self.faults = faults
    if case .object(let object) = value {
      members = object.members
    } else {
      members = []
      self.faults.append(JSONFault(pointer: pointer, detail: "must be an object, not \(value.typeName)"))
      isNotAnObject = true
    }
    taken = Array(repeating: false, count: members.count)
  }
  private var isNotAnObject = false

  /// The member `name` when it is there; null counts as absent.
  @inlinable
  public mutating func optional<Value>(
    _ name: String, _ read: (JSONField) throws -> Value
  ) -> Value? {
    guard let field = takeOptional(name) else { return nil }
    do { return try read(field) } catch { note(error, in: field) }
    return nil
  }

  // What is not generic stays in this module: what is, is made anew for each use in the caller's.

  @usableFromInline
  mutating func takeOptional(_ name: String) -> JSONField? {
    guard let index = members.firstIndex(where: { $0.name == name }) else { return nil }
    taken[index] = true
    if case .null = members[index].value { return nil }
    return JSONField(value: members[index].value, name: name, in: pointer)
  }

  @usableFromInline
  mutating func takeRequired(_ name: String) -> JSONField? {
    guard let index = members.firstIndex(where: { $0.name == name }) else {
      if !isNotAnObject { fault(name, "is required") }
      return nil
    }
    taken[index] = true
    if case .null = members[index].value {
      fault(name, "is required, null is not a value here")
      return nil
    }
    return JSONField(value: members[index].value, name: name, in: pointer)
  }

  @usableFromInline
  mutating func note(_ error: any Error, in field: JSONField) {
    switch error {
    case let error as JSONFault: faults.append(error)
    case let error as JSONFaults: faults.append(contentsOf: error.faults)
    default: faults.append(JSONFault(pointer: field.pointer, detail: "\(error)"))
    }
  }

  /// The member `name` of a merge patch (RFC 7396) whose removal is not possible: null is a fault.
  public mutating func replacement<Value>(
    _ name: String, _ read: (JSONField) throws -> Value
  ) -> Value? {
    members.contains { $0.name == name } ? required(name, read) : nil
  }

  /// The member `name`; a fault when it is absent or null. Nil only together with a fault.
  @inlinable
  public mutating func required<Value>(
    _ name: String, _ read: (JSONField) throws -> Value
  ) -> Value? {
    guard let field = takeRequired(name) else { return nil }
    do { return try read(field) } catch { note(error, in: field) }
    return nil
  }

  /// Adds a fault that the caller found, about a member or, with an empty name, about the object.
  public mutating func fault(_ name: String, _ detail: String) {
    faults.append(JSONFault(pointer: name.isEmpty ? pointer : jsonPointer(pointer, name), detail: detail))
  }

  /// - Throws: `JSONFaults` when anything was wrong, unknown members included.
  public mutating func finish() throws(JSONFaults) {
    // More faults than anyone reads; a body of unknown members must not make an answer larger than itself.
    for (index, member) in members.enumerated() where !taken[index] && faults.count < JSONFaults.countMax {
      taken[index] = true
      faults.append(JSONFault(pointer: jsonPointer(pointer, member.name), detail: "is not a known field"))
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
  }
}

/// Everything that is wrong with a document.
public struct JSONFaults: Error, Sendable, Equatable {
  public let faults: [JSONFault]

  /// How many unknown members or parameters are named at most.
  public static let countMax = 100

  public init(_ faults: [JSONFault]) { self.faults = faults }
}

/// One value and its place.
public struct JSONField {
  public let value: JSONValue
  private let base: String
  private let name: String?

  public init(value: JSONValue, pointer: String) {
    self.value = value
    base = pointer
    name = nil
  }

  init(value: JSONValue, name: String, in base: String) {
    self.value = value
    self.base = base
    self.name = name
  }

  /// Put together when it is asked for: most fields have no fault.
  public var pointer: String { name.map { jsonPointer(base, $0) } ?? base }

  public func fault(_ detail: String) -> JSONFault { JSONFault(pointer: pointer, detail: detail) }

  /// - Parameter bytesMax: bytes of UTF-8, not characters.
  public func string(bytesMin: Int = 0, bytesMax: Int = .max) throws -> String {
    guard case .string(let string) = value else { throw fault("must be a string, not \(value.typeName)") }
    if string.utf8.count > bytesMax {
      throw fault("is \(string.utf8.count) bytes long, at most \(bytesMax) are allowed")
    }
    if string.utf8.count < bytesMin {
      throw fault(bytesMin == 1 ? "must not be empty" : "must be at least \(bytesMin) bytes long")
    }
    return string
  }

  public func double() throws -> Double {
    guard case .number(let number) = value else { throw fault("must be a number, not \(value.typeName)") }
    return number.double
  }

  public func integer(in range: ClosedRange<Int>) throws -> Int {
    guard case .number(let number) = value else { throw fault("must be an integer, not \(value.typeName)") }
    guard let integer = number.integer, range.contains(integer) else {
      throw fault("must be an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return integer
  }

  public func bool() throws -> Bool {
    guard case .bool(let bool) = value else { throw fault("must be true or false, not \(value.typeName)") }
    return bool
  }

  /// One of the cases, by raw value.
  public func oneOf<Choice: RawRepresentable & CaseIterable>(_: Choice.Type) throws -> Choice
  where Choice.RawValue == String {
    guard case .string(let string) = value else {
      throw fault("must be one of \(Self.names(of: Choice.self)), not \(value.typeName)")
    }
    guard let choice = Choice(rawValue: string) else { throw fault("must be one of \(Self.names(of: Choice.self))") }
    return choice
  }

  private static func names<Choice: RawRepresentable & CaseIterable>(of _: Choice.Type) -> String
  where Choice.RawValue == String {
    Choice.allCases.map(\.rawValue).joined(separator: ", ")
  }

  /// Reads each element and collects all their faults.
  public func array<Element>(
    count range: ClosedRange<Int> = 0...Int.max, _ read: (JSONField) throws -> Element
  ) throws -> [Element] {
    guard case .array(let values) = value else { throw fault("must be an array, not \(value.typeName)") }
    guard range.contains(values.count) else {
      throw fault("has \(values.count) elements, \(range.lowerBound) to \(range.upperBound) are allowed")
    }
    var faults: [JSONFault] = []
    var elements: [Element] = []
    for (index, element) in values.enumerated() {
      let field = JSONField(value: element, pointer: "\(pointer)/\(index)")
      do {
        elements.append(try read(field))
      } catch let error as JSONFault {
        faults.append(error)
      } catch let error as JSONFaults {
        faults.append(contentsOf: error.faults)
      } catch {
        faults.append(field.fault("\(error)"))
      }
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
    return elements
  }

  /// Reads a nested object; `body` reads its members and need not call `finish()`.
  public func object<Value>(_ body: (inout JSONFields) throws -> Value) throws -> Value {
    var fields = JSONFields(value, at: pointer)
    let result = try body(&fields)
    try fields.finish()
    return result
  }
}
