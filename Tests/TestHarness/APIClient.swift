import Foundation
import FoundationNetworking

/// Talks to a service over a real socket, as any client would.
public struct APIClient: Sendable {
  public let base: String
  /// Sent as the bearer token; nil sends none.
  public var key: String?
  /// Sent with every request.
  public var headers: [String: String] = [:]
  /// Whether its exchanges are held against the contract; not those of a test that makes them by the ten thousand.
  private let isRecorded: Bool

  public init(base: String, key: String? = nil, isRecorded: Bool = true) {
    self.base = base
    self.key = key
    self.isRecorded = isRecorded
  }

  public func with(key: String?) -> APIClient {
    var client = self
    client.key = key
    return client
  }

  public var unrecorded: APIClient { APIClient(base: base, key: key, isRecorded: false) }

  public func get(_ target: String, headers: [String: String] = [:]) async throws -> Answer {
    try await send("GET", target, headers: headers)
  }

  /// Posts a JSON text.
  public func post(_ target: String, _ json: String, headers: [String: String] = [:]) async throws -> Answer {
    try await send(
      "POST", target, headers: ["Content-Type": "application/json"].merging(headers) { $1 }, body: Data(json.utf8))
  }

  /// Posts what Foundation makes of `object`.
  public func post(_ target: String, object: Any, headers: [String: String] = [:]) async throws -> Answer {
    let data = try JSONSerialization.data(withJSONObject: object)
    return try await send(
      "POST", target, headers: ["Content-Type": "application/json"].merging(headers) { $1 }, body: data)
  }

  public func send(
    _ method: String, _ target: String, headers: [String: String] = [:], body: Data? = nil
  ) async throws -> Answer {
    var request = URLRequest(url: URL(string: base + target)!)
    request.httpMethod = method
    request.timeoutInterval = 60
    if let key { request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization") }
    let all = self.headers.merging(headers) { $1 }
    for (name, value) in all { request.setValue(value, forHTTPHeaderField: name) }
    request.httpBody = body
    let (data, response) = try await URLSession.shared.data(for: request)
    let http = response as! HTTPURLResponse
    var fields: [String: String] = [:]
    for (name, value) in http.allHeaderFields { fields["\(name)".lowercased()] = "\(value)" }
    let answer = Answer(status: http.statusCode, headers: fields, body: data)
    if isRecorded { ExchangeRecorder.record(request, target: target, body: body, answer) }
    return answer
  }
}
