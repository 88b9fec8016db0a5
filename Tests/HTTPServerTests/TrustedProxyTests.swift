import Testing

@testable import HTTPServer

@Suite struct TrustedProxyTests {
  private static func proxies(_ ranges: String...) throws -> TrustedProxies {
    TrustedProxies(try ranges.map { try AddressRange($0) })
  }

  private static func headers(_ lines: [String]) -> Headers { Headers(lines.map { ("X-Forwarded-For", $0) }) }

  @Test(arguments: [
    // The proxy saw its client.
    (["203.0.113.7"], "203.0.113.7"), (["2001:db8::7"], "2001:db8::7"), (["::ffff:203.0.113.7"], "203.0.113.7"),
    // With ports, as some write them.
    (["203.0.113.7:4711"], "203.0.113.7"), (["[2001:db8::7]"], "2001:db8::7"), (["[2001:db8::7]:4711"], "2001:db8::7"),
    // What stands before is the client's own invention.
    (["198.51.100.1, 203.0.113.7"], "203.0.113.7"), (["127.0.0.1,203.0.113.7"], "203.0.113.7"),
    (["unknown, 203.0.113.7"], "203.0.113.7"), (["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
    // Behind another trusted proxy, in one line or in two.
    (["203.0.113.7, 10.0.0.9"], "203.0.113.7"), (["203.0.113.7", "10.0.0.9"], "203.0.113.7"),
    (["198.51.100.1", "203.0.113.7 ,\t10.0.0.9 , 127.0.0.1"], "203.0.113.7"),
    // All are trusted: the first one asked.
    (["10.0.0.8, 10.0.0.9"], "10.0.0.8"), (["127.0.0.1"], "127.0.0.1"),
    // Elements without content are none.
    (["203.0.113.7,"], "203.0.113.7"), ([", 203.0.113.7 , ,"], "203.0.113.7"), (["203.0.113.7", " , "], "203.0.113.7"),
    // Nobody asked it: the proxy itself.
    ([""], nil), ([], nil), ([",,"], nil),
  ])
  func theRightmostUntrustedAddressIsTheClients(lines: [String], client: String?) throws {
    let proxies = try Self.proxies("127.0.0.0/8", "10.0.0.0/8", "::1")
    for peer in ["127.0.0.1", "10.1.2.3", "::1"] {
      let found = proxies.client(of: Peer(IPAddress(peer)), Self.headers(lines))
      #expect(found.address == (client ?? peer), "\(peer)")
    }
    // Nobody else is believed.
    for peer in ["203.0.113.99", "::2", "11.0.0.1"] {
      #expect(proxies.client(of: Peer(IPAddress(peer)), Self.headers(lines)).address == peer)
    }
    let stranger = Peer(nil)
    #expect(proxies.client(of: stranger, Self.headers(lines)) == stranger)
    let none = TrustedProxies([])
    #expect(none.client(of: Peer(IPAddress("127.0.0.1")), Self.headers(lines)).address == "127.0.0.1")
  }

  @Test(arguments: [
    "unknown", "_hidden", "203.0.113.7:", "203.0.113.7:x", "203.0.113.7:123456", "203.0.113",
    "203.0.113.7 198.51.100.1",
    "[2001:db8::7", "2001:db8::7]", "[203.0.113.7]", "[2001:db8::7]x", "[2001:db8::7]:", "\"203.0.113.7\"",
    "fe80::1%eth0", "203.0.113.07", "for=203.0.113.7", "203.0.113.7;by=x", "[]", ":", "\u{FFFD}",
  ])
  func whatCannotBeReadIsNobodysAddress(element: String) throws {
    let proxies = try Self.proxies("127.0.0.0/8")
    let peer = Peer(IPAddress("127.0.0.1"))
    for lines in [[element], ["203.0.113.7, \(element)"], ["203.0.113.7", element], ["\(element), 127.0.0.2"]] {
      let client = proxies.client(of: peer, Self.headers(lines))
      #expect(client.ip == nil && client.address == "unknown" && !client.isLoopback, "\(lines)")
    }
    #expect(proxies.client(of: peer, Self.headers(["\(element), 203.0.113.7"])).address == "203.0.113.7")
  }

  /// A list as long as a header may be costs a look at each element and no more.
  @Test(.timeLimit(.minutes(1))) func aListOfProxiesAloneIsReadToItsBeginning() throws {
    let proxies = try Self.proxies("10.0.0.0/8")
    let line = "10.9.9.9," + String(repeating: "10.0.0.1,", count: 3_500)
    #expect(proxies.client(of: Peer(IPAddress("10.0.0.1")), Self.headers([line])).address == "10.9.9.9")
  }

  private static let whoami = Route.get("/whoami") { .text("\($0.peer.address) \($0.head.isLocal)") }

  @Test func theClientIsKnownToHandlersAndInWhatIsObserved() async throws {
    try await TestServer.run([Self.whoami], trustedProxies: try Self.proxies("127.0.0.2")) { server in
      for (peer, headers, expected) in [
        (1, [], "127.0.0.1 true"), (1, ["X-Forwarded-For: 203.0.113.7"], "127.0.0.1 false"),
        (2, [], "127.0.0.2 true"), (2, ["X-Forwarded-For: 203.0.113.7"], "203.0.113.7 false"),
        (2, ["X-Forwarded-For: 127.0.0.1"], "127.0.0.1 false"), (2, ["X-Forwarded-For: ?"], "unknown false"),
        (2, ["x-forwarded-for: 198.51.100.1", "X-FORWARDED-FOR: 203.0.113.7, 127.0.0.2"], "203.0.113.7 false"),
        (1, ["Forwarded: for=127.0.0.1"], "127.0.0.1 false"), (1, ["X-Real-IP: 127.0.0.1"], "127.0.0.1 false"),
        (1, ["X-Forwarded-Proto: https"], "127.0.0.1 false"), (1, ["X-Forwarded-Host: a"], "127.0.0.1 false"),
        (1, ["Via: 1.1 proxy"], "127.0.0.1 false"), (1, ["X-Forwarded: 1"], "127.0.0.1 true"),
      ] as [(UInt32, [String], String)] {
        let before = server.summaries.values.count
        let reply = try server.client(from: peer).exchange("GET", "/whoami", headers)
        #expect(reply.body == expected, "\(headers)")
        #expect(eventually { server.summaries.values.count == before + 1 })
        #expect(server.summaries.values.last?.peer.address == expected.split(separator: " ").first.map(String.init))
      }
      // Also of what is refused before there is a route.
      let reply = try server.client(from: 2).exchange("GET", "/nothing", ["X-Forwarded-For: 203.0.113.7"])
      #expect(reply.status == 404)
      #expect(eventually { server.summaries.values.last?.status == 404 })
      #expect(server.summaries.values.last?.peer.address == "203.0.113.7")
    }
  }

  @Test func anAnswerIsGivenAgainToTheClientItWasFor() async throws {
    let route = Route.get("/x") { request in
      var response = Response.prepared(try PreparedResponse(body: Array(request.peer.address.utf8)))
      response.reuse = Reuse { true }
      return response
    }
    try await TestServer.run([route], loops: 1, trustedProxies: try Self.proxies("127.0.0.2")) { server in
      let forwarded = { (address: String) in ["X-Forwarded-For: \(address)"] }
      for (peer, headers, client) in [
        (2, forwarded("203.0.113.7"), "203.0.113.7"), (2, forwarded("203.0.113.7"), "203.0.113.7"),
        (2, forwarded("203.0.113.8"), "203.0.113.8"), (1, forwarded("203.0.113.7"), "127.0.0.1"),
        (1, forwarded("203.0.113.7"), "127.0.0.1"), (2, forwarded("203.0.113.7"), "203.0.113.7"),
      ] as [(UInt32, [String], String)] {
        let before = server.summaries.values.count
        let reply = try server.client(from: peer).exchange("GET", "/x", headers)
        #expect(reply.body == client)
        #expect(eventually { server.summaries.values.count == before + 1 })
        #expect(server.summaries.values.last?.peer.address == client)
      }
    }
  }
}
