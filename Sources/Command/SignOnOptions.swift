import ArgumentParser
import EventLoop
import Logging
import Service
import SingleSignOn

/// Single sign-on by the tokens of one OpenID Connect issuer.
struct SignOnOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Whose tokens are taken: their `iss`, to the byte. (default: none are)", valueName: "url"))
  var oidcIssuer: String?

  @Option(help: ArgumentHelp("For whom the tokens have to be: their `aud`.", valueName: "name"))
  var oidcAudience: String?

  @Option(
    help: ArgumentHelp(
      "The issuer's public keys (JWKS): a URL of https, or a file that is read again when it changes.",
      valueName: "url or file"))
  var oidcJwks: String?

  @Option(
    help: ArgumentHelp(
      "The claim that holds the roles: a name, or a JSON pointer such as /realm_access/roles. (default: roles)",
      valueName: "claim"))
  var oidcRolesClaim: String?

  @Option(
    help: ArgumentHelp(
      "What a role gives, such as portal=scores:read,evidence:read; once for each role. In the environment they are "
        + "separated by semicolons.", valueName: "role=scope,..."))
  var oidcRole: [String] = []

  func validate() throws { _ = try settings }

  private struct Settings {
    let demands: TokenVerifier.Demands
    let location: KeySetLocation
    let scopes: [String: Set<Scope>]
  }

  /// Nil when nothing is set.
  private var settings: Settings? {
    get throws {
      let issuer = oidcIssuer ?? environment(twin(of: "oidc-issuer"))
      let audience = oidcAudience ?? environment(twin(of: "oidc-audience"))
      let keys = oidcJwks ?? environment(twin(of: "oidc-jwks"))
      let claim = oidcRolesClaim ?? environment(twin(of: "oidc-roles-claim"))
      let scopes = try scopes
      if issuer == nil, audience == nil, keys == nil, claim == nil, scopes.isEmpty { return nil }
      guard let issuer, let audience, let keys, !scopes.isEmpty else {
        throw ValidationError(
          "single sign-on needs --oidc-issuer, --oidc-audience, --oidc-jwks and an --oidc-role, or their twins")
      }
      do throws(KeySetFault) {
        return Settings(
          demands: TokenVerifier.Demands(issuer: issuer, audience: audience, rolesClaim: claim ?? "roles"),
          location: try KeySetLocation(keys), scopes: scopes)
      } catch {
        throw ValidationError("--oidc-jwks, or \(twin(of: "oidc-jwks")): \(error)")
      }
    }
  }

  /// By role; of the flags, or of the environment.
  private var scopes: [String: Set<Scope>] {
    get throws {
      let inherited = environment(twin(of: "oidc-role"))?.split(separator: ";").map(String.init) ?? []
      return try (oidcRole.isEmpty ? inherited : oidcRole).reduce(into: [:]) { scopes, text in
        let name = "--oidc-role, or \(twin(of: "oidc-role")), names \"\(text)\""
        guard let equals = text.lastIndex(of: "="), equals > text.startIndex else {
          throw ValidationError("\(name), which is not of the form role=scope,...")
        }
        let given = try text[text.index(after: equals)...].split(separator: ",").map { word in
          guard let scope = Scope(rawValue: String(word)) else {
            throw ValidationError(
              "\(name); scopes are \(Scope.allCases.map(\.rawValue).joined(separator: ", "))")
          }
          return scope
        }
        guard !given.isEmpty, SignOn.scopesWithheld.isDisjoint(with: given) else {
          throw ValidationError(
            given.isEmpty
              ? "\(name), which gives nothing" : "\(name): a token posts for no source, so results need a key")
        }
        scopes[String(text[..<equals]), default: []].formUnion(given)
      }
    }
  }

  /// - Returns: nil when nothing is set.
  /// - Throws: when keys are in a file that cannot be used; a URL is tried again for as long as it takes.
  func signOn(logger: Logger) async throws -> SignOn? {
    guard let settings = try settings else { return nil }
    // Of its own, because reading blocks; it runs for as long as the process.
    let loop = EventLoop(name: "sign-on")
    loop.start()
    let issuer = Issuer(
      settings.demands, keysAt: settings.location, loop: loop, now: { Clock.system.now().milliseconds }, logger: logger)
    if case .file(let path) = settings.location {
      do throws(KeySetFault) {
        try await issuer.refresh()
      } catch {
        throw CommandFailure("the keys in \(path) cannot be used: \(error); --oidc-jwks names the file")
      }
    }
    return SignOn(issuer, scopes: settings.scopes)
  }
}
