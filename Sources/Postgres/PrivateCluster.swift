import Logging

/// A PostgreSQL cluster of the program's own in `<data directory>/postgres`, reached by a Unix socket only.
///
/// The server outlives a crash of this process and is adopted by the next start. Several processes may use the same
/// cluster at once: each holds a shared lock on `postgres.lock`, and the last to stop stops the server. No other
/// cluster is ever touched. As root, PostgreSQL runs as the unprivileged user `postgres`, or `nobody` without one.
public actor PrivateCluster {
  /// Starting takes the time of a recovery after a crash, which another process may be waiting for under the lock.
  private static let lockTimeoutSeconds = 330

  private let dataDirectory: String
  private let logger: Logger
  private var usage: (lock: FileLock, starter: ClusterStarter, connectionString: String)?

  /// - Parameter dataDirectory: made when missing; relative to the working directory.
  public init(dataDirectory: String, logger: Logger) {
    self.dataDirectory = dataDirectory
    self.logger = logger
  }

  /// Makes the cluster when missing, starts or adopts its server and makes the database.
  /// - Returns: a connection string of the form `key=value`.
  /// - Throws: `PrivateClusterError`.
  public func start() async throws -> String {
    if let usage { return usage.connectionString }
    let (dataDirectory, logger) = (dataDirectory, logger)
    let started = try await BlockingThread.run {
      let starter = try ClusterStarter(dataDirectory: dataDirectory, logger: logger)
      let starting = try Self.startingLock(starter)
      defer { withExtendedLifetime(starting) {} }
      // Nobody holds it exclusively but under the lock above.
      let lock = try FileLock("\(starter.dataDirectory)/postgres.lock", .shared, timeoutSeconds: 10)
      return (lock: lock, starter: starter, connectionString: try starter.ensureRunning())
    }
    usage = started
    return started.connectionString
  }

  /// Starts the server again when it is gone, as after a kill -9 or a crash that it did not survive. Before `start`,
  /// and while the server runs, nothing happens.
  /// - Returns: whether it was gone.
  /// - Throws: `PrivateClusterError`.
  public func startAgainIfGone() async throws -> Bool {
    guard let starter = usage?.starter else { return false }
    return try await BlockingThread.run {
      if Postmaster.running(in: starter.cluster) != nil { return false }
      let starting = try Self.startingLock(starter)
      defer { withExtendedLifetime(starting) {} }
      // The directory of the socket is the recorded one, so that everybody's connections come back by themselves.
      _ = try starter.ensureRunning()
      return true
    }
  }

  /// Stops the server unless another process uses it. Without a start before it nothing happens.
  /// - Throws: `PrivateClusterError`.
  public func stop() async throws {
    guard let (lock, starter, _) = usage.take() else { return }
    try await BlockingThread.run {
      let starting = try Self.startingLock(starter)
      defer { withExtendedLifetime(starting) {} }
      // When refused, others use the server; the lock is given up by the end of its life.
      if lock.tryUpgrade() { try starter.stopIfRunning() }
    }
  }

  /// Held while the server is started or stopped, so that no two processes do it at once.
  private static func startingLock(_ starter: ClusterStarter) throws(PrivateClusterError) -> FileLock {
    try FileLock("\(starter.dataDirectory)/postgres.starting.lock", .exclusive, timeoutSeconds: lockTimeoutSeconds)
  }
}
