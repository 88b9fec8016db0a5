import HTTPServer
import Synchronization

/// A long body made of many items that were all taken at one instant, a piece at a time: it costs the items, which are
/// in memory anyway, and one piece.
final class PiecewiseBody: Sendable {
  private let opening: [UInt8]
  private let count: Int
  private let closing: [UInt8]
  private let write: @Sendable (Int, inout [UInt8]) -> Void
  private let state = Mutex(State())

  private struct State {
    /// The item that comes next.
    var index = 0
    var isComplete = false
    /// A piece that was made and not yet given out.
    var held: [UInt8]?
    /// Kept for as long as the stream is.
    var permit: StreamPermits.Permit?
  }

  /// What the connection takes in a few turns, and a loop makes in less than a millisecond.
  static let pieceBytes = 32 * 1024
  /// An item that adds nothing takes time as well.
  private static let turnCountMax = 1_024

  /// - Parameter write: appends the item at an index, or nothing.
  init(
    opening: [UInt8] = [], count: Int, closing: [UInt8] = [], write: @escaping @Sendable (Int, inout [UInt8]) -> Void
  ) {
    self.opening = opening
    self.count = count
    self.closing = closing
    self.write = write
  }

  /// The whole at once where it fits into one piece; else a stream that holds a permit until it is over.
  /// - Throws: the problem that says that there are too many.
  func response(
    permits: StreamPermits, headers: [(name: String, value: String)]
  ) async throws(Problem) -> Response {
    let first = await next() ?? []
    if state.withLock({ $0.isComplete }) { return Response(status: 200, headers: headers, body: .bytes(first)) }
    let permit = try permits.enter()
    state.withLock { ($0.held, $0.permit) = (first, permit) }
    return Response(status: 200, headers: headers, body: .stream(BodyStream { [self] in await next() }))
  }

  /// Nil after the last. By one task at a time.
  private func next() async -> [UInt8]? {
    var state = state.withLock { state in
      defer { state.held = nil }
      return state
    }
    if let held = state.held { return held }
    if state.isComplete { return nil }
    var bytes = state.index == 0 ? opening : []
    bytes.reserveCapacity(Self.pieceBytes + 4_096)
    while state.index < count, bytes.count < Self.pieceBytes {
      write(state.index, &bytes)
      state.index += 1
      if state.index % Self.turnCountMax == 0 { await Task.yield() }
    }
    state.isComplete = state.index == count
    if state.isComplete { bytes += closing }
    self.state.withLock { $0 = state }
    return bytes.isEmpty ? nil : bytes
  }
}
