import RiskModel

/// All that is decided about a provider.
struct Decisions: Sendable {
  let waivers: [ScoreBoard.Waiver]
  let incidents: [ScoreBoard.Incident]
  let disputes: [ScoreBoard.Dispute]

  /// The ids of the concerns with an open incident.
  func openIncidents(at instant: Instant) -> Set<String> {
    Set(incidents.filter { $0.isOpen(at: instant) }.map(\.concern))
  }

  /// The ids of the checks with a waiver in force.
  func waivedChecks(at instant: Instant) -> Set<String> {
    Set(waivers.filter { $0.isInForce(at: instant) }.map(\.check))
  }

  /// How many disputes are open against results that count: of scored checks, and of sources that are not suspended.
  func openDisputes(
    at instant: Instant, under methodology: Methodology, in registry: Registry, without dropped: Set<Identifier> = []
  ) -> Int {
    disputes.count { dispute in
      guard dispute.isOpen(at: instant), !dropped.contains(dispute.source),
        let check = methodology.checkIndex(dispute.check), methodology.checks[check].isScored
      else { return false }
      return registry.source(id: dispute.source)?.status == .active
    }
  }

  /// When the last one was taken or taken back.
  var lastTakenAt: Instant? {
    let waived = waivers.map { $0.revokedAt ?? $0.recordedAt }.max()
    let closed = incidents.map { $0.closedAt ?? $0.recordedAt }.max()
    return [waived, closed, disputes.map { $0.decidedAt ?? $0.recordedAt }.max()].compactMap(\.self).max()
  }

  /// As they were known then; all is known when no instant is given.
  func known(at instant: Instant?) -> Decisions {
    Decisions(
      waivers: waivers.compactMap { $0.known(at: instant) },
      incidents: incidents.compactMap { $0.known(at: instant) },
      disputes: disputes.compactMap { $0.known(at: instant) })
  }
}

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
  /// An objection to a result.
  struct Dispute: Sendable {
    let id: Identifier
    let check: String
    let source: Identifier
    /// When the result starts to count; nil when its outcome moves no score.
    let countedAt: Instant?
    let recordedAt: Instant
    var decidedAt: Instant?
    /// When the result was voided, by this dispute or otherwise.
    var voidedAt: Instant?

    /// Whether it is a mark on a result that counts. Voids hold for every instant from when they are known.
    func isOpen(at instant: Instant) -> Bool {
      guard let countedAt, voidedAt == nil else { return false }
      return max(countedAt, recordedAt) <= instant && (decidedAt.map { instant < $0 } ?? true)
    }

    /// As it was known then, nil when it was not; all is known when no instant is given.
    func known(at instant: Instant?) -> Dispute? {
      guard let instant else { return self }
      guard recordedAt <= instant else { return nil }
      var dispute = self
      dispute.decidedAt = decidedAt.flatMap { $0 <= instant ? $0 : nil }
      dispute.voidedAt = voidedAt.flatMap { $0 <= instant ? $0 : nil }
      return dispute
    }
  }
}

extension ScoreBoard.Dispute {
  init(_ dispute: Dispute, resultVoidedAt: Instant?) {
    self.init(
      id: dispute.id, check: dispute.check, source: dispute.source, countedAt: dispute.countedAt,
      recordedAt: dispute.recordedAt, decidedAt: dispute.decision?.at, voidedAt: resultVoidedAt)
  }
}
