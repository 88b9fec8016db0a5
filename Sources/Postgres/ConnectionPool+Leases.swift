/// Who waits for a connection of their own.
struct LeaseWaiter: Sendable {
  let deadline: ContinuousClock.Instant
  let continuation: CheckedContinuation<Result<Session, PostgresError>, Never>
}

/// The leased connections and who waits for one.
struct LeaseBook {
  var idle: [Session] = []
  var inUse: [Session] = []
  /// Counted among the connections, so that a crowd does not open more than are allowed.
  var opening = 0
  var waiters = Fifo<LeaseWaiter>()

  var count: Int { idle.count + inUse.count + opening }
  var isBusy: Bool { !inUse.isEmpty || !waiters.isEmpty }
}

extension ConnectionPool {
  /// Gives a connection to `waiter`, now or later, or refuses at once.
  func lease(_ waiter: LeaseWaiter) {
    guard !isClosing, !isDown else { return waiter.continuation.resume(returning: .failure(.unavailable)) }
    guard leases.waiters.count < configuration.leaseWaitersMax else {
      gauges.refused.add(1, ordering: .relaxed)
      return waiter.continuation.resume(returning: .failure(.poolExhausted))
    }
    leases.waiters.append(waiter)
    serveLeases()
    startTick()
  }

  /// Gives idle connections to those who wait, the longest first, and opens more while there may be more.
  private func serveLeases() {
    while !leases.waiters.isEmpty, let session = leases.idle.popLast() {
      // It may have died while it was idle, and its loss not have arrived yet.
      guard session.assumeIsolated({ $0.isAtRest }) else {
        session.assumeIsolated { $0.close() }
        continue
      }
      leases.inUse.append(session)
      let waiter = leases.waiters.popFirst()
      // Before the waiter goes on, which may look at the gauges from another thread.
      publish()
      waiter?.continuation.resume(returning: .success(session))
    }
    while leases.opening < leases.waiters.count && leases.count < configuration.leasedConnectionsMax && !isClosing {
      leases.opening += 1
      connect { $0.leaseOpened($1) }
    }
    publish()
  }

  private func leaseOpened(_ outcome: Result<OpenedConnection, ConnectFailure>) {
    leases.opening -= 1
    switch outcome {
    case .success(let opened):
      guard !isClosing else { return opened.close() }
      let session = Session(opened, role: .leased, loop: loop, clientTimeout: clientTimeout) { session, event in
        guard case .lost = event else { return }
        self.assumeIsolated { $0.leaseLost(session) }
      }
      session.assumeIsolated { $0.start() }
      leases.idle.append(session)
      serveLeases()
    case .failure(let failure):
      logger.warning("no further connection to PostgreSQL", metadata: ["reason": "\(failure.reason)"])
      // The others may still get a connection that comes back.
      leases.waiters.popFirst()?.continuation.resume(returning: .failure(.unavailable))
    }
  }

  /// An idle one died; one in use stays in the book until it is given back.
  private func leaseLost(_ session: Session) {
    leases.idle.removeAll { $0 === session }
    publish()
  }

  /// Takes a connection back; one that is not at rest, or has other settings than a fresh one, is closed.
  func giveBack(_ session: Session, isReusable: Bool) {
    leases.inUse.removeAll { $0 === session }
    if isReusable && !isClosing && session.assumeIsolated({ $0.isAtRest }) {
      leases.idle.append(session)
    } else {
      session.assumeIsolated { $0.close() }
    }
    serveLeases()
    finishClosing()
  }

  func expireLeases(_ now: ContinuousClock.Instant) {
    for session in leases.inUse { session.assumeIsolated { $0.expire(now) } }
    for waiter in leases.waiters.removeAll(where: { $0.deadline <= now }) {
      gauges.refused.add(1, ordering: .relaxed)
      waiter.continuation.resume(returning: .failure(.poolExhausted))
    }
  }

  func failLeaseWaiters(_ error: PostgresError) {
    while let waiter = leases.waiters.popFirst() { waiter.continuation.resume(returning: .failure(error)) }
  }
}
