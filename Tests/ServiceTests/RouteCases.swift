import Foundation

@testable import Service

/// What a route takes: a right request, which is never sent, and how its parts can be wrong.
struct RouteCase {
  /// What is right, by query parameter: only those that the route demands.
  var query: [String: String] = [:]
  /// Wrong values, by query parameter; none where any text is right.
  var wrongQuery: [String: [String]] = [:]
  var body: BodyMutations?
  /// A right body whose members are a scanner's business.
  var report: String?
  /// Names that stand for nothing, in the place of each path parameter.
  var unknownNames = ["no-such", "0190a000-0000-7000-8000-000000000000"]

  static func list(_ wrong: [String: [String]] = [:], cursors: [String] = ["2f"]) -> RouteCase {
    let paging = ["limit": ["0", "501", "-1", "1.5", "x", ""], "cursor": cursors + ["", "x", "zz", "ff", "00"]]
    return RouteCase(wrongQuery: paging.merging(wrong) { $1 })
  }

  static func body(
    _ body: [String: Any], required: [String] = [], wrong: [String: [Any]] = [:], free: [String] = []
  ) -> RouteCase {
    RouteCase(body: BodyMutations(body: body, required: required, wrong: wrong, free: free))
  }
}

private func text(_ count: Int) -> String { String(repeating: "x", count: count) }

private let wrongTimes = [
  "", "x", "2026-01-01", "2026-13-01T00:00:00Z", "1999-12-31T23:59:59Z", "2999-01-01T00:00:00Z",
]
/// Of a filter, for which any time will do.
private let wrongBounds = ["", "x", "2026-01-01", "2026-13-01T00:00:00Z"]
private let publicKey = """
  -----BEGIN PUBLIC KEY-----
  MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
  -----END PUBLIC KEY-----
  """
private let wrongLimits: [Double] = [0, -1, 1.5, 10_000_001]
private let wrongSlugs = [
  "", "A", "a_b", "-a", "a.", text(64), "import", "export", "0190a000-0000-7000-8000-000000000000",
]

extension RouteCase {
  private static var provider: [String: Any] {
    [
      "slug": "other", "name": "Other", "hosts": ["other.example"],
      "endpoints": [["url": "https://other.example/v1", "dialect": "openai"]],
      "legal_entity": ["name": "Other Ltd", "jurisdiction": "SG", "registration_number": "1"],
      "declared_regions": ["SG"], "claimed_models": ["gpt-5.5"], "software": "one-api", "contact": "a@other.example",
      "public_badge": true, "tags": ["pilot"], "notes": "None.",
    ]
  }
  private static var wrongProvider: [String: [Any]] {
    [
      "/slug": wrongSlugs, "/name": ["", text(201)], "/hosts": [[Any](), Array(repeating: "a.example", count: 51)],
      "/hosts/0": ["", "com", "vercel.app", "a b", "https://a.example/", "a.example:443", text(254)],
      "/endpoints": [Array(repeating: ["url": "https://a.example", "dialect": "openai"], count: 51)],
      "/endpoints/0/url": ["", "a.example", "ftp://a.example", "https://"], "/endpoints/0/dialect": ["", "OpenAI"],
      "/legal_entity/name": ["", text(201)], "/legal_entity/jurisdiction": ["", "sg", "SGP", "XX"],
      "/legal_entity/registration_number": ["", text(101)],
      "/declared_regions": [Array(repeating: "SG", count: 251)], "/declared_regions/0": ["", text(65)],
      "/claimed_models": [Array(repeating: "m", count: 501)], "/claimed_models/0": ["", text(129)],
      "/software": [text(201)], "/contact": [text(501)], "/tags": [Array(repeating: "t", count: 51)],
      "/tags/0": ["", text(65)], "/notes": [text(10_001)],
    ]
  }
  private static let nested = ["/endpoints/0/url", "/endpoints/0/dialect", "/legal_entity/name"]

