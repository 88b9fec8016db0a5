import Foundation
import HTTPServer
import Postgres
import TestHarness
import Testing

@testable import Service

/// Every route against every kind of wrong request. Nothing of it may be stored, and every fault is named.
@Suite(.serialized) struct BadInputTests {
  @Test func everyRouteHasItsCases() async throws {
    try await withInstance { instance in
      let served = instance.service.endpoints.map(\.name)
      #expect(Set(served).symmetricDifference(RouteCase.all.keys).sorted() == [], "correct RouteCase.all")
      for endpoint in instance.service.endpoints {
        guard let route = RouteCase.all[endpoint.name] else { continue }
        #expect(Set(endpoint.parameters) == Set(route.wrongQuery.keys), "\(endpoint.name): correct wrongQuery")
        #expect(endpoint.contentTypes.isEmpty == (route.body == nil && route.report == nil), "\(endpoint.name)")
        if let body = route.body {
          #expect(Set(body.ranged).subtracting(body.wrong.keys) == [], "\(endpoint.name): add these to wrong")
          #expect(Set(body.wrong.keys).isSubset(of: body.pointers), "\(endpoint.name): correct wrong")
          #expect(Set(body.required).isSubset(of: body.pointers), "\(endpoint.name): correct required")
        }
      }
    }
  }

  @Test func wrongKeysAreRefused() async throws {
    try await unchanged { instance, probe in
      var keyed: [(scope: Scope, client: APIClient)] = []
      for scope in Scope.allCases where scope != .admin {
        keyed.append((scope, try await instance.key(scope, source: "lab")))
      }
      return {
        for request in try probe.requests {
          var scopes = Scope.allCases
          switch request.endpoint.requirement {
          case .open, .loopbackOr: continue
          case .anyKey: break
          case .scopes(let needed): scopes = needed
          }
          for key in [nil, "", "rr_x_y", instance.adminKey + "x", "rr_\(UUID().uuidString.lowercased())_x"] {
            let answer = try await request.send(instance.client.with(key: key))
            #expect(answer.status == 401, "\(request.name) with \(key ?? "no key")")
            #expect(answer.headers["www-authenticate"]?.hasPrefix("Bearer") == true, "\(request.name)")
          }
          for (scope, client) in keyed where !scopes.contains(scope) {
            let answer = try await request.send(client)
            #expect(answer.status == 403, "\(request.name) with \(scope.rawValue)")
            #expect(answer.json["detail"].string?.contains(scopes[0].rawValue) == true, "\(request.name)")
          }
        }
      }
    }
  }

  @Test func wrongQueriesAreRefused() async throws {
    try await unchanged { instance, probe in
      {
        for request in try probe.requests {
          let route = request.route
          try await request.expect(422, ["?no-such"], query: route.query.merging(["no-such": "1"]) { $1 })
          for (name, values) in route.wrongQuery {
            let twice = route.query.merging([name: route.query[name] ?? "1"]) { $1 }
            try await request.expect(422, ["?\(name)"], query: twice, suffix: "&\(name)=1")
            for value in values {
              try await request.expect(422, ["?\(name)"], query: route.query.merging([name: value]) { $1 })
            }
          }
          let wrong = route.wrongQuery.compactMapValues(\.first)
          if wrong.isEmpty { continue }
          try await request.expect(422, wrong.keys.map { "?\($0)" }, query: route.query.merging(wrong) { $1 })
        }
      }
    }
  }

  @Test func unknownNamesInPathsAreNotFound() async throws {
    try await unchanged { instance, probe in
      {
        for request in try probe.requests {
          for parameter in request.endpoint.pattern.split(separator: "/").filter({ $0.hasPrefix("{") }) {
            for name in request.route.unknownNames {
              let path = probe.path(request.endpoint, with: [parameter: name])
              let answer = try await request.send(instance.client, path: path)
              // A model may well have an id in the shape of a UUID's, but no slug has.
              #expect(answer.status == 404, "\(request.name): \(path): \(answer.text)")
              #expect(answer.json["type"].string == "/problems/not-found", "\(request.name)")
            }
          }
        }
      }
    }
  }

