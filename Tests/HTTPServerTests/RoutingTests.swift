import Testing

@testable import HTTPServer

@Suite struct RoutingTests {
  private func router(_ patterns: [(Method, String)]) throws -> Router {
    try Router(patterns.map { Route($0.0, $0.1) { _ in .direct { _ in .noContent() } } })
  }

  /// "pattern name=value ...", or what else the router says.
  private func match(_ router: Router, _ method: Method?, _ raw: String, names: [String] = []) throws -> String {
    let target = try Target(raw)
    try target.checkPath()
    switch router.match(method, target) {
    case .route(let route, let parameters):
      return ([route.pattern] + names.map { "\($0)=\(parameters[$0])" }).joined(separator: " ")
    case .options(let allow): return "options \(allow)"
    case .methodNotAllowed(let allow): return "405 \(allow)"
    case .notFound: return "404"
    }
  }

  @Test func segmentsAreMatchedWholeAndLiteralsWin() throws {
    let router = try router([
      (.get, "/"), (.get, "/a"), (.get, "/a/{x}"), (.get, "/a/b"), (.get, "/a/{x}/c"), (.get, "/a/b/d"),
      (.get, "/{top}"), (.get, "/a/{x}/c/{y}"), (.delete, "/a/{x}"),
    ])
    #expect(try match(router, .get, "/") == "/")
    #expect(try match(router, .get, "/a") == "/a")
    #expect(try match(router, .get, "/z", names: ["top"]) == "/{top} top=z")
    #expect(try match(router, .get, "/a/q", names: ["x"]) == "/a/{x} x=q")
    #expect(try match(router, .get, "/a/b") == "/a/b")
    #expect(try match(router, .get, "/a/b/d") == "/a/b/d")
    // The literal "b" leads nowhere here, so the parameter takes it.
    #expect(try match(router, .get, "/a/b/c", names: ["x"]) == "/a/{x}/c x=b")
    #expect(try match(router, .get, "/a/1/c/2", names: ["x", "y"]) == "/a/{x}/c/{y} x=1 y=2")
    #expect(try match(router, .get, "/a/") == "404")
    #expect(try match(router, .get, "/a//c") == "404")
    #expect(try match(router, .get, "//") == "404")
    #expect(try match(router, .get, "/a/q/") == "404")
    #expect(try match(router, .get, "/A") == "/{top}")
    #expect(try match(router, .get, "/a?b/c") == "/a")
  }

  @Test func methodsAreListedAndHeadGoesToGet() throws {
    let router = try router([(.get, "/a"), (.post, "/a"), (.delete, "/b"), (.put, "/a")])
    #expect(try match(router, .head, "/a") == "/a")
    #expect(try match(router, .delete, "/a") == "405 GET, HEAD, POST, PUT, OPTIONS")
    #expect(try match(router, .head, "/b") == "405 DELETE, OPTIONS")
    #expect(try match(router, nil, "/b") == "405 DELETE, OPTIONS")
    #expect(try match(router, .options, "/b") == "options DELETE, OPTIONS")
    #expect(try match(router, .options, "/c") == "404")
    #expect(try match(router, .options, "*") == "options GET, HEAD, POST, PUT, DELETE, OPTIONS")
    #expect(try match(router, .get, "*") == "404")
  }

  @Test func parametersAreDecodedAfterThePathWasSplit() throws {
    let router = try router([(.get, "/p/{x}"), (.get, "/p/literal/d")])
    #expect(try match(router, .get, "/p/a%2Fb%20c+d", names: ["x"]) == "/p/{x} x=a/b c+d")
    #expect(try match(router, .get, "/p/%E6%B5%8B", names: ["x"]) == "/p/{x} x=测")
    #expect(try match(router, .get, "/%70/%6Citeral/d") == "/p/literal/d")
    #expect(try match(router, .get, "/p%2Fx") == "404")
    #expect(try match(router, .get, "http://host:80/p/x", names: ["x"]) == "/p/{x} x=x")
    #expect(try match(router, .get, "HTTPS://host/p/x?q", names: ["x"]) == "/p/{x} x=x")
  }

  @Test(arguments: ["/%", "/%2", "/%zz", "/%00", "/a%FFb", "/%C3", "/%C0%80", "/%ED%A0%80"])
  func escapesThatAreNotTextAreRefusedInPathAndQuery(raw: String) throws {
    #expect(throws: Target.Fault.self) { try Target(raw).checkPath() }
    #expect(throws: Target.Fault.self) { _ = try Target("/?q=" + raw.dropFirst()).queryItems() }
    #expect(throws: Target.Fault.self) { _ = try Target("/?" + raw.dropFirst() + "=1").queryItems() }
  }

  @Test(arguments: [
    "", "a", "/a b", "/a\tb", "/\u{E9}", "/a#b", "http://", "http://host", "http:///a", "http://u@host/", "host:80",
    "*/a",
  ])
  func targetsThatAreNoPathAreRefused(raw: String) {
    #expect(throws: Target.Fault.self) { try Target(raw) }
  }

  @Test func queriesKeepOrderAndDuplicates() throws {
    let items = try Target("/x?b=1&a=2&b=3&&flag&e=&p=a+b%2Bc&=v&k=a=b").queryItems()
    #expect(
      items == [
        QueryItem(name: "b", value: "1"), QueryItem(name: "a", value: "2"), QueryItem(name: "b", value: "3"),
        QueryItem(name: "flag", value: ""), QueryItem(name: "e", value: ""), QueryItem(name: "p", value: "a b+c"),
        QueryItem(name: "", value: "v"), QueryItem(name: "k", value: "a=b"),
      ])
    #expect(try Target("/x?").queryItems().isEmpty)
    #expect(try Target("/x").queryItems().isEmpty)
  }

  @Test(arguments: [
    ["/a/{x}", "/a/{y}"], ["/a", "/a"], ["/{x}/{x}"], ["a"], [""],
  ])
  func routesThatNoRequestCouldTellApartAreRefused(patterns: [String]) {
    #expect(throws: RouteConflict.self) { try router(patterns.map { (.get, $0) }) }
  }

  @Test func theSamePatternMayHaveSeveralMethodsWithOtherNames() throws {
    let router = try router([(.get, "/a/{x}"), (.delete, "/a/{y}")])
    #expect(try match(router, .get, "/a/1", names: ["x"]) == "/a/{x} x=1")
    #expect(try match(router, .delete, "/a/1", names: ["y"]) == "/a/{y} y=1")
    #expect(router.endpoints.map(\.pattern) == ["/a/{x}", "/a/{y}"])
  }
}
