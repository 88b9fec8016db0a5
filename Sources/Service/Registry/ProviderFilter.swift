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
    // Member by member: a copy of the whole provider costs more than all that is asked of it.
    if let status {
      guard listed.provider.status == status else { return false }
    } else if listed.provider.status == .retired {
      return false
    }
    if let tag, !listed.provider.details.tags.contains(tag) { return false }
    if let text, !listed.holds(text) { return false }
    if let verdict { return scorer.standing(of: listed.provider, under: scoring).verdict == verdict }
    return true
  }
}

extension Registry {
  /// A provider with what a search looks through. An object, since a search passes a hundred thousand of them on.
  final class Listed: Sendable {
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
      var start = 0
      while start <= searched.count - text.count {
        var length = 0
        while length < text.count, searched[start + length] == text[length] { length += 1 }
        if length == text.count { return true }
        start += 1
      }
      return false
    }
  }
}
