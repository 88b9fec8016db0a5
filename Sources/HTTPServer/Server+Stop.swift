import Glibc

/// The end of a server: no request that a client was able to send is cut, none is waited for without bound.
extension Server {
  /// How long the server goes on accepting and serving, each answer ending its connection, after it was told to stop;
  /// and once more after it stopped listening. Covers the handshakes and requests that were under way.
  private static let closingMilliseconds = 100
  /// For the last bytes of answers to abandoned requests.
  private static let lastRepliesMilliseconds = 1000

  /// Stops the server and waits until it has:
  ///
  /// 1. New connection attempts are dropped by the kernel; those in the backlog are served, every answer ends its
  ///    connection.
  /// 2. Listening ends. New requests on connections still open get 503 with `Retry-After`.
  /// 3. Requests in flight have `drainGraceSeconds` to end; handlers that take longer are cancelled, 503 answered.
  /// 4. What is still open is closed, the loops end.
  ///
  /// May be called more than once, and from any task.
  public func stop() async {
    await withCheckedContinuation { continuation in
      let (isStopped, isFirst) = life.withLock { life in
        switch life.phase {
        case .stopped: return (true, false)
        case .stopping:
          life.waiting.append(continuation)
          return (false, false)
        case .new, .running:
          life.phase = .stopping
          life.waiting.append(continuation)
          return (false, true)
        }
      }
      if isStopped { continuation.resume() }
      // A thread of its own: it blocks, and a loop cannot be joined from a task that may run on one.
      if isFirst { PlainThread.run { self.drain() } }
    }
  }

  private func drain() {
    let daemons = life.withLock { $0.daemons }
    onEach(daemons) { $0.stopHandshakes() }
    waitWhileConnected()
    onEach(daemons) { $0.stopAccepting() }
    waitWhileConnected()
    onEach(daemons) { $0.phase = .refusing }
    if !wait(milliseconds: configuration.limits.drainGraceSeconds * 1000) {
      onEach(daemons) { $0.abandonHandlers() }
      _ = wait(milliseconds: Self.lastRepliesMilliseconds)
    }
    onEach(daemons) { $0.stop() }
    if ownsLoops { for loop in loops { loop.stop() } }
    let waiting = life.withLock { life in
      life.phase = .stopped
      let waiting = life.waiting
      life.waiting = []
      return waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  private func waitWhileConnected() {
    let end = ContinuousClock.now + .milliseconds(Self.closingMilliseconds)
    while gate.connectionsCurrent > 0 && ContinuousClock.now < end { usleep(2000) }
  }

  /// - Returns: false when requests are still in flight after that time.
  private func wait(milliseconds: Int) -> Bool {
    let end = ContinuousClock.now + .milliseconds(milliseconds)
    while requestsInFlight > 0 {
      guard ContinuousClock.now < end else { return false }
      usleep(2000)
    }
    return true
  }

  /// Runs `work` for each daemon on its loop, and waits for all.
  private func onEach(_ daemons: [Daemon], _ work: @escaping @Sendable (Daemon) -> Void) {
    let gate = CountdownGate(daemons.count)
    for daemon in daemons {
      daemon.loop.execute {
        work(daemon)
        gate.arrive()
      }
    }
    gate.wait()
  }
}
