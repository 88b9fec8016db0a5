import JSON

/// Whom a token speaks of, once it was verified.
public struct VerifiedToken: Sendable {
  /// The issuer's own, lasting name of the person or program.
  public let subject: String
  /// A name for people, which may change; nil without one.
  public let name: String?
  public let roles: [String]
  /// Milliseconds since 1970; it is nobody's from then on.
  public let expiresAt: Int64
}

/// Decides what a token is worth, from the keys at hand.
public struct TokenVerifier: Sendable {
  /// What is demanded of tokens.
  public struct Demands: Sendable {
    /// `iss` has to be the same to the byte.
    public let issuer: String
    /// `aud` has to be it, or to hold it.
    public let audience: String
    /// The claim that holds the roles: its name, or where it starts with a slash a JSON pointer.
    public let rolesClaim: String

    public init(issuer: String, audience: String, rolesClaim: String) {
      self.issuer = issuer
      self.audience = audience
      self.rolesClaim = rolesClaim
    }
  }

  public enum Verdict: Sendable {
    case valid(VerifiedToken)
    case invalid(TokenFault)
    /// Signed with a key that is not known; it may be newer than what was read of the issuer.
    case unknownKey
  }

  /// How far the issuer's clock may be ahead.
  static let clockSkewMilliseconds: Int64 = 60_000
  private static let textBytesMax = 255

  let demands: Demands

  public init(_ demands: Demands) { self.demands = demands }

  /// - Parameter now: milliseconds since 1970.
  func verify(_ text: String, with keys: KeySet, now: Int64) -> Verdict {
    do throws(TokenFault) {
      let token = try SignedToken(text)
      let known = keys.keys(token.keyID)
      if known.isEmpty { return .unknownKey }
      guard let key = known.first(where: { $0.algorithm == token.algorithm }) else {
        throw TokenFault("names a key that is not for \(token.algorithm.rawValue)")
      }
      guard key.isValid(token.signature, of: token.message) else { throw TokenFault("has a wrong signature") }
      return .valid(try check(try token.claims(), now: now))
    } catch {
      return .invalid(error)
    }
  }

  private func check(_ claims: JSONObject, now: Int64) throws(TokenFault) -> VerifiedToken {
    guard claims["iss"] == .string(demands.issuer) else { throw TokenFault("is of another issuer") }
    let isForUs =
      switch claims["aud"] {
      case .string(let audience): audience == demands.audience
      case .array(let audiences): audiences.contains(.string(demands.audience))
      default: false
      }
    guard isForUs else { throw TokenFault("is for another audience") }
    guard let expiresAt = try time("exp", claims) else { throw TokenFault("does not say when it expires") }
    guard now < expiresAt else { throw TokenFault("has expired") }
    if let begin = try time("nbf", claims), now < begin - Self.clockSkewMilliseconds {
      throw TokenFault("is not valid yet")
    }
    if let issuedAt = try time("iat", claims), now < issuedAt - Self.clockSkewMilliseconds {
      throw TokenFault("was issued in the future")
    }
    guard let subject = Self.text(claims["sub"]) else { throw TokenFault("does not name its subject") }
    return VerifiedToken(
      subject: subject, name: Self.text(claims["preferred_username"]) ?? Self.text(claims["email"]),
      roles: roles(claims), expiresAt: expiresAt)
  }

  /// Seconds since 1970, with a fraction where one likes (RFC 7519, section 2), as milliseconds.
  private func time(_ name: String, _ claims: JSONObject) throws(TokenFault) -> Int64? {
    guard let value = claims[name] else { return nil }
    guard case .number(let number) = value, let milliseconds = Int64(exactly: (number.double * 1000).rounded(.down)),
      abs(milliseconds) < Self.millisecondsMax
    else { throw TokenFault("has no time in \(name)") }
    return milliseconds
  }
  /// The end of the year 9999, the last that our times can be written in.
  private static let millisecondsMax: Int64 = 253_402_300_800_000

  /// What stands in records for people to read: neither long nor with characters that move a cursor.
  private static func text(_ value: JSONValue?) -> String? {
    guard case .string(let text) = value, 1...textBytesMax ~= text.utf8.count,
      text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F...0x9F ~= $0.value) })
    else { return nil }
    return text
  }

  /// An array of strings or one string with blanks between, as issuers have it; none where the claim is missing.
  private func roles(_ claims: JSONObject) -> [String] {
    let claim = demands.rolesClaim
    let value = claim.hasPrefix("/") ? JSONValue.object(claims).value(at: claim) : claims[claim]
    switch value {
    case .array(let elements):
      return elements.compactMap { element in
        if case .string(let role) = element { role } else { nil }
      }
    case .string(let list): return list.split(separator: " ").map(String.init)
    default: return []
    }
  }
}