  @Test func wrongMethodsAreRefused() async throws {
    try await unchanged { instance, probe in
      {
        let methods = Dictionary(grouping: instance.service.endpoints, by: \.pattern).mapValues {
          $0.map(\.method.rawValue)
        }
        for request in try probe.requests {
          let served = methods[request.endpoint.pattern]!
          for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] where !served.contains(method) {
            let answer = try await instance.client.send(method, probe.path(request.endpoint))
            #expect(answer.status == 405, "\(method) \(request.endpoint.pattern)")
            let allowed = Set(answer.headers["allow", default: ""].split(separator: ", ").map(String.init))
            #expect(allowed.subtracting(["HEAD", "OPTIONS"]) == Set(served), "\(method) \(request.endpoint.pattern)")
          }
        }
      }
    }
  }

  @Test func unreadableBodiesAreRefused() async throws {
    try await unchanged { instance, probe in
      {
        for request in try probe.requests where !request.endpoint.contentTypes.isEmpty {
          let body = try #require(request.body)
          for type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let answer = try await request.send(instance.client, contentType: type)
            #expect(answer.status == 415, "\(request.name) with \(type)")
          }
          for (name, wrong) in Self.unreadable(body) {
            let answer = try await request.send(instance.client, body: wrong)
            let outcome = request.outcome(answer)
            #expect(outcome.status == 400, "\(request.name): \(name): \(answer.text.prefix(300))")
          }
          if request.endpoint.bodyBytesMax > 1024 * 1024 { continue }
          let answer = try await request.send(
            instance.client, body: Data(repeating: 0x20, count: request.endpoint.bodyBytesMax + 1))
          #expect(answer.status == 413, "\(request.name)")
        }
      }
    }
  }

  private static func unreadable(_ body: Data) -> [(name: String, body: Data)] {
    let deep = String(repeating: #"{"a":"#, count: 33) + "1" + String(repeating: "}", count: 33)
    return [
      ("no JSON", Data("no JSON".utf8)), ("cut in half", body.prefix(body.count / 2)), ("too deep", Data(deep.utf8)),
      ("two documents", body + Data(" ".utf8) + body),
      ("invalid UTF-8", Data(#"{"a":""#.utf8) + [0xFF] + Data(#""}"#.utf8)),
      ("a raw U+0000", Data(#"{"a":""#.utf8) + [0] + Data(#""}"#.utf8)), ("NaN", Data(#"{"a":NaN}"#.utf8)),
      ("a lone surrogate", Data(#"{"a":"\ud800"}"#.utf8)), ("a comma too many", Data(#"{"a":1,}"#.utf8)),
    ]
  }

  @Test func wrongMembersAreNamed() async throws {
    try await unchanged { instance, probe in
      {
        for request in try probe.requests {
          guard let mutations = request.route.body else { continue }
          for mutation in mutations.all {
            let body = try JSONSerialization.data(withJSONObject: mutation.body)
            let outcome = request.outcome(try await request.send(instance.client, body: body))
            #expect(outcome.status == 422, "\(request.name): \(mutation.name)")
            #expect(Set(outcome.pointers) == Set(mutation.pointers), "\(request.name): \(mutation.name)")
          }
          for other in ["[]", "null", "1", #""text""#] {
            let outcome = request.outcome(try await request.send(instance.client, body: Data(other.utf8)))
            #expect(outcome.status == 422, "\(request.name): \(other)")
          }
          let member = mutations.body.keys.sorted()[0]
          let text = String(decoding: try JSONSerialization.data(withJSONObject: mutations.body), as: UTF8.self)
          for (more, pointer) in [
            (#","\#(member)":1}"#, "/\(member)"), (#","no_such":"\u0000"}"#, "/no_such"),
            (#","no_such":1e999}"#, "/no_such"),
          ] {
            let outcome = request.outcome(
              try await request.send(instance.client, body: Data((text.dropLast() + more).utf8)))
            #expect(outcome.status == 422, "\(request.name): \(more)")
            #expect(outcome.pointers.contains(pointer), "\(request.name): \(more)")
          }
        }
      }
    }
  }
}
