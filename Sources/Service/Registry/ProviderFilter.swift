import RiskModel

/// Which providers a list shows.
struct ProviderFilter: Sendable {
  /// Nil: all but the retired ones, which are listed only when asked for.
  let status: Provider.Status?
  let tag: String?
  let verdict: Verdict?
  /// Part of the slug, the name or a host, in lower case.
  private let text: [UInt8]?

  init(_ query: inout QueryFields) {
    status = query.optional("status") { try $0.oneOf(Provider.Status.self) }
    tag = query.optional("tag") { try $0.string(bytesMin: 1, bytesMax: 64) }
    text = query.optional("q") { Array(try $0.string(bytesMin: 1, bytesMax: 200).lowercased().utf8) }
    verdict = query.optional("verdict") { try $0.oneOf(Verdict.self) }
  }

  /// - Parameter scorer: asked last and only for a verdict, because a score may have to be computed.
  func matches(_ listed: Registry.Listed, _ scorer: Scorer, under scoring: ScoringMethodology) -> Bool {
    let provider = listed.provider
    if let status {
      guard provider.status == status else { return false }
    } else if provider.status == .retired {
      return false
    }
    if let tag, !provider.details.tags.contains(tag) { return false }
    if let text, !listed.holds(text) { return false }
    if let verdict { return scorer.standing(of: provider, under: scoring).verdict == verdict }
    return true
  }
}

extension Registry {
  /// A provider with what a search looks through.
  struct Listed: Sendable {
    let provider: Provider
    /// Slug, name and hosts in lower case, with U+0000 between them, which no request target holds.
    private let searched: [UInt8]

    init(_ provider: Provider) {
      self.provider = provider
      let texts = [provider.slug.text, provider.details.name.lowercased()] + provider.details.hosts.map(\.text)
      searched = Array(texts.joined(separator: "\0").utf8)
    }

    /// Whether `text`, which is not empty, is part of the slug, the name or a host.
    func holds(_ text: [UInt8]) -> Bool {
      guard searched.count >= text.count else { return false }
      return (0...searched.count - text.count).contains { start in
        searched[start] == text[0] && searched[start..<start + text.count].elementsEqual(text)
      }
    }
  }
}
