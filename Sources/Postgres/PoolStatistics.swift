import Synchronization

/// How busy a database's connections are, for metrics. The figures are read one by one and may be a moment apart.
public struct PoolStatistics: Sendable, Equatable {
  public let pipelinedConnectionsOpen: Int
  /// Queued or waiting for their answer on the pipelined connections.
  public let statementsWaiting: Int
  public let leasedConnectionsOpen: Int
  public let leasedConnectionsInUse: Int
  /// Transactions waiting for a connection.
  public let leaseWaiters: Int
  /// Statements and transactions refused since the start, because too many waited or they waited for too long.
  public let refused: Int
}

/// Written on the loop, read from anywhere.
final class PoolGauges: Sendable {
  let lanesOpen = Atomic(0)
  let statementsWaiting = Atomic(0)
  let leasedOpen = Atomic(0)
  let leasedInUse = Atomic(0)
  let leaseWaiters = Atomic(0)
  let refused = Atomic(0)
  let isClosed = Atomic(false)

  var statistics: PoolStatistics {
    PoolStatistics(
      pipelinedConnectionsOpen: lanesOpen.load(ordering: .relaxed),
      statementsWaiting: statementsWaiting.load(ordering: .relaxed),
      leasedConnectionsOpen: leasedOpen.load(ordering: .relaxed),
      leasedConnectionsInUse: leasedInUse.load(ordering: .relaxed),
      leaseWaiters: leaseWaiters.load(ordering: .relaxed), refused: refused.load(ordering: .relaxed))
  }
}