  private static var result: [String: Any] {
    [
      "provider": "acme", "source": "lab", "check": "encryption.legacy-tls-protocol", "outcome": "fail",
      "observed_at": "2026-01-01T00:00:00Z", "target": "acme.example", "model": "gpt-5.5", "confidence": 0.5,
      "external_id": "1", "run_id": "1", "vantage": ["country": "SG", "asn": 64_500],
      "scanner": ["name": "testssl.sh", "version": "3.2"], "note": "None.", "evidence": ["protocol": "TLSv1.0"],
    ]
  }
  private static var wrongResult: [String: [Any]] {
    [
      "/provider": ["", "no-such"], "/source": ["", "no-such"], "/check": ["", "no-such"], "/outcome": ["", "failed"],
      "/observed_at": wrongTimes, "/target": ["", "a b", "ftp://a.example"], "/model": ["", text(129)],
      "/confidence": [0, -1, 1.5], "/external_id": ["", text(201)], "/run_id": ["", text(201)],
      "/vantage/country": ["", "sg", "XX"], "/vantage/asn": [0, 1.5, 4_294_967_296], "/scanner/name": ["", text(101)],
      "/scanner/version": ["", text(101)], "/note": [text(2_001)], "/evidence": [["text": text(65_536)]],
    ]
  }

  private static var wrongKeyLimits: [String: [Any]] {
    [
      "/expires_at": ["", "x", days(-1)], "/address_ranges": [Array(repeating: "203.0.113.7", count: 51)],
      "/address_ranges/0": ["", "x", "203.0.113.7/24", "203.0.113.0/33", "::ffff:203.0.113.7"],
      "/requests_per_minute": wrongLimits, "/results_per_minute": wrongLimits,
    ]
  }

  private static var methodology: [String: Any] {
    let document = try! JSONSerialization.jsonObject(with: Data(ShippedFiles.bytes("catalogue/rm-1.json")!))
    return (document as! [String: Any]).merging([
      // Not 1, which is as good as true to Foundation.
      "id": "rm-other", "kappa": ["state": 0.25, "sample": 1.5],
    ]) { $1 }
  }
  private static var methodologyMembers: [String] {
    BodyMutations(body: methodology, required: [], wrong: [:], free: ["/checks", "/concerns", "/grades"]).ranged
      .filter { $0 != "/checks" } + ["/grades/0/max", "/grades/0/grade"]
  }
  private static var wrongMethodology: [String: [Any]] {
    var wrong: [String: [Any]] = [:]
    for pointer in methodologyMembers { wrong[pointer] = [-1, 1_000_001] }
    return wrong.merging([
      "/id": ["", text(101)], "/grades/0/grade": ["", text(21)], "/checks": [[Any]()],
      "/grades": [[Any](), Array(repeating: ["max": 100, "grade": "A"], count: 101)],
    ]) { $1 }
  }

