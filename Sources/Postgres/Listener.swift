/// The life of one LISTEN: connect, listen, lose the connection, wait, connect.
struct Listener {
  let pool: ConnectionPool
  let channel: String
  let onNotification: @Sendable (String) -> Void
  let onConnect: @Sendable () -> Void

  private var isOver: Bool { Task.isCancelled || pool.gauges.isClosed.load(ordering: .relaxed) }

  func run() async {
    var breaker = Breaker()
    while !isOver {
      if await listenOnce() { breaker.succeeded() }
      guard !isOver else { return }
      // Ends early when the task is cancelled; then `isOver` says so.
      try? await Task.sleep(for: breaker.failed(random: .random(in: 0..<1)))
    }
  }

  /// - Returns: whether it got as far as listening.
  private func listenOnce() async -> Bool {
    let (configuration, logger) = (pool.configuration, pool.logger)
    // Connecting itself throws nothing.
    let outcome = try? await BlockingThread.run { Connector.connect(configuration, logger: logger) }
    guard case .success(let opened)? = outcome else { return false }
    let session = Session(opened, role: .listener, loop: pool.loop, clientTimeout: nil) { _, _ in }
    // So that closing the database ends the wait below.
    guard await pool.addListener(session) else {
      await session.close()
      return false
    }
    await session.start()
    let connected = await withTaskCancellationHandler {
      do {
        try await session.listen(to: channel, onNotification: onNotification, onConnect: onConnect)
        return true
      } catch {
        logger.warning("LISTEN failed", metadata: ["error": "\(error)"])
        return false
      }
    } onCancel: {
      pool.loop.execute { session.assumeIsolated { $0.close() } }
    }
    await session.close()
    await pool.removeListener(session)
    return connected
  }
}
