import Crypto
import CryptoExtras
import EventLoop
import Foundation
import HTTPServer
import Synchronization

@testable import Service
@testable import SingleSignOn

/// A key pair of an issuer that exists in tests alone.
struct SigningKey: Sendable {
  let id: String
  let algorithm: String
  /// Its public half.
  let jwk: [String: String]
  let sign: @Sendable (Data) throws -> Data

  static func rsa(_ id: String, bits: Int = 2048) throws -> SigningKey {
    let key = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: bits))
    let primitives = try key.publicKey.getKeyPrimitives()
    return SigningKey(
      id: id, algorithm: "RS256",
      jwk: ["kty": "RSA", "n": base64URL(primitives.modulus), "e": base64URL(primitives.publicExponent)]
    ) { try key.signature(for: SHA256.hash(data: $0), padding: .insecurePKCS1v1_5).rawRepresentation }
  }

  static func p256(_ id: String) -> SigningKey {
    let key = P256.Signing.PrivateKey()
    let point = key.publicKey.rawRepresentation
    return SigningKey(
      id: id, algorithm: "ES256",
      jwk: ["kty": "EC", "crv": "P-256", "x": base64URL(point.prefix(32)), "y": base64URL(point.suffix(32))]
    ) { try key.signature(for: SHA256.hash(data: $0)).rawRepresentation }
  }

  static func ed25519(_ id: String) -> SigningKey {
    let key = Curve25519.Signing.PrivateKey()
    return SigningKey(
      id: id, algorithm: "EdDSA",
      jwk: ["kty": "OKP", "crv": "Ed25519", "x": base64URL(key.publicKey.rawRepresentation)]
    ) { try key.signature(for: $0) }
  }

  /// As it stands in a key set.
  func entry(_ members: [String: Any] = [:]) -> [String: Any] {
    (jwk as [String: Any]).merging(["kid": id, "use": "sig", "alg": algorithm]) { $1 }.merging(members) { $1 }
  }

  /// A token; members of header and claims with `NSNull` are left out.
  func token(_ claims: [String: Any], header: [String: Any] = [:]) throws -> String {
    let header = ["alg": algorithm, "kid": id, "typ": "JWT"].merging(header) { $1 }
    let message = try [header, claims].map { part in
      base64URL(try JSONSerialization.data(withJSONObject: part.filter { !($0.value is NSNull) }))
    }.joined(separator: ".")
    return message + "." + base64URL(try sign(Data(message.utf8)))
  }
}

func base64URL(_ data: some DataProtocol) -> String {
  Data(data).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
}

/// An issuer that shows its keys over HTTP on this machine.
final class TestIssuer: Sendable {
  static let name = "https://sign-on.example"
  static let audience = "relayrisk"

  private struct State {
    var document = Data()
    var status = 200
    var readsCount = 0
  }
  private let state: StateBox
  private let server: Server
  let url: String

  private final class StateBox: Sendable {
    let value = Mutex(State())
  }

  init(_ keys: SigningKey...) throws {
    let state = StateBox()
    let route = Route(.get, "/keys") { _ in
      .direct { _ in
        state.value.withLock { state in
          state.readsCount += 1
          return .json(Array(state.document), status: state.status)
        }
      }
    }
    server = Server(
      router: try Router([route]), listen: ListenAddress(host: "127.0.0.1", port: 0), loops: 1, logger: quietLogger)
    url = "http://\(try server.start())/keys"
    self.state = state
    try show(keys)
  }

  func stop() async { await server.stop() }

  /// How often its keys were asked for.
  var readsCount: Int { state.value.withLock { $0.readsCount } }

  func show(_ keys: [SigningKey]) throws {
    let document = try Self.document(keys.map { $0.entry() })
    state.value.withLock { $0.document = document }
  }

  func answer(with status: Int) { state.value.withLock { $0.status = status } }

  static func document(_ entries: [[String: Any]]) throws -> Data {
    try JSONSerialization.data(withJSONObject: ["keys": entries])
  }

  static let demands = TokenVerifier.Demands(issuer: name, audience: audience, rolesClaim: "roles")

  /// What a good token claims, for an hour from `now` on.
  static func claims(_ roles: [String], at now: Instant, _ members: [String: Any] = [:]) -> [String: Any] {
    [
      "iss": name, "aud": audience, "sub": "u-1", "iat": now.milliseconds / 1000,
      "exp": now.milliseconds / 1000 + 3600, "preferred_username": "alice", "roles": roles,
    ].merging(members) { $1 }
  }
}
