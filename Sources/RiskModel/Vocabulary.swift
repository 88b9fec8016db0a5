// The closed sets of words of the methodology. The raw values are what documents, requests and answers spell.

/// What a probe says of a check. Only `pass` and `fail` move a score.
public enum Outcome: String, Sendable, CaseIterable {
  case pass
  case fail
  case inconclusive
  case notApplicable = "not_applicable"
  case error
}

/// How often a check's answer can change.
public enum CheckKind: String, Sendable, CaseIterable {
  /// True or false about the relay now, such as a TLS version being offered: the newest result stands alone.
  case state
  /// One draw of a behaviour, such as one response being altered: results add up.
  case sample
}

/// How much of a concern's impact one failing check carries; see `Methodology.severityImpact`.
public enum Severity: String, Sendable, CaseIterable {
  case info
  case low
  case medium
  case high
  case critical
}

/// How far a third party can follow the finding.
public enum Objectivity: String, Sendable, CaseIterable {
  /// Deterministic; a third party can verify it again from the stored evidence.
  case deterministic = "A"
  /// A positive is decisive or nearly so; absence proves nothing.
  case positiveDecides = "B"
  /// Needs a number of draws, a test, a reference and a control.
  case statistical = "C"
  /// Documents or human judgement; needs a reviewer and a source.
  case judgement = "D"
}

/// What a probe needs before it can run the check.
public enum Access: String, Sendable, CaseIterable {
  /// Anonymous network access.
  case none
  /// A paid or free API key of the relay.
  case key
  /// An account of one's own on the relay's console.
  case account
  case twoAccounts = "two-accounts"
  /// The operator's consent.
  case writtenAuthorisation = "written-authorisation"
}

/// What to do about a provider.
public enum Verdict: String, Sendable, CaseIterable {
  case allow
  case warn
  case block
  /// Not enough is known to say anything else.
  case unknown
}

/// Whether a failure of severity `critical` was witnessed, and by enough of the witnesses. Ordered by strength.
public enum CriticalState: String, Sendable, CaseIterable, Comparable {
  case none
  case provisional
  case confirmed

  public static func < (left: CriticalState, right: CriticalState) -> Bool { left.strength < right.strength }

  private var strength: Int {
    switch self {
    case .none: 0
    case .provisional: 1
    case .confirmed: 2
    }
  }
}
