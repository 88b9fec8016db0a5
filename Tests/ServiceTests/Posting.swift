import Foundation
import RiskModel

@testable import Service

/// Bodies for `/v1/probe-results`.
enum Posting {
  /// A result of `acme` seen a minute ago, changed by `fields`; a nil value leaves the field out.
  static func result(
    check: String = "encryption.legacy-tls-protocol", outcome: String = "fail", _ fields: [String: Any?] = [:]
  ) -> [String: Any] {
    let observed = Service.Clock.system.now() + -60_000
    var body: [String: Any] = [
      "provider": "acme", "check": check, "outcome": outcome, "observed_at": observed.rfc3339,
    ]
    for (name, value) in fields { body[name] = value }
    return body
  }
}
