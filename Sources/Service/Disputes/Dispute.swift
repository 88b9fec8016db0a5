import HTTPServer
import JSON

/// An objection to a result, with all that is kept about it.
struct Dispute: Sendable {
  enum Status: String, Sendable, CaseIterable { case open, upheld, rejected }

  /// How and why it ended.
  struct Decision: Sendable {
    let isUpheld: Bool
    let at: Instant
    let by: String
    let note: String
  }

  let id: Identifier
  let provider: Identifier
  let result: Identifier
  let source: Identifier
  let check: String
  /// When the result starts to count; nil when its outcome moves no score.
  let countedAt: Instant?
  let reason: String
  let recordedAt: Instant
  let recordedBy: String
  /// Nil while it is open.
  let decision: Decision?

  var status: Status {
    switch decision?.isUpheld {
    case nil: .open
    case true?: .upheld
    case false?: .rejected
    }
  }

  /// Providers and sources are never deleted, so its are there.
  func write(to json: inout JSONWriter, _ registry: Registry) {
    json.object { json in
      json.member("id", id.description)
      json.member("status", status.rawValue)
      json.member("provider", registry.provider(id: provider)?.slug.text ?? provider.description)
      json.member("provider_id", provider.description)
      json.member("result", result.description)
      json.member("source", registry.source(id: source)?.slug.text ?? source.description)
      writeCourse(to: &json)
    }
  }

  /// What it is about and what became of it: what needs no registry.
  func writeCourse(to json: inout JSONWriter) {
    json.member("check", check)
    json.member("reason", reason)
    json.member("recorded_at", recordedAt.rfc3339)
    json.member("recorded_by", recordedBy)
    json.member("decided_at", decision?.at.rfc3339)
    json.member("decided_by", decision?.by)
    json.member("note", decision?.note)
  }
}

/// A dispute as the result shows it that it is against.
struct DisputeMark: Sendable, Equatable {
  let id: Identifier
  let status: Dispute.Status
}
