import JSON

/// A relay as the registry knows it.
public struct Provider: Sendable, Equatable {
  public enum Status: String, Sendable, CaseIterable {
    case pending, active, suspended, retired
  }

  public struct Endpoint: Sendable, Equatable {
    public enum Dialect: String, Sendable, CaseIterable { case openai, anthropic, gemini, other }
    public let url: String
    public let dialect: Dialect
  }

  public struct LegalEntity: Sendable, Equatable {
    public let name: String
    /// ISO 3166-1 alpha-2.
    public let jurisdiction: String?
    public let registrationNumber: String?
  }

  /// What an admin says of a provider.
  public struct Details: Sendable, Equatable {
    public var slug: Slug
    public var name: String
    public var hosts: [Host]
    public var endpoints: [Endpoint] = []
    public var legalEntity: LegalEntity?
    public var declaredRegions: [String] = []
    public var claimedModels: [String] = []
    public var software: String?
    public var contact: String?
    public var publicBadge = false
    public var tags: [String] = []
    public var notes: String?
  }

  public let id: Identifier
  public var details: Details
  public var status: Status
  /// Counts the changes of the registry's entry, from 1.
  public var version: Int
  public let createdAt: Instant
  public var updatedAt: Instant

  public var slug: Slug { details.slug }
}

/// One independent witness, however many scanners it runs.
public struct Source: Sendable, Equatable {
  public enum Status: String, Sendable, CaseIterable { case active, suspended }
  public let id: Identifier
  public var slug: Slug
  public var name: String
  /// In (0, 1]; 1 is authoritative.
  public var trust: Double
  public var status: Status
  public var version: Int
  public let createdAt: Instant
  public var updatedAt: Instant
}
