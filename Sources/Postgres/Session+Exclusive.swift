import CLibPQ

/// What cannot go through a pipeline: scripts of several statements, COPY and waiting for notifications. The
/// connection leaves pipeline mode meanwhile and serves nobody else.
extension Session {
  /// Runs any number of statements by the simple protocol. Without a time limit here; the server's own holds.
  /// - Throws: the first error; the statements after it were skipped by the server.
  func runScript(_ sql: String) async throws(PostgresError) {
    let isListener = isExclusive
    if !isListener { try beginExclusive(timeout: nil) }
    defer { if !isListener { endExclusive() } }
    try sendSimple(sql)
    _ = try await finishResults()
  }

  private func beginExclusive(timeout: Duration?) throws(PostgresError) {
    guard let pointer else { throw .connectionLost }
    guard !isExclusive, inFlightCount == 0, PQexitPipelineMode(pointer) == 1 else {
      throw .protocolViolation("the connection is busy")
    }
    isExclusive = true
    exclusiveTimeout = timeout
    noteProgress()
  }

  private func endExclusive() {
    isExclusive = false
    guard let pointer else { return }
    // Refused while results are unread, which means that the exchange was left in the middle.
    if PQenterPipelineMode(pointer) != 1 { close() }
  }

  private func sendSimple(_ sql: String) throws(PostgresError) {
    guard let pointer, PQsendQuery(pointer, sql) == 1 else {
      close()
      throw .connectionLost
    }
  }

  /// The next result, or nil after the last, without blocking the loop meanwhile.
  private func nextResult() async throws(PostgresError) -> OpaquePointer? {
    while true {
      let seen = readinessCount
      flush()
      guard let pointer else { throw .connectionLost }
      if PQisBusy(pointer) == 0 { return PQgetResult(pointer) }
      await readiness(since: seen)
    }
  }

  /// Reads all results to the end and returns the rows affected by the last statement.
  private func finishResults() async throws(PostgresError) -> Int {
    var affected = 0
    var failure: ServerError?
    while let result = try await nextResult() {
      let status = PQresultStatus(result)
      // What follows the first error is its consequence.
      if status == PGRES_FATAL_ERROR, failure == nil { failure = ResultErrors.serverError(result) }
      affected = ResultTable(taking: result).affectedRowCount
      if status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH {
        // It would report this state for ever.
        close()
        throw .protocolViolation("COPY in a script")
      }
    }
    if let failure { throw .server(failure) }
    return affected
  }

  // MARK: - COPY

  /// Sends `COPY ... FROM STDIN` and waits until the server takes data.
  func beginCopy(_ sql: String) async throws(PostgresError) {
    try beginExclusive(timeout: clientTimeout)
    do throws(PostgresError) {
      try sendSimple(sql)
      guard let result = try await nextResult() else { throw PostgresError.protocolViolation("COPY without a result") }
      let status = PQresultStatus(result)
      let failure = ResultErrors.serverError(result)
      PQclear(result)
      if status == PGRES_COPY_IN { return }
      _ = try await finishResults()
      throw PostgresError.server(failure)
    } catch {
      endExclusive()
      throw error
    }
  }

  /// Hands over some data and waits until the socket took it, so that memory does not grow with a slow server.
  func putCopyData(_ bytes: [UInt8]) async throws(PostgresError) {
    noteProgress()
    guard let pointer else { throw .connectionLost }
    let taken = bytes.withUnsafeBytes {
      PQputCopyData(pointer, $0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count))
    }
    guard taken == 1 else {
      close()
      throw .connectionLost
    }
    while let pointer = self.pointer {
      let seen = readinessCount
      guard PQflush(pointer) == 1 else { break }
      flush()
      await readiness(since: seen)
    }
    guard isOpen else { throw .connectionLost }
  }

  /// Ends the data, or gives the COPY up with `abortReason`, and waits for the server's word.
  /// - Returns: the rows stored.
  func endCopy(abortReason: String? = nil) async throws(PostgresError) -> Int {
    defer { endExclusive() }
    noteProgress()
    guard let pointer, PQputCopyEnd(pointer, abortReason) == 1 else {
      close()
      throw .connectionLost
    }
    return try await finishResults()
  }

  // MARK: - LISTEN

  /// Listens until the connection is lost or closed.
  func listen(
    to channel: String, onNotification: @Sendable (String) -> Void, onConnect: @Sendable () -> Void
  ) async throws(PostgresError) {
    try await runScript("LISTEN " + SQLIdentifier.quoted(channel))
    onConnect()
    while let pointer {
      let seen = readinessCount
      while let notification = PQnotifies(pointer) {
        let payload = String(cString: notification.pointee.extra)
        PQfreemem(notification)
        onNotification(payload)
      }
      await readiness(since: seen)
    }
  }
}

enum SQLIdentifier {
  /// In double quotes, so that any name is one identifier.
  static func quoted(_ name: String) -> String {
    var text = "\""
    for character in name.unicodeScalars {
      if character == "\"" { text += "\"" }
      text.unicodeScalars.append(character)
    }
    return text + "\""
  }
}
