/// What admins decided about a provider, as far as its score depends on it.
extension ScoreBoard {
  /// A decision that a check does not count for a while.
  struct Waiver: Sendable {
    let id: Identifier
    let check: String
    let recordedAt: Instant
    let expiresAt: Instant
    var revokedAt: Instant?

    func isInForce(at instant: Instant) -> Bool {
      recordedAt <= instant && instant < expiresAt && (revokedAt.map { instant < $0 } ?? true)
    }

    /// As it was known then, nil when it was not; all is known when no instant is given.
    func known(at instant: Instant?) -> Waiver? {
      guard let instant else { return self }
      guard recordedAt <= instant else { return nil }
      var waiver = self
      waiver.revokedAt = revokedAt.flatMap { $0 <= instant ? $0 : nil }
      return waiver
    }
  }

  /// A concern that an admin declared broken.
  struct Incident: Sendable {
    let id: Identifier
    let concern: String
    let recordedAt: Instant
    var closedAt: Instant?

    func isOpen(at instant: Instant) -> Bool {
      recordedAt <= instant && (closedAt.map { instant < $0 } ?? true)
    }

    /// As it was known then, nil when it was not; all is known when no instant is given.
    func known(at instant: Instant?) -> Incident? {
      guard let instant else { return self }
      guard recordedAt <= instant else { return nil }
      var incident = self
      incident.closedAt = closedAt.flatMap { $0 <= instant ? $0 : nil }
      return incident
    }
  }
}
