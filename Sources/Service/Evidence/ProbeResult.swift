import JSON
import RiskModel

/// What a scanner saw, validated and with every default filled in; not stored yet.
struct ProbeResult: Sendable {
  struct Vantage: Sendable, Equatable {
    let country: String?
    let asn: Int?
  }
  struct Scanner: Sendable, Equatable {
    let name: String
    let version: String?
  }

  let provider: Identifier
  let source: Identifier
  /// Index into the methodology's checks.
  let check: Int
  let checkID: String
  let outcome: Outcome
  /// As sent, cut to the millisecond; may be ahead of the clock by what clocks differ.
  let observedAt: Instant
  /// Whether `observedAt` is only the time of receipt, because the sender's format has none: sending it again later is
  /// then the same result.
  var isObservedAtAssumed = false
  let target: Target
  let confidence: Double
  let externalID: String?
  let runID: String?
  let vantage: Vantage?
  let scanner: Scanner?
  var note: String?
  /// An object, as it was sent; as it is stored, without the secrets that were known as such.
  var evidence: JSONValue?
  /// Its source's, where that signed the result itself.
  var signature: ResultSignature?

  static let evidenceBytesMax = 64 * 1024
}

/// A result as it is stored.
struct StoredResult: Sendable {
  let id: Identifier
  let receivedAt: Instant
  var result: ProbeResult
  /// Nil as long as it counts.
  var voided: ResultDecision?
  /// In the order they were opened.
  var disputes: [DisputeMark] = []
  /// There is evidence, and this instance has no key to it, or it is damaged.
  var isEvidenceUnreadable = false
  /// Nil unless its evidence was erased.
  var erased: ResultDecision?

  /// A result dated ahead of the clock counts from its receipt.
  var countedAt: Instant { min(result.observedAt, receivedAt) }

  /// - Parameter slugs: of the provider and the source.
  func write(to json: inout JSONWriter, slugs: (provider: String, source: String)) {
    json.object { json in
      json.member("id", id.description)
      json.member("provider", slugs.provider)
      json.member("provider_id", result.provider.description)
      json.member("source", slugs.source)
      json.member("check", result.checkID)
      json.member("outcome", result.outcome.rawValue)
      json.member("observed_at", result.observedAt.rfc3339)
      json.member("received_at", receivedAt.rfc3339)
      json.member("target", result.target.address)
      json.member("model", result.target.model)
      json.member("confidence", result.confidence)
      json.member("external_id", result.externalID)
      json.member("run_id", result.runID)
      json.name("vantage")
      if let vantage = result.vantage {
        json.object { json in
          json.member("country", vantage.country)
          json.member("asn", vantage.asn)
        }
      } else {
        json.null()
      }
      json.name("scanner")
      if let scanner = result.scanner {
        json.object { json in
          json.member("name", scanner.name)
          json.member("version", scanner.version)
        }
      } else {
        json.null()
      }
      json.member("note", result.note)
      writeEvidence(to: &json)
      json.name("signature")
      if let signature = result.signature { signature.write(to: &json) } else { json.null() }
      json.name("voided")
      if let voided { voided.write(to: &json) } else { json.null() }
      json.array("disputes", disputes) { json, dispute in
        json.object { json in
          json.member("id", dispute.id.description)
          json.member("status", dispute.status.rawValue)
        }
      }
    }
  }

  /// The members that speak of evidence.
  func writeEvidence(to json: inout JSONWriter) {
    json.member("evidence", result.evidence)
    json.member("evidence_status", evidenceStatus.rawValue)
    json.name("evidence_erased")
    if let erased { erased.write(to: &json) } else { json.null() }
  }

  enum EvidenceStatus: String { case none, stored, unreadable, erased }

  private var evidenceStatus: EvidenceStatus {
    if erased != nil { return .erased }
    if isEvidenceUnreadable { return .unreadable }
    return result.evidence == nil ? .none : .stored
  }
}
