import Crypto
import HTTPServer
import SingleSignOn
import Synchronization

/// Single sign-on: tokens of one issuer, and which of its roles give which scopes.
public struct SignOn: Sendable {
  let issuer: Issuer
  let scopes: [String: Set<Scope>]

  /// What no role can give: a token is bound to no source, so it could post for any.
  public static let scopesWithheld: Set<Scope> = [.resultsWrite]

  /// - Precondition: no role gives what is withheld.
  public init(_ issuer: Issuer, scopes: [String: Set<Scope>]) {
    precondition(scopes.values.allSatisfy(Self.scopesWithheld.isDisjoint), "a role gives a scope that needs a source")
    self.issuer = issuer
    self.scopes = scopes
  }
}

/// The tokens that were verified, so that no request but the first of each costs a check of its signature.
final class TokenRing: Sendable {
  private struct State {
    /// Of the issuer's keys that these were verified with.
    var generation = 0
    /// By the hash of the token: nothing here is worth stealing.
    var verified: [SHA256Digest: Principal] = [:]
  }
  /// More people than are signed on at once.
  private static let verifiedCountMax = 10_000

  private let state = Mutex(State())
  private let signOn: SignOn
  private let clock: Clock

  init(_ signOn: SignOn, clock: Clock) {
    self.signOn = signOn
    self.clock = clock
  }

  /// Grows with every change of the issuer's keys, before it shows and after.
  var generation: Int { signOn.issuer.generation }

  /// - Parameter text: what stands after `Bearer `.
  func verify(_ text: String) -> Principal.Verdict {
    let generation = generation
    let digest = SHA256.hash(data: Array(text.utf8))
    let known = state.withLock { $0.generation == generation ? $0.verified[digest] : nil }
    if let known { return known.isExpired(at: clock.now()) ? .invalid("The token has expired.") : .valid(known) }
    switch signOn.issuer.verify(text) {
    case .unknownKey: return .unknown
    case .invalid(let fault): return .invalid("The token \(fault).")
    case .valid(let token):
      let scopes = token.roles.reduce(into: Set<Scope>()) { $0.formUnion(signOn.scopes[$1] ?? []) }
      let principal = Principal(token, id: identifier(of: token), scopes: scopes)
      remember(principal, as: digest, generation)
      return .valid(principal)
    }
  }

  private func remember(_ principal: Principal, as digest: SHA256Digest, _ generation: Int) {
    let now = clock.now()
    state.withLock { state in
      if state.generation != generation { (state.generation, state.verified) = (generation, [:]) }
      if state.verified.count >= Self.verifiedCountMax {
        state.verified = state.verified.filter { !$0.value.isExpired(at: now) }
        if state.verified.count >= Self.verifiedCountMax { state.verified.removeAll() }
      }
      state.verified[digest] = principal
    }
  }

  /// Reads the issuer's keys again, since a token names one that is not known.
  /// - Throws: 503 when nobody can tell whether the issuer has it.
  func settle() async throws(Problem) {
    do throws(KeySetFault) {
      try await signOn.issuer.refresh()
    } catch {
      throw Problem(
        .issuerUnavailable, "The issuer's keys cannot be read, and the token is signed with one that is not known.",
        headers: [("Retry-After", "60")])
    }
  }

  /// A UUIDv8 (RFC 9562, 5.8) in the place of a key's id: the same for all tokens of a subject, on every instance.
  private func identifier(of token: VerifiedToken) -> Identifier {
    var fields = FieldHasher()
    fields.add(signOn.issuer.name)
    fields.add(token.subject)
    let words = SHA256.hash(data: fields.bytes).withUnsafeBytes { bytes in
      (0..<2).map { UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)) }
    }
    return Identifier(
      high: words[0] & 0xFFFF_FFFF_FFFF_0FFF | 0x8000, low: words[1] & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
  }
}

extension Problem.Kind {
  static let issuerUnavailable = Problem.Kind(
    code: "issuer-unavailable", status: 503, title: "The issuer of tokens does not answer",
    explanation: "The token is signed with a key that this instance has not seen yet, and the issuer's keys cannot be "
      + "read. Tokens with keys that were seen go on. Try again after `Retry-After` seconds.")
}
