import Crypto
import Foundation
import HTTPServer
import TestHarness
import Testing

@testable import Service

/// A source that signs its posts.
struct TestSigner {
  let key = Curve25519.Signing.PrivateKey()
  /// As the API gave it out.
  var id = ""

  var pem: String { Service.SigningKey.PublicKey(rawRepresentation: Array(key.publicKey.rawRepresentation)).pem }

  mutating func register(of source: String, with client: APIClient) async throws {
    let answer = try await client.post(
      "/v1/sources/\(source)/signing-keys", object: ["name": "scanner", "public_key": pem])
    #expect(answer.status == 201, "\(answer.text)")
    id = try #require(answer.json["id"].string)
  }

  /// The member `signature` of a result whose signed form is this text.
  func signature(of signed: String) throws -> String {
    let value = try key.signature(for: Data(signed.utf8)).base64EncodedString()
    return #"{"keyid":"\#(id)","value":"\#(value)"}"#
  }

  /// What a request is signed as; a test changes what it wants to be wrong.
  struct Request {
    var method = "POST"
    var target = "/v1/probe-results"
    var contentType = "application/json"
    var body: Data
    var contentCoding: String?
    var components = ["@method", "@path", "content-digest"]
    /// In seconds since 1970; nil leaves it out.
    var created: Int64? = Clock.system.now().milliseconds / 1000
    var keyID: String?
    /// Behind `created` and `keyid`.
    var furtherParameters = ""
    var digest: String?
  }

  /// The header fields of the request, those of its signature among them.
  func headers(_ request: Request, host: String = "") throws -> [String: String] {
    let digest = request.digest ?? "sha-256=:\(Data(SHA256.hash(data: request.body)).base64EncodedString()):"
    let parts = request.target.split(separator: "?", maxSplits: 1)
    let values = [
      "@method": request.method, "@path": String(parts[0]), "@query": "?" + (parts.dropFirst().first ?? ""),
      "@authority": host, "content-digest": digest, "content-type": request.contentType,
    ]
    var parameters = "(\(request.components.map { "\"\($0)\"" }.joined(separator: " ")))"
    if let created = request.created { parameters += ";created=\(created)" }
    parameters += ";keyid=\"\(request.keyID ?? id)\"" + request.furtherParameters
    let lines = request.components.map { "\"\($0)\": \(values[$0] ?? "")" }
    let base = (lines + ["\"@signature-params\": \(parameters)"]).joined(separator: "\n")
    let signature = try key.signature(for: Data(base.utf8)).base64EncodedString()
    var headers = [
      "Content-Type": request.contentType, "Content-Digest": digest, "Signature-Input": "sig1=\(parameters)",
      "Signature": "sig1=:\(signature):",
    ]
    headers["Content-Encoding"] = request.contentCoding
    return headers
  }

  /// Sends the request without a key.
  /// - Parameter sent: another body than the one that was signed.
  func send(
    _ request: Request, to client: APIClient, sent: Data? = nil, headers others: [String: String] = [:]
  ) async throws -> Answer {
    let host = client.base.dropFirst("http://".count)
    return try await client.with(key: nil).send(
      request.method, request.target,
      headers: try headers(request, host: String(host)).merging(others) { $1 }, body: sent ?? request.body)
  }
}
