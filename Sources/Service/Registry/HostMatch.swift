/// Whose host it is that somebody asks for.
struct HostMatch: Sendable {
  enum Kind: String, Sendable {
    /// The host is registered.
    case exact
    /// A name above it is, in the same hands.
    case parent
    /// Nobody registered it.
    case none
    /// What was asked for is no host.
    case invalid
  }

  /// In canonical form, or as it was asked for when it is none.
  let host: String
  let kind: Kind
  /// Nil when nobody registered it.
  var provider: Provider?
}

extension Registry {
  /// - Parameter asked: a host, host:port or http(s) URL, or anything else.
  func match(_ asked: String) -> HostMatch {
    // What equals a registered host is in canonical form, so that the common case reads nothing.
    if let provider = provider(host: asked) { return HostMatch(host: asked, kind: .exact, provider: provider) }
    guard let host = Host(canonicalName: asked) ?? (try? TargetAddress.host(of: asked)) else {
      return HostMatch(host: asked, kind: .invalid)
    }
    if let provider = provider(host: host.text) {
      return HostMatch(host: host.text, kind: .exact, provider: provider)
    }
    if !host.isAddress, let provider = holder(above: host) {
      return HostMatch(host: host.text, kind: .parent, provider: provider)
    }
    return HostMatch(host: host.text, kind: .none)
  }

  /// The provider with the longest name above `host`. The Public Suffix List is asked last, because a name that nobody
  /// registered needs no answer from it.
  private func holder(above host: Host) -> Provider? {
    var name = Substring(host.text)
    while let dot = name.utf8.firstIndex(of: UInt8(ascii: ".")) {
      name = name[name.index(after: dot)...]
      if let provider = provider(host: String(name)) {
        return PublicSuffixes.isHeld(host, byHolderOf: name) ? provider : nil
      }
    }
    return nil
  }
}
