import Foundation

/// Wrong bodies made of a right one, each with the pointers of the faults in it.
struct BodyMutations {
  struct Mutation {
    let name: String
    let body: Any
    /// Nil: as many as there are.
    let pointers: [String]
  }

  let body: [String: Any]
  /// Pointers of members that may not be left out.
  let required: [String]
  /// Values that are out of range, by pointer.
  let wrong: [String: [Any]]
  /// Objects whose members are nobody's business.
  let free: [String]

  /// Pointers of all members, and of the first element of each array.
  var pointers: [String] { Self.pointers(in: body, at: "", free: free) }

  private static func pointers(in value: Any, at pointer: String, free: [String]) -> [String] {
    let own = pointer.isEmpty ? [] : [pointer]
    if free.contains(pointer) { return own }
    if let object = value as? [String: Any] {
      return own + object.keys.sorted().flatMap { pointers(in: object[$0]!, at: "\(pointer)/\($0)", free: free) }
    }
    guard let first = (value as? [Any])?.first else { return own }
    return own + pointers(in: first, at: pointer + "/0", free: free)
  }

  /// Those that have to stand in `wrong`: a boolean and an object have no range.
  var ranged: [String] { pointers.filter { !["boolean", "object"].contains(Self.type(of: value(at: $0)!)) } }

  var all: [Mutation] { missing + mistyped + outOfRange + unknown + [allAtOnce] }

  private var missing: [Mutation] {
    required.flatMap { pointer in
      [
        Mutation(name: "without \(pointer)", body: replacing(pointer, by: nil), pointers: [pointer]),
        Mutation(name: "null at \(pointer)", body: replacing(pointer, by: NSNull()), pointers: [pointer]),
      ]
    }
      + (required.isEmpty
        ? [] : [Mutation(name: "nothing required", body: without(required), pointers: required)])
  }

  private static var samples: [(type: String, value: Any)] {
    [("boolean", true), ("number", 7), ("string", "x"), ("array", [Any]()), ("object", [String: Any]())]
  }

  private var mistyped: [Mutation] {
    pointers.flatMap { pointer in
      let type = Self.type(of: value(at: pointer)!)
      return Self.samples.filter { $0.type != type }.map {
        Mutation(name: "\($0.type) at \(pointer)", body: replacing(pointer, by: $0.value), pointers: [pointer])
      }
    }
  }

  private var outOfRange: [Mutation] {
    wrong.flatMap { pointer, values in
      values.map { value in
        Mutation(
          name: "\("\(value)".prefix(40)) at \(pointer)", body: replacing(pointer, by: value), pointers: [pointer])
      }
    }
  }

  private var unknown: [Mutation] {
    let objects = [""] + pointers.filter { !free.contains($0) && value(at: $0) is [String: Any] }
    return objects.map { pointer in
      let body = replacing(pointer + "/no_such", by: 1)
      return Mutation(name: "unknown in \(pointer)", body: body, pointers: [pointer + "/no_such"])
    }
  }

  /// Every member wrong at the same time, and one too many.
  private var allAtOnce: Mutation {
    var wrong: [String: Any] = ["no_such": 1]
    for (name, value) in body { wrong[name] = Self.samples.first { $0.type != Self.type(of: value) }!.value }
    return Mutation(name: "all wrong at once", body: wrong, pointers: wrong.keys.map { "/\($0)" })
  }

  // MARK: - Values by pointer

  private static func type(of value: Any) -> String {
    switch value {
    case is String: "string"
    case is Bool: "boolean"
    case is [Any]: "array"
    case is [String: Any]: "object"
    default: "number"
    }
  }

  private func value(at pointer: String) -> Any? {
    pointer.split(separator: "/").reduce(body as Any?) { value, name in
      (value as? [String: Any])?[String(name)] ?? (value as? [Any])?[Int(name) ?? 0]
    }
  }

  private func without(_ pointers: [String]) -> Any {
    pointers.reduce(body as Any) { Self.replacing($1.split(separator: "/"), in: $0, by: nil) }
  }

  private func replacing(_ pointer: String, by value: Any?) -> Any {
    Self.replacing(pointer.split(separator: "/"), in: body, by: value)
  }

  private static func replacing(_ path: [Substring], in whole: Any, by value: Any?) -> Any {
    let (name, rest) = (String(path[0]), Array(path.dropFirst()))
    if var object = whole as? [String: Any] {
      object[name] = rest.isEmpty ? value : replacing(rest, in: object[name]!, by: value)
      return object
    }
    var array = whole as! [Any]
    array[Int(name)!] = rest.isEmpty ? value! : replacing(rest, in: array[Int(name)!], by: value)
    return array
  }
}
