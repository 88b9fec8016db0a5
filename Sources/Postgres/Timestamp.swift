/// An instant as `timestamptz` stores it: whole microseconds.
///
/// PostgreSQL takes the years 4713 BC to 294276; an instant outside is refused by the server with 22008.
public struct Timestamp: Sendable, Hashable, Comparable {
  /// Microseconds since 1970-01-01T00:00:00Z, without leap seconds.
  public let microsecondsSince1970: Int64

  public init(microsecondsSince1970: Int64) { self.microsecondsSince1970 = microsecondsSince1970 }

  /// - Parameter binary: as the server sends it, counted from 2000-01-01; not one of its infinities.
  public init(binary: Int64) { microsecondsSince1970 = binary &+ Self.epochOffsetMicroseconds }

  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microsecondsSince1970 < right.microsecondsSince1970
  }

  /// From 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
  @usableFromInline static let epochOffsetMicroseconds: Int64 = 946_684_800_000_000
}

extension Timestamp: PostgresEncodable, PostgresDecodable {
  @inlinable public static var postgresType: PostgresType { .timestamptz }

  @inlinable public func encode(into buffer: inout ParameterBuffer) {
    let (value, overflow) = microsecondsSince1970.subtractingReportingOverflow(Self.epochOffsetMicroseconds)
    // The two extreme values mean minus and plus infinity to the server. Their neighbour is out of range, an error.
    buffer.append(bigEndian: overflow || value == .min ? Int64.min + 1 : value)
  }

  public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Timestamp {
    let value = try cell.integer(Int64.self, try cell.required(.timestamptz))
    let (microseconds, overflow) = value.addingReportingOverflow(epochOffsetMicroseconds)
    guard !overflow, value != .min else { throw cell.failure("an infinite timestamp") }
    return Timestamp(microsecondsSince1970: microseconds)
  }
}
