import HTTPServer
import Testing

@Suite struct CrossOriginTests {
  private static let origin = "https://portal.example"
  private static let exposed = "Access-Control-Expose-Headers"

  private static func allowing(_ test: @escaping @Sendable (TestClient) throws -> Void) async throws {
    let policy = try CrossOriginPolicy(origins: [origin, "http://localhost:3000"])
    let prepared = try PreparedResponse(headers: [("ETag", "\"1\"")], body: [0x7b, 0x7d])
    let routes = [Route.echo("/x"), .hello, .get("/p") { _ in .prepared(prepared) }]
    try await TestServer.run(routes, crossOrigin: policy) { try test(try $0.client()) }
  }

  @Test func aPreflightIsGrantedWhatThePathHas() async throws {
    try await Self.allowing { client in
      let asked = ["Origin: \(Self.origin)", "Access-Control-Request-Method: POST"]
      let reply = try client.exchange("OPTIONS", "/x", asked)
      #expect(reply.status == 204 && reply["Vary"] == "Origin")
      #expect(reply["Access-Control-Allow-Origin"] == Self.origin)
      #expect(reply["Access-Control-Allow-Methods"] == "POST, OPTIONS")
      for name in ["Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "Accept-Language"] {
        #expect(reply["Access-Control-Allow-Headers"]?.contains(name) == true, "\(name)")
      }
      #expect(reply["Access-Control-Max-Age"].flatMap { Int($0) } ?? 0 > 0)
      #expect(reply["Access-Control-Allow-Credentials"] == nil)
      // Not a preflight: OPTIONS by itself.
      let plain = try client.exchange("OPTIONS", "/x", ["Origin: \(Self.origin)"])
      #expect(plain["Access-Control-Allow-Methods"] == nil && plain["Allow"] == "POST, OPTIONS")
    }
  }

  @Test func answersAndErrorsCanBeReadByThePage() async throws {
    try await Self.allowing { client in
      for origin in [Self.origin, "http://localhost:3000"] {
        for (method, path, status) in [
          ("GET", "/hello", 200), ("GET", "/p", 200), ("GET", "/none", 404), ("PUT", "/x", 405),
          ("GET", "/hello?%zz", 400),
        ] {
          let reply = try client.exchange(method, path, ["Origin: \(origin)"])
          #expect(reply.status == status && reply["Access-Control-Allow-Origin"] == origin, "\(path)")
          #expect(reply["Vary"] == "Origin")
          for name in ["ETag", "Link", "Location", "Retry-After", "X-Request-Id", "Evidence-As-Of"] {
            #expect(reply[Self.exposed]?.contains(name) == true, "\(name)")
          }
        }
      }
      let known = try client.exchange("GET", "/p", ["Origin: \(Self.origin)", "If-None-Match: \"1\""])
      #expect(known.status == 304 && known["Access-Control-Allow-Origin"] == Self.origin)
    }
  }

  @Test func othersAreToldNothing() async throws {
    try await Self.allowing { client in
      let others = [
        "https://evil.example", "null", "http://portal.example", "https://portal.example.evil.example", "*",
      ]
      for origin in others {
        for method in ["GET", "OPTIONS"] {
          let headers = ["Origin: \(origin)", "Access-Control-Request-Method: GET"]
          let reply = try client.exchange(method, "/hello", headers)
          #expect(reply.headers.allSatisfy { !$0.name.hasPrefix("Access-Control") }, "\(origin)")
          #expect(reply["Vary"] == "Origin")
        }
      }
      #expect(try client.exchange("GET", "/hello")["Vary"] == "Origin")
    }
    try await TestServer.run([.hello]) { server in
      let reply = try server.client().exchange("GET", "/hello", ["Origin: \(Self.origin)"])
      #expect(reply["Vary"] == nil && reply["Access-Control-Allow-Origin"] == nil)
    }
  }

  @Test func anOriginIsOneThatABrowserSends() {
    for origin in ["https://a.example", "http://localhost:8080", "http://127.0.0.1:3000", "https://[::1]:8443"] {
      #expect(throws: Never.self, "\(origin)") { try CrossOriginPolicy(origins: [origin]) }
    }
    for origin in [
      "", "*", "null", "a.example", "ftp://a.example", "https://", "https://a.example/", "https://A.example",
      "https://a.example:443", "http://a.example:80", "https://a.example:0", "https://a.example:99999",
      "https://a.example:08", "https://a.example:", "https://user@a.example", "https://a b", "https://[::1",
      "https://a:b:1",
    ] {
      #expect(throws: OriginFault.self, "\(origin)") { try CrossOriginPolicy(origins: [Self.origin, origin]) }
    }
  }
}
