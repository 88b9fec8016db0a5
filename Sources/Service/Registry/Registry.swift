import Synchronization

/// Providers and sources in memory: what a reference in a path or a result means, and what scores name.
final class Registry: Sendable {
  private struct State {
    var providers: [Identifier: Listed] = [:]
    var slugs = OrderedSlugs()
    var providerBySlug: [String: Identifier] = [:]
    var providerByHost: [String: Identifier] = [:]
    var sources: [Identifier: Source] = [:]
    var sourceBySlug: [String: Identifier] = [:]
    var sourceGeneration = 0
    var changedProviders: Set<Identifier> = []
  }
  private let state = Mutex(State())
  private let changes = Atomic<Int>(0)

  // MARK: - Reading

  /// Tries id, slug, then host, in this order.
  func provider(_ reference: String) -> Provider? {
    let id = Identifier(anyCase: reference)
    let found = state.withLock { state in
      (id.flatMap { state.providers[$0] } ?? state.providerBySlug[reference].flatMap { state.providers[$0] })?.provider
    }
    // Reading a host costs an IDN conversion, which nobody else needs to wait for.
    if let found { return found }
    guard let host = try? Host(reference) else { return nil }
    return provider(host: host.text)
  }

  /// The provider that has exactly this host.
  /// - Parameter host: in canonical form.
  func provider(host: String) -> Provider? {
    state.withLock { state in state.providerByHost[host].flatMap { state.providers[$0]?.provider } }
  }

  /// All of them, retired ones too, in no order.
  var providers: [Provider] { state.withLock { $0.providers.values.map(\.provider) } }

  func provider(id: Identifier) -> Provider? { state.withLock { $0.providers[id]?.provider } }

  /// How many providers `providers(after:)` gives, so that the lock is held for microseconds.
  static let runCount = 256

  /// The next providers in the order of slugs, from the first one without `slug`; fewer than `runCount` at the end.
  func providers(after slug: String?) -> [Listed] {
    state.withLock { state in
      state.slugs.slugs(after: slug, countMax: Self.runCount).map { state.providers[state.providerBySlug[$0]!]! }
    }
  }

  func source(_ reference: String) -> Source? {
    state.withLock { state in
      if let id = Identifier(anyCase: reference), let source = state.sources[id] { return source }
      return state.sourceBySlug[reference].flatMap { state.sources[$0] }
    }
  }

  func source(id: Identifier) -> Source? { state.withLock { $0.sources[id] } }

  /// Grows with every change of a provider or source, before it shows and after.
  var generation: Int { changes.load(ordering: .acquiring) }

  /// Grows with every change of a source.
  var sourceGeneration: Int { state.withLock { $0.sourceGeneration } }

  /// The providers that changed since this was last asked.
  func takeChangedProviders() -> Set<Identifier> {
    state.withLock { state in
      defer { state.changedProviders = [] }
      return state.changedProviders
    }
  }

  var counts: (providers: Int, sources: Int) { state.withLock { ($0.providers.count, $0.sources.count) } }

  // MARK: - Taking over what is stored

  func apply(_ provider: Provider) {
    changes.add(1, ordering: .acquiringAndReleasing)
    defer { changes.add(1, ordering: .acquiringAndReleasing) }
    let listed = Listed(provider)
    state.withLock { state in
      if let old = state.providers[provider.id]?.provider {
        // Two instances' news may arrive in either order; the newer entry stays.
        guard old.version <= provider.version else { return }
        // What it gave up may be another's already, whose news came first.
        if state.providerBySlug[old.slug.text] == old.id {
          state.providerBySlug[old.slug.text] = nil
          state.slugs.remove(old.slug.text)
        }
        for host in old.details.hosts where state.providerByHost[host.text] == old.id {
          state.providerByHost[host.text] = nil
        }
      }
      state.providers[provider.id] = listed
      state.slugs.insert(provider.slug.text)
      state.providerBySlug[provider.slug.text] = provider.id
      for host in provider.details.hosts { state.providerByHost[host.text] = provider.id }
      state.changedProviders.insert(provider.id)
    }
  }

  func apply(_ source: Source) {
    changes.add(1, ordering: .acquiringAndReleasing)
    defer { changes.add(1, ordering: .acquiringAndReleasing) }
    state.withLock { state in
      if let old = state.sources[source.id] {
        guard old.version <= source.version else { return }
        state.sourceBySlug[old.slug.text] = nil
      }
      state.sources[source.id] = source
      state.sourceBySlug[source.slug.text] = source.id
      state.sourceGeneration += 1
    }
  }
}
