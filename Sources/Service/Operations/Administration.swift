import HTTPServer

/// What the command does to a service that it has loaded: the same work as the routes, without HTTP.
extension RiskService {
  /// A key as lists show it.
  public struct ListedKey: Sendable {
    public let id: String
    public let name: String
    public let scopes: [Scope]
    public let source: String?
    public let createdAt: Instant
    public let lastUsedAt: Instant?
    public let state: KeyState
    public let limits: KeyLimits
  }

  public enum KeyState: String, Sendable {
    case valid, expired, revoked
  }

  /// Why a command could not do what was asked; the sentence says what to do.
  public struct CommandFault: Error, CustomStringConvertible {
    public let description: String
  }

  /// - Returns: the key's text, which is nowhere else from now on.
  public func createKey(
    name: String, scopes: [Scope], source reference: String?, limits: KeyLimits = KeyLimits()
  ) async throws -> String {
    let source = try reference.map(existingSource)
    return try await KeyIssuing(parts: parts).create(
      name: name, scopes: scopes, source: source, limits: limits, by: .command
    ).text
  }

  public func listKeys() async throws -> [ListedKey] {
    let now = parts.clock.now()
    return try await parts.keys.all().map { key in
      let isExpired = key.limits.expiresAt.map { $0 <= now } == true
      return ListedKey(
        id: key.id.description, name: key.name, scopes: key.scopes,
        source: key.sourceID.flatMap { parts.registry.source(id: $0) }?.slug.text, createdAt: key.createdAt,
        lastUsedAt: key.lastUsedAt, state: key.isRevoked ? .revoked : isExpired ? .expired : .valid,
        limits: key.limits)
    }
  }

  /// Puts a key with the same rights in the place of one, which ends after the overlap.
  /// - Parameter expiresAt: of the new key; nil for as long after now as the former was made for.
  /// - Returns: the new key's text, which is nowhere else from now on, and when the former key ends.
  public func rotateKey(
    _ id: String, overlapSeconds: Int?, expiresAt: Instant?
  ) async throws -> (text: String, formerEnd: Instant) {
    let overlapSeconds = overlapSeconds ?? KeyIssuing.overlapSecondsDefault
    do {
      guard let identifier = Identifier(anyCase: id),
        let rotated = try await KeyIssuing(parts: parts).rotate(
          identifier, overlapSeconds: overlapSeconds, expiresAt: expiresAt, by: .command),
        let end = rotated.former.limits.expiresAt
      else { throw Self.noSuchKey(id) }
      return (rotated.text, end)
    } catch let problem as Problem {
      throw CommandFault(description: problem.detail)
    }
  }

  /// How long the former key may go on after a rotation.
  public static var overlapSecondsRange: ClosedRange<Int> { KeyIssuing.overlapSecondsRange }

  private static func noSuchKey(_ id: String) -> CommandFault {
    CommandFault(description: "no key has the id \(id); `relayrisk keys list` shows them")
  }

  public func revokeKey(_ id: String) async throws {
    guard let identifier = Identifier(anyCase: id),
      try await parts.keys.revoke(identifier, by: .command, at: parts.clock.now())
    else { throw Self.noSuchKey(id) }
  }

  /// What became of a report.
  public struct ImportSummary: Sendable {
    public struct Line: Sendable {
      public let check: String
      public let target: String
      public let outcome: String
      /// `accepted`, `duplicate`, or `rejected` with the reason.
      public let status: String
    }
    public let lines: [Line]
    public let warnings: [String]
    public let isAnyRejected: Bool
  }

  /// Takes over a testssl.sh report, as `POST /v1/probe-results/import` does.
  public func importTestSSL(_ report: [UInt8], provider reference: String, source: String) async throws -> ImportSummary
  {
    guard let provider = parts.registry.provider(reference) else {
      throw CommandFault(description: "no provider has the id, slug or host \(reference); register it first")
    }
    guard provider.status != .retired else {
      throw CommandFault(description: "\(provider.slug) is retired and takes no new results")
    }
    let source = try existingSource(source)
    guard source.status == .active else {
      throw CommandFault(description: "the source \(source.slug) is suspended")
    }
    let importing = TestSSLImport(
      provider: provider, source: source, methodology: parts.catalogue.methodology,
      now: parts.clock.now())
    let found = try importing.results(of: report, observedAt: nil, target: nil)
    let outcome = try await BatchPosting(service: self).post(found.results.map { result in BatchLine { result } })
    let lines = zip(found.results, outcome.entries).map { result, entry in
      ImportSummary.Line(
        check: result.checkID, target: result.target.address, outcome: result.outcome.rawValue, status: entry.sentence)
    }
    return ImportSummary(
      lines: lines, warnings: found.warnings, isAnyRejected: outcome.entries.contains(where: \.isRejected))
  }

  private func existingSource(_ reference: String) throws -> Source {
    guard let source = parts.registry.source(reference) else {
      throw CommandFault(description: "no source has the id or slug \(reference); register it first")
    }
    return source
  }
}

extension BatchOutcome.Entry {
  fileprivate var isRejected: Bool { if case .rejected = self { true } else { false } }

  fileprivate var sentence: String {
    switch self {
    case .accepted: "accepted"
    case .duplicate: "duplicate"
    case .rejected(let problem): "rejected: \(problem.detail)"
    }
  }
}
