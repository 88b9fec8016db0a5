import Foundation

@testable import Service

/// What is answered for each route: who may call it, how much it reads, and what of it is written down. Said here once
/// more, and not taken from the route table, so that a change of either is seen.
struct RouteRule {
  enum Callers: Equatable {
    case everybody, loopback, anyKey
    /// Keys with one of these; those with `admin` in any case.
    case scopes(Set<Scope>)
  }

  let name: String
  let callers: Callers
  /// How many bytes of a body it reads, by content type.
  let bodies: [String: Int]
  /// The audit entries that a right request leaves.
  let audits: [String]
  /// Where the request of `RouteCase` does not fit, in its order.
  let path: String?
  let body: String?

  private init(
    _ name: String, _ callers: Callers, bodies: [String: Int] = [:], audits: [String] = [], path: String? = nil,
    body: String? = nil
  ) {
    (self.name, self.callers, self.bodies, self.audits) = (name, callers, bodies, audits)
    (self.path, self.body) = (path, body)
  }

  private static let kibibyte = 1024
  private static let mebibyte = 1024 * 1024
  private static let json = ["application/json": 128 * kibibyte]
  private static let patch = ["application/merge-patch+json": 128 * kibibyte, "application/json": 128 * kibibyte]
  private static let reading = Callers.scopes([.scoresRead])
  private static let registryReading = Callers.scopes([.scoresRead, .registryWrite])
  private static let resultReading = Callers.scopes([.evidenceRead, .resultsWrite])
  private static let admin = Callers.scopes([])

  /// In an order in which a request finds what it asks for.
  static let all: [RouteRule] = open + reads + writes

  private static let open = [
    RouteRule("GET /healthz", .everybody), RouteRule("GET /readyz", .everybody),
    RouteRule("GET /openapi.yaml", .everybody), RouteRule("GET /problems/{code}", .everybody),
    RouteRule("GET /metrics", .loopback),
  ]

  private static let reads = [
    RouteRule("GET /v1/concerns", .anyKey), RouteRule("GET /v1/checks", .anyKey),
    RouteRule("GET /v1/checks/{id}", .anyKey), RouteRule("GET /v1/methodologies", .anyKey),
    RouteRule("GET /v1/methodologies/{id}", .anyKey), RouteRule("GET /v1/models", .anyKey),
    RouteRule("GET /v1/models/{id}", .anyKey), RouteRule("GET /v1/advisories", .anyKey),
    RouteRule("GET /v1/advisories/{id}", .anyKey),
    RouteRule("GET /v1/methodologies/{a}/compare/{b}", reading),
    RouteRule("GET /v1/providers", registryReading), RouteRule("GET /v1/providers/{p}", registryReading),
    RouteRule("GET /v1/providers/export", registryReading), RouteRule("GET /v1/disputes", registryReading),
    RouteRule("GET /v1/disputes/{id}", registryReading),
    RouteRule("GET /v1/providers/{p}/score", reading), RouteRule("GET /v1/providers/{p}/score/history", reading),
    RouteRule("GET /v1/providers/{p}/score/inputs", reading), RouteRule("GET /v1/providers/{p}/score/events", reading),
    RouteRule("GET /v1/providers/{p}/waivers", reading), RouteRule("GET /v1/providers/{p}/incidents", reading),
    RouteRule("GET /v1/scores", reading), RouteRule("GET /v1/changes", reading), RouteRule("GET /v1/events", reading),
    RouteRule("GET /v1/lookup", reading), RouteRule("GET /v1/probe-plan", reading),
    RouteRule("POST /v1/lookup", reading, bodies: ["application/json": mebibyte]),
    RouteRule("POST /v1/score-simulations", reading, bodies: ["application/json": 16 * mebibyte]),
    RouteRule("GET /v1/probe-results/{id}", resultReading),
    RouteRule("GET /v1/providers/{p}/probe-results", resultReading),
    RouteRule("GET /v1/sources", admin), RouteRule("GET /v1/sources/{s}", admin), RouteRule("GET /v1/keys", admin),
    RouteRule("GET /v1/sources/{s}/signing-keys", admin),
    RouteRule("GET /v1/audit-log", .scopes([.auditRead])), RouteRule("GET /v1/audit-log/head", .scopes([.auditRead])),
  ]

