import Foundation
import Synchronization

/// How long the tests under load go on: seconds in `make test`, as long as is wanted in `make soak`.
public enum Soak {
  private static let wanted = ProcessInfo.processInfo.environment["RELAYRISK_SOAK_SECONDS"].flatMap { Int($0) }

  /// - Parameter short: what it takes for the test to mean something.
  public static func seconds(short: Int) -> Duration { .seconds(wanted ?? short) }

  /// How often something is done, where that counts and not the time.
  public static func count(short: Int, long: Int) -> Int { wanted == nil ? short : long }
}

/// A flag that tasks share.
public final class Flag: Sendable {
  private let state = Atomic(false)
  public init() {}
  public var isSet: Bool { state.load(ordering: .acquiring) }
  public func set() { state.store(true, ordering: .releasing) }
}
