/// Finds the route of a request. Built once, then only read.
public struct Router: Sendable {
  /// What a path and a method lead to.
  enum Match {
    case route(Route, PathParameters)
    /// `OPTIONS`, which the router answers itself.
    case options(allow: String)
    case methodNotAllowed(allow: String)
    case notFound
  }

  /// The state after one more segment of a path.
  private struct Node {
    var literals: [(segment: [UInt8], node: Int)] = []
    var parameter: Int?
    var routes: [(method: Method, route: Int, parameterNames: [String])] = []
    /// Value of the `Allow` header.
    var allow = ""
  }

  private let routes: [Route]
  private var nodes = [Node()]
  private let allowAnywhere: String

  /// - Throws: when two routes have the same method and patterns that differ in parameter names at most, or a pattern
  ///   does not start with "/" or names a parameter twice.
  public init(_ routes: [Route]) throws(RouteConflict) {
    self.routes = routes.enumerated().map { index, route in
      var route = route
      route.index = index
      return route
    }
    allowAnywhere = Self.allow(routes.map(\.method))
    for (index, route) in routes.enumerated() { try insert(route, at: index) }
    for index in nodes.indices where !nodes[index].routes.isEmpty {
      nodes[index].allow = Self.allow(nodes[index].routes.map(\.method))
    }
  }

  /// The patterns with their methods, in the order they were given.
  public var endpoints: [(method: Method, pattern: String)] { routes.map { ($0.method, $0.pattern) } }

  private mutating func insert(_ route: Route, at index: Int) throws(RouteConflict) {
    guard route.pattern.hasPrefix("/") else {
      throw RouteConflict(description: "the pattern \(route.pattern) does not start with a slash")
    }
    var node = 0
    var names: [String] = []
    for segment in route.pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      if segment.hasPrefix("{"), segment.hasSuffix("}"), segment.count > 2 {
        let name = String(segment.dropFirst().dropLast())
        guard !names.contains(name) else {
          throw RouteConflict(description: "the pattern \(route.pattern) names {\(name)} twice")
        }
        names.append(name)
        node = parameterChild(of: node)
      } else {
        node = literalChild(of: node, Array(segment.utf8))
      }
    }
    if let other = nodes[node].routes.first(where: { $0.method == route.method }) {
      throw RouteConflict(
        description: "\(route.method.rawValue) \(route.pattern) is the same route as \(routes[other.route].pattern)")
    }
    nodes[node].routes.append((route.method, index, names))
  }

  private mutating func parameterChild(of node: Int) -> Int {
    if let child = nodes[node].parameter { return child }
    nodes.append(Node())
    nodes[node].parameter = nodes.count - 1
    return nodes.count - 1
  }

  private mutating func literalChild(of node: Int, _ segment: [UInt8]) -> Int {
    if let child = nodes[node].literals.first(where: { $0.segment == segment }) { return child.node }
    nodes.append(Node())
    nodes[node].literals.append((segment, nodes.count - 1))
    return nodes.count - 1
  }

  /// In the order of `Method.allCases`, with what the router adds by itself: HEAD for GET, and OPTIONS.
  private static func allow(_ methods: [Method]) -> String {
    var allowed = Set(methods)
    if allowed.contains(.get) { allowed.insert(.head) }
    allowed.insert(.options)
    return Method.allCases.filter(allowed.contains).map(\.rawValue).joined(separator: ", ")
  }

  // MARK: - Matching

  /// - Parameters:
  ///   - method: nil for one that no route can have.
  ///   - target: its path's escapes were checked.
  func match(_ method: Method?, _ target: Target) -> Match {
    var raw = target.raw
    return raw.withUTF8 { bytes -> Match in
      let path = UnsafeBufferPointer(rebasing: bytes[target.path])
      if path.count == 1, path[0] == UInt8(ascii: "*") {
        return method == .options ? .options(allow: allowAnywhere) : .notFound
      }
      var captures: [Range<Int>] = []
      guard let leaf = walk(0, path, from: 1, &captures) else { return .notFound }
      let candidates = nodes[leaf].routes
      let exact = candidates.first { $0.method == method }
      if let found = exact ?? (method == .head ? candidates.first { $0.method == .get } : nil) {
        let pairs = zip(found.parameterNames, captures).map { name, range in
          // Well-formed by `Target.checkPath`.
          (name, Target.decode(path[range]) ?? "")
        }
        return .route(routes[found.route], PathParameters(pairs))
      }
      let allow = nodes[leaf].allow
      return method == .options ? .options(allow: allow) : .methodNotAllowed(allow: allow)
    }
  }

  /// Literals first, then the parameter; a literal that leads nowhere gives way to the parameter.
  private func walk(
    _ node: Int, _ path: UnsafeBufferPointer<UInt8>, from start: Int, _ captures: inout [Range<Int>]
  ) -> Int? {
    guard start <= path.count else { return nodes[node].routes.isEmpty ? nil : node }
    let end = path[start...].firstIndex(of: UInt8(ascii: "/")) ?? path.count
    if let child = literal(nodes[node], path[start..<end]) {
      let kept = captures.count
      if let leaf = walk(child, path, from: end + 1, &captures) { return leaf }
      captures.removeSubrange(kept...)
    }
    guard start < end, let child = nodes[node].parameter else { return nil }
    captures.append(start..<end)
    return walk(child, path, from: end + 1, &captures)
  }

  /// Compared decoded, since `/%61` and `/a` are the same path; most segments have no escape and are not copied.
  private func literal(_ node: Node, _ segment: Slice<UnsafeBufferPointer<UInt8>>) -> Int? {
    if segment.contains(UInt8(ascii: "%")) {
      let decoded = Target.decode(segment) ?? ""
      return node.literals.first { $0.segment.elementsEqual(decoded.utf8) }?.node
    }
    return node.literals.first { $0.segment.elementsEqual(segment) }?.node
  }
}
