import HTTPServer
import JSON

/// What narrows a key beyond its scopes, and may be changed.
public struct KeyLimits: Sendable, Equatable {
  public var quota: KeyQuota
  /// It is refused from then on; nil for never.
  public var expiresAt: Instant?
  /// Where it may be used from; empty for anywhere.
  public var addressRanges: [AddressRange]

  public static let addressRangesCountMax = 50

  public init(quota: KeyQuota = KeyQuota(), expiresAt: Instant? = nil, addressRanges: [AddressRange] = []) {
    self.quota = quota
    self.expiresAt = expiresAt
    self.addressRanges = addressRanges
  }

  /// The members of a key, or of a merge patch of one.
  /// - Parameter before: what they are now; an expiry that has passed may stay.
  init(_ fields: inout JSONFields, now: Instant, before: KeyLimits = KeyLimits()) {
    quota = KeyQuota(&fields)
    expiresAt = fields.optional("expires_at") { try Self.expiry($0, now: now, before: before.expiresAt) }
    let ranges = fields.optional("address_ranges") { field in
      try field.array(count: 0...Self.addressRangesCountMax) { try AddressRange(try $0.string()) }
    }
    addressRanges = ranges ?? []
  }

  static func expiry(_ field: JSONField, now: Instant, before: Instant? = nil) throws -> Instant {
    guard let instant = Instant(rfc3339: try field.string()) else {
      throw field.fault("must be a time as RFC 3339 writes it, such as 2026-11-23T08:00:00.000Z")
    }
    guard instant > now || instant == before else { throw field.fault("is not in the future") }
    return instant
  }

  func write(to json: inout JSONWriter) {
    json.member("expires_at", expiresAt?.rfc3339)
    json.array("address_ranges", addressRanges) { $0.value($1.description) }
    quota.write(to: &json)
  }
}