  /// By method and pattern. A route that is not here fails the test.
  static var all: [String: RouteCase] {
    [
      "GET /healthz": RouteCase(), "GET /metrics": RouteCase(), "GET /openapi.yaml": RouteCase(),
      "GET /problems/{code}": RouteCase(), "GET /readyz": RouteCase(wrongQuery: ["writes": []]),
      "GET /v1/concerns": .list(), "GET /v1/checks": .list(["concern": ["", "no-such"]]),
      "GET /v1/checks/{id}": RouteCase(), "GET /v1/methodologies": .list(), "GET /v1/methodologies/{id}": RouteCase(),
      "POST /v1/methodologies": .body(
        methodology, required: methodologyMembers.filter { !$0.hasPrefix("/grades/") } + ["/checks", "/concerns"],
        wrong: wrongMethodology,
        free: ["/checks", "/concerns"]),
      "PATCH /v1/methodologies/{id}": .body(
        ["status": "shadow"], required: ["/status"], wrong: ["/status": ["", "draft"]]),
      "GET /v1/methodologies/{a}/compare/{b}": .list(),
      "POST /v1/providers": .body(provider, required: ["/slug", "/name", "/hosts"] + nested, wrong: wrongProvider),
      "GET /v1/providers": .list(
        ["status": ["", "gone"], "tag": ["", text(65)], "q": ["", text(201)], "verdict": ["", "safe"]],
        cursors: []),
      "GET /v1/providers/{p}": RouteCase(), "DELETE /v1/providers/{p}": RouteCase(),
      "PATCH /v1/providers/{p}": .body(
        provider.merging(["status": "active"]) { $1 }, required: nested,
        wrong: wrongProvider.merging(["/status": ["", "gone"]]) { $1 }),
      "POST /v1/providers/import": .body(
        provider.merging(["status": "active"]) { $1 }, required: ["/slug", "/name", "/hosts"] + nested,
        wrong: wrongProvider.merging(["/status": ["", "gone"]]) { $1 }),
      "GET /v1/providers/export": RouteCase(),
      "POST /v1/sources": .body(
        ["slug": "other", "name": "Other", "trust": 0.5, "status": "active"], required: ["/slug", "/name"],
        wrong: ["/slug": wrongSlugs, "/name": ["", text(201)], "/trust": [0, -1, 1.5], "/status": ["", "gone"]]),
      "GET /v1/sources": .list(), "GET /v1/sources/{s}": RouteCase(),
      "PATCH /v1/sources/{s}": .body(
        ["name": "Other", "trust": 0.5, "status": "suspended"],
        wrong: ["/name": ["", text(201)], "/trust": [0, -1, 1.5], "/status": ["", "gone"]]),
      "GET /v1/models": .list(), "GET /v1/models/{id}": RouteCase(),
      "PUT /v1/models/{id}": {
        var route = RouteCase.body(
          ["vendor": "V", "name": "N", "origin": "overseas", "tier": "small", "coding_index": 1.5],
          required: ["/vendor", "/name", "/origin", "/tier"],
          wrong: [
            "/vendor": ["", text(201)], "/name": ["", text(201)], "/origin": ["", "x"], "/tier": ["", "x"],
            "/coding_index": [],
          ])
        // One that could be there is made.
        route.unknownNames = ["NO_SUCH", "0190a000-0000-7000-8000-000000000000"]
        return route
      }(),
      "POST /v1/advisories": .body(
        [
          "issuer": "I", "title": "T", "published_at": "2026-01-01T00:00:00Z", "concerns": ["encryption"],
          "summary": "S", "url": "https://issuer.example/1",
        ], required: ["/issuer", "/title", "/published_at", "/concerns", "/summary"],
        wrong: [
          "/issuer": ["", text(201)], "/title": ["", text(501)], "/published_at": wrongTimes,
          "/concerns": [[Any](), Array(repeating: "encryption", count: 6)], "/concerns/0": ["", "no-such"],
          "/summary": ["", text(10_001)], "/url": ["", "issuer.example", "ftp://issuer.example", "https://"],
        ]),
      "GET /v1/advisories": .list(), "GET /v1/advisories/{id}": RouteCase(),
      "POST /v1/sources/{s}/signing-keys": .body(
        ["name": "K", "public_key": publicKey], required: ["/name", "/public_key"],
        wrong: ["/name": ["", text(201)], "/public_key": ["", "x", text(1_001)]]),
      "GET /v1/sources/{s}/signing-keys": .list(), "DELETE /v1/sources/{s}/signing-keys/{id}": RouteCase(),
      "POST /v1/keys": .body(
        [
          "name": "K", "scopes": ["results:write"], "source": "lab", "expires_at": days(1),
          "address_ranges": ["203.0.113.0/24"], "requests_per_minute": 60, "results_per_minute": 900,
        ], required: ["/name", "/scopes"],
        wrong: [
          "/name": ["", text(201)], "/scopes": [[Any](), Array(repeating: "results:write", count: 7)],
          "/scopes/0": ["", "no-such"], "/source": ["", "no-such"],
        ].merging(wrongKeyLimits) { $1 }),
      "PATCH /v1/keys/{id}": .body(
        [
          "expires_at": days(1), "address_ranges": ["203.0.113.0/24"], "requests_per_minute": 60,
          "results_per_minute": 900,
        ], wrong: wrongKeyLimits),
      "POST /v1/keys/{id}/rotate": .body(
        ["overlap_seconds": 60, "expires_at": days(1)],
        wrong: ["/overlap_seconds": [-1, 1.5, 2_592_001], "/expires_at": ["", "x", days(-1)]]),
      "GET /v1/keys": .list(), "DELETE /v1/keys/{id}": RouteCase(),
      "POST /v1/probe-results": {
        var route = RouteCase.body(
          result,
          required: ["/provider", "/source", "/check", "/outcome", "/observed_at", "/scanner/name"],
          wrong: wrongResult, free: ["/evidence"])
        route.wrongQuery = ["atomic": ["", "1", "yes"]]
        return route
      }(),
      "GET /v1/probe-results/{id}": RouteCase(),
      "POST /v1/probe-results/import": RouteCase(
        query: ["format": "testssl", "provider": "acme", "source": "lab"],
        wrongQuery: [
          "format": ["", "nmap"], "provider": ["", "no-such"], "source": ["", "no-such"], "observed_at": wrongTimes,
          "target": ["", "a%20b"],
        ], report: TestSSLFixture.closed),
      "GET /v1/providers/{p}/probe-results": .list([
        "check": ["", "no-such"], "source": ["", "no-such"], "outcome": ["", "failed"], "target": ["", "a%20b"],
        "model": [text(129)], "run_id": ["", text(201)], "since": wrongBounds, "until": wrongBounds,
        "received_since": wrongBounds, "voided": ["", "1"],
      ]),
      "POST /v1/probe-results/{id}/void": .body(
        ["reason": "R"], required: ["/reason"], wrong: ["/reason": ["", text(2_001)]]),
      "POST /v1/probe-results/{id}/erase-evidence": .body(
        ["reason": "R"], required: ["/reason"], wrong: ["/reason": ["", text(2_001)]]),
      "POST /v1/probe-results/erase-evidence": .body(
        [
          "reason": "R", "provider": "acme", "source": "lab", "run_id": "1", "received_from": "2026-01-01T00:00:00Z",
          "received_until": "2026-01-02T00:00:00Z", "dry_run": true,
        ], required: ["/reason"],
        wrong: [
          "/reason": ["", text(2_001)], "/provider": ["", "no-such"], "/source": ["", "no-such"],
          "/run_id": ["", text(201)], "/received_from": wrongTimes,
          "/received_until": wrongTimes + ["2025-12-31T00:00:00Z"],
        ]),
      "POST /v1/probe-results/void": .body(
        [
          "reason": "R", "source": "lab", "run_id": "1", "received_from": "2026-01-01T00:00:00Z",
          "received_until": "2026-01-02T00:00:00Z", "dry_run": true,
        ], required: ["/reason"],
        wrong: [
          "/reason": ["", text(2_001)], "/source": ["", "no-such"], "/run_id": ["", text(201)],
          "/received_from": wrongTimes, "/received_until": wrongTimes + ["2025-12-31T00:00:00Z"],
        ]),
      "GET /v1/providers/{p}/score": RouteCase(
        wrongQuery: [
          "detail": ["", "all"], "as_of": wrongTimes, "known_at": wrongTimes, "methodology": ["", "no-such"],
        ]),
      "GET /v1/providers/{p}/score/history": RouteCase(
        wrongQuery: [
          "from": wrongTimes, "to": wrongTimes, "points": ["", "1", "501", "x"], "methodology": ["", "no-such"],
        ]),
      "GET /v1/providers/{p}/score/inputs": RouteCase(
        wrongQuery: ["as_of": wrongTimes, "known_at": wrongTimes, "methodology": ["", "no-such"]]),
      "POST /v1/providers/{p}/waivers": .body(
        ["check": "encryption.legacy-tls-protocol", "reason": "R", "expires_at": days(1)],
        required: ["/check", "/reason", "/expires_at"],
        wrong: [
          "/check": ["", "no-such"], "/reason": ["", text(2_001)], "/expires_at": ["", "x", days(-1), days(91)],
        ]),
      "GET /v1/providers/{p}/waivers": .list(),
      "DELETE /v1/providers/{p}/waivers/{id}": RouteCase(wrongQuery: ["note": ["", text(2_001)]]),
      "POST /v1/providers/{p}/incidents": .body(
        ["concern": "encryption", "summary": "S"], required: ["/concern", "/summary"],
        wrong: ["/concern": ["", "no-such"], "/summary": ["", text(2_001)]]),
      "GET /v1/providers/{p}/incidents": .list(),
      "POST /v1/providers/{p}/incidents/{id}/close": .body(["note": "N"], wrong: ["/note": ["", text(2_001)]]),
      "POST /v1/score-simulations": .body(
        [
          "provider": "acme", "add": [result], "drop_sources": ["lab"], "waive": ["encryption.legacy-tls-protocol"],
          "incidents": ["encryption"], "constants": ["/kappa/sample": 2], "methodology": "rm-1",
          "at": "2026-01-01T00:00:00Z",
        ],
        required: [
          "/provider", "/add/0/source", "/add/0/check", "/add/0/outcome", "/add/0/observed_at", "/add/0/scanner/name",
        ],
        wrong: [
          "/provider": ["", "no-such"], "/add": [Array(repeating: result, count: 1_001)],
          "/drop_sources": [Array(repeating: "lab", count: 1_001)], "/drop_sources/0": ["", "no-such"],
          "/waive": [Array(repeating: "encryption.legacy-tls-protocol", count: 1_001)], "/waive/0": ["", "no-such"],
          "/incidents": [Array(repeating: "encryption", count: 1_001)], "/incidents/0": ["", "no-such"],
          "/methodology": ["", "rm-0"], "/at": wrongTimes,
        ].merging(wrongResult.map { ("/add/0\($0)", $1) }) { $1 }, free: ["/constants", "/add/0/evidence"]),
      "GET /v1/probe-plan": .list(["source": ["", "no-such"], "provider": ["", "no-such"]]),
      "POST /v1/disputes": .body(
        ["result": "0190a000-0000-7000-8000-000000000000", "reason": "R"], required: ["/result", "/reason"],
        wrong: ["/result": ["", "no-such", "0190a000-0000-7000-8000-000000000000"], "/reason": ["", text(2_001)]]),
      "GET /v1/disputes": .list(["status": ["", "closed"], "provider": ["", "no-such"]]),
      "GET /v1/disputes/{id}": RouteCase(),
      "GET /v1/audit-log": .list([
        "actor": ["", "x"], "action": ["", "provider.delete"], "object_kind": ["", "relay"],
        "object_id": ["", text(201)], "since": wrongBounds, "until": wrongBounds,
      ]),
      "GET /v1/audit-log/head": RouteCase(),
      "PATCH /v1/disputes/{id}": .body(
        ["status": "rejected", "note": "N"], required: ["/status", "/note"],
        wrong: ["/status": ["", "open", "closed"], "/note": ["", text(2_001)]]),
      "GET /v1/lookup": RouteCase(query: ["host": "acme.example"], wrongQuery: ["host": [], "url": []]),
      "POST /v1/lookup": .body(
        ["hosts": ["acme.example"]], required: ["/hosts"],
        wrong: ["/hosts": [[Any](), Array(repeating: "acme.example", count: 1_001)], "/hosts/0": []]),
      "GET /v1/providers/{p}/score/events": .list(["since": wrongBounds + ["-1"]]),
      "GET /v1/changes": RouteCase(wrongQuery: ["since": ["", "-1", "1.5", "x"]]), "GET /v1/events": RouteCase(),
      "GET /v1/scores": .list(
        [
          "verdict": ["", "safe"], "grade": ["", "Z"], "concern": ["", "no-such"], "min_score": ["", "-1", "101", "x"],
          "sort": ["", "slug"], "fields": ["", "x", "score,", "score,score", "Score", "score,%20grade"],
        ]),
    ]
  }

  private static func days(_ count: Int64) -> String {
    (Service.Clock.system.now() + count * 86_400_000).rfc3339
  }
}

/// A report of a host that did not answer.
enum TestSSLFixture {
  static let closed: String = {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/testssl/3.0.8-closed-flat.json")
    return (try? String(contentsOf: file, encoding: .utf8)) ?? ""
  }()
}
