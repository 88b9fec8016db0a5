import Glibc
import Postgres
import Synchronization

/// The id of anything stored: a UUIDv7, so that ids grow with the time they were made at.
public typealias Identifier = PostgresUUID

extension PostgresUUID {
  /// Below every id that is given out.
  static let least = PostgresUUID(high: 0, low: 0)

  /// Below every id that is given out at the instant or later.
  init(leastAt instant: Instant) {
    self.init(high: UInt64(max(0, instant.milliseconds)) << 16, low: 0)
  }

  /// Reads a UUID of any version in upper or lower case.
  init?(anyCase text: some StringProtocol) {
    // Looked at first, since most names of things are not as long and need no copy in lower case.
    guard text.utf8.count == 36 else { return nil }
    self.init(parsing: text.lowercased())
  }

  /// Whether `text` has the shape of a UUID of any version, in either case. Slugs must not.
  static func isShaped(_ text: some StringProtocol) -> Bool { PostgresUUID(anyCase: text) != nil }

  /// The 128 bits, most significant first.
  var bytes: [UInt8] {
    [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
  }
}

extension Query {
  /// The condition that a column has one of these values; none without values. Statements that read all and those that
  /// read a few are thus planned each by itself, and not once for either.
  /// - Parameter name: of the column; trusted text.
  init(columnOf name: String, isAnyOf ids: [Identifier]?) {
    if let ids { self = "\(unsafeRaw: name) = any(\(ids))" } else { self = "true" }
  }
}

/// Makes UUIDv7 (RFC 9562, section 5.7) that strictly grow within this process, also within one millisecond and when
/// the clock is set back: the 12 bits after the version count up within a millisecond (method 1 of section 6.2).
final class IdentifierGenerator: Sendable {
  private struct Last {
    var milliseconds: UInt64 = 0, counter: UInt64 = 0
    /// Drawn from the system many at a time, since each time is a system call.
    var random: [UInt64] = []
  }
  private static let drawnCount = 128
  private let last = Mutex(Last())

  func next(at now: Instant) -> Identifier {
    let (milliseconds, counter, random) = last.withLock { last in
      let current = UInt64(max(0, now.milliseconds))
      if current > last.milliseconds {
        // The upper half of the counter is left for counting.
        (last.milliseconds, last.counter) = (current, Self.draw(&last.random) & 0x7FF)
      } else if last.counter < 0xFFF {
        last.counter += 1
      } else {
        (last.milliseconds, last.counter) = (last.milliseconds + 1, 0)
      }
      return (last.milliseconds, last.counter, Self.draw(&last.random))
    }
    let high = milliseconds << 16 | 0x7000 | counter
    let low = random & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return Identifier(high: high, low: low)
  }

  private static func draw(_ drawn: inout [UInt64]) -> UInt64 {
    if drawn.isEmpty {
      drawn = [UInt64](unsafeUninitializedCapacity: drawnCount) { buffer, count in
        arc4random_buf(buffer.baseAddress!, drawnCount * MemoryLayout<UInt64>.size)
        count = drawnCount
      }
    }
    return drawn.removeLast()
  }
}
