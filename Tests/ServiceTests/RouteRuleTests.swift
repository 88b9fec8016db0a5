import Foundation
import Glibc
import HTTPServer
import TestHarness
import Testing

@testable import Service

/// Every route, held against `RouteRule`. A route that is not there fails.
@Suite(.serialized) struct RouteRuleTests {
  @Test func everyRouteHasItsRule() async throws {
    try await withInstance { instance in
      let served = instance.service.endpoints
      #expect(
        Set(served.map(\.name)).symmetricDifference(RouteRule.all.map(\.name)).sorted() == [], "correct RouteRule.all")
      #expect(RouteRule.all.count == served.count)
      for rule in RouteRule.all {
        let endpoint = try #require(served.first { $0.name == rule.name })
        #expect(Set(endpoint.contentTypes) == Set(rule.bodies.keys), "\(rule.name)")
        // What changes something that people decide is written down, and nothing else.
        #expect(rule.audits.isEmpty || endpoint.takesIdempotencyKey, "\(rule.name)")
        #expect(rule.audits.allSatisfy { AuditAction(rawValue: $0) != nil }, "\(rule.name)")
      }
      let unwritten = served.filter(\.takesIdempotencyKey).map(\.name).filter { name in
        RouteRule.all.contains { $0.name == name && $0.audits.isEmpty }
      }
      #expect(unwritten.sorted() == ["POST /v1/probe-results", "POST /v1/probe-results/import"])
    }
  }

  /// The whole API under the role that has the least rights with which it may be served.
  @Test(.timeLimit(.minutes(5))) func everyRouteServesWhomItShallAndWritesDownWhatItShall() async throws {
    try await withServingRole { instance in
      try await registerRelay(with: instance.client)
      let probe = try await RouteProbe(instance)
      let requests = Dictionary(uniqueKeysWithValues: try probe.requests.map { ($0.name, $0) })
      var keys: [Scope: APIClient] = [.admin: instance.client]
      for scope in Scope.allCases where scope != .admin {
        keys[scope] = try await instance.key(scope, source: scope == .resultsWrite ? "lab" : nil)
      }
      for rule in RouteRule.all {
        let request = try #require(requests[rule.name])
        for (scope, isLet) in callers(of: rule) {
          let client = scope.map { keys[$0]! } ?? instance.client.with(key: nil)
          let before = try await instance.service.auditHead().count
          let status = try await status(request, rule, client)
          let audits = try await instance.auditEntries().dropFirst(before).map { $0["action"].string }
          let name = "\(rule.name) with \(scope?.rawValue ?? "no key")"
          switch isLet {
          case .first:
            #expect(200..<300 ~= status, "\(name): \(status)")
            #expect(audits == rule.audits, "\(name)")
          // It may be done already.
          case .again: #expect(200..<300 ~= status || status == 409, "\(name): \(status)")
          case .refused: #expect(status == (scope == nil ? 401 : 403) && audits.isEmpty, "\(name): \(status)")
          }
        }
      }
      #expect(try await instance.auditFaults() == [])
    }
  }

  private enum Passage { case first, again, refused }

  /// No key and each scope, those first that are refused.
  private func callers(of rule: RouteRule) -> [(scope: Scope?, Passage)] {
    let scopes = Scope.allCases.map(Optional.some)
    switch rule.callers {
    case .everybody, .loopback: return [(nil, .first)] + scopes.map { ($0, .again) }
    case .anyKey: return [(nil, .refused)] + scopes.map { ($0, .first) }
    case .scopes(let needed):
      let refused = scopes.filter { $0 != .admin && !needed.contains($0!) }
      let isWrite = !rule.audits.isEmpty
      let allowed = needed.map(Optional.some)
      return [(nil, .refused)] + refused.map { ($0, .refused) } + allowed.map { ($0, .first) }
        + [(.admin, isWrite && !allowed.isEmpty ? .again : .first)]
    }
  }

  private func status(_ request: RouteRequest, _ rule: RouteRule, _ client: APIClient) async throws -> Int {
    // A stream has no end.
    if request.endpoint.produces == ["text/event-stream"] {
      return try await Self.status(of: rule.name, client: client)
    }
    return try await request.send(client, path: rule.path, body: rule.body.map { Data($0.utf8) }).status
  }

  /// A client that waits for leave before it sends its body gets it for a body at the limit, and 413 above.
  @Test func bodiesAreReadToTheirLimit() async throws {
    try await withRegisteredRelay { instance in
      let probe = try await RouteProbe(instance)
      for endpoint in instance.service.endpoints {
        let rule = try #require(RouteRule.all.first { $0.name == endpoint.name })
        for (type, limit) in rule.bodies {
          for (length, expected) in [(limit, 100), (limit + 1, 413)] {
            let status = try await Self.status(
              of: "\(endpoint.method.rawValue) \(probe.path(endpoint))", client: instance.client,
              headers: ["Content-Type: \(type)", "Content-Length: \(length)", "Expect: 100-continue"])
            #expect(status == expected, "\(rule.name) with \(length) bytes of \(type): \(status)")
          }
        }
      }
    }
  }

  /// The status of the first answer, informational ones included; the connection is closed then.
  private static func status(of request: String, client: APIClient, headers: [String] = []) async throws -> Int {
    let port = UInt16(client.base.split(separator: ":").last!)!
    let authorization = client.key.map { ["Authorization: Bearer \($0)"] } ?? []
    let lines = ["\(request) HTTP/1.1", "Host: relayrisk.example"] + authorization + headers
    let head = lines.joined(separator: "\r\n") + "\r\n\r\n"
    return try await withCheckedThrowingContinuation { continuation in
      // Blocks, so it has a thread of its own.
      Thread.detachNewThread { continuation.resume(with: Result { try blockingStatus(of: head, port: port) }) }
    }
  }

  private static func blockingStatus(of head: String, port: UInt16) throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = port.bigEndian
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
    #expect(send(descriptor, head, head.utf8.count, Int32(MSG_NOSIGNAL)) == head.utf8.count)
    var received: [UInt8] = []
    while !received.contains(UInt8(ascii: "\n")) {
      var buffer = [UInt8](repeating: 0, count: 1_024)
      let count = recv(descriptor, &buffer, buffer.count, 0)
      try #require(count > 0, "the connection ended before an answer to \(head.prefix(80))")
      received += buffer.prefix(count)
    }
    let line = String(decoding: received.prefix { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
    return try #require(Int(line.split(separator: " ")[1]))
  }
}