  private static let writes = [
    RouteRule(
      "POST /v1/probe-results", .scopes([.resultsWrite]),
      bodies: ["application/json": 16 * mebibyte, "application/x-ndjson": 512 * mebibyte]),
    RouteRule(
      "POST /v1/probe-results/import", .scopes([.resultsWrite]), bodies: ["application/json": 32 * mebibyte]),
    RouteRule("POST /v1/providers", .scopes([.registryWrite]), bodies: json, audits: ["provider.create"]),
    RouteRule(
      "POST /v1/providers/import", .scopes([.registryWrite]), bodies: ["application/x-ndjson": 32 * mebibyte],
      audits: ["provider.import"], body: #"{"slug":"third","name":"Third","hosts":["third.example"]}"#),
    RouteRule(
      "PATCH /v1/providers/{p}", .scopes([.registryWrite]), bodies: patch, audits: ["provider.update"],
      body: #"{"notes":"N"}"#),
    RouteRule("PUT /v1/models/{id}", .scopes([.registryWrite]), bodies: json, audits: ["model.update"]),
    RouteRule("POST /v1/advisories", .scopes([.registryWrite]), bodies: json, audits: ["advisory.create"]),
    RouteRule("POST /v1/sources", admin, bodies: json, audits: ["source.create"]),
    RouteRule(
      "PATCH /v1/sources/{s}", admin, bodies: patch, audits: ["source.update"], body: #"{"trust":0.7}"#),
    RouteRule(
      "POST /v1/sources/{s}/signing-keys", admin, bodies: json, audits: ["signing_key.create"],
      body: #"{"name":"K","public_key":"-----BEGIN PUBLIC KEY-----\n"#
        + #"MCowBQYDK2VwAyEAG03TrT6QYFCyxIjIssWxE3hxhGqwk2sRzbAtNYjqd+g=\n-----END PUBLIC KEY-----\n"}"#),
    RouteRule("DELETE /v1/sources/{s}/signing-keys/{id}", admin, audits: ["signing_key.revoke"]),
    RouteRule("POST /v1/keys", admin, bodies: json, audits: ["key.create"]),
    RouteRule(
      "PATCH /v1/keys/{id}", admin, bodies: ["application/merge-patch+json": 128 * kibibyte], audits: ["key.update"]),
    RouteRule("POST /v1/keys/{id}/rotate", admin, bodies: json, audits: ["key.rotate", "key.create"]),
    RouteRule("DELETE /v1/keys/{id}", admin, audits: ["key.revoke"]),
    RouteRule("POST /v1/providers/{p}/waivers", admin, bodies: json, audits: ["waiver.create"]),
    RouteRule("DELETE /v1/providers/{p}/waivers/{id}", admin, audits: ["waiver.revoke"]),
    RouteRule("POST /v1/providers/{p}/incidents", admin, bodies: json, audits: ["incident.open"]),
    RouteRule("POST /v1/providers/{p}/incidents/{id}/close", admin, bodies: json, audits: ["incident.close"]),
    RouteRule("PATCH /v1/disputes/{id}", admin, bodies: patch, audits: ["dispute.reject"]),
    RouteRule("POST /v1/disputes", .scopes([.registryWrite]), bodies: json, audits: ["dispute.open"]),
    RouteRule("POST /v1/probe-results/{id}/void", admin, bodies: json, audits: ["result.void"]),
    RouteRule(
      "POST /v1/probe-results/void", admin, bodies: json, audits: ["results.void"],
      body: #"{"reason":"R","source":"lab"}"#),
    RouteRule(
      "POST /v1/probe-results/{id}/erase-evidence", admin, bodies: json, audits: ["result.erase_evidence"]),
    RouteRule(
      "POST /v1/probe-results/erase-evidence", admin, bodies: json, audits: ["results.erase_evidence"],
      body: #"{"reason":"R","source":"lab"}"#),
    RouteRule(
      "POST /v1/methodologies", admin, bodies: ["application/json": 4 * mebibyte], audits: ["methodology.create"]),
    RouteRule(
      "PATCH /v1/methodologies/{id}", admin, bodies: patch, audits: ["methodology.update", "methodology.complete"],
      path: "/v1/methodologies/rm-other"),
    RouteRule("DELETE /v1/providers/{p}", .scopes([.registryWrite]), audits: ["provider.retire"]),
  ]
}
