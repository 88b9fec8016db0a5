/// A limit on everything a client can make grow, the unit in each name.
public struct ServerLimits: Sendable, Equatable {
  /// Connections of all loops together; one more is closed as soon as it is accepted.
  public var connectionsMax: Int
  /// Connections from one address, all loops together; 0 is no limit. Off by default: behind a proxy all come from one.
  public var connectionsPerAddressMax: Int
  /// Memory of one connection for request line, headers and read buffer, 16 KiB and up. Beyond it libmicrohttpd
  /// answers 414 or 431 with a page of its own.
  public var connectionMemoryBytesMax: Int
  /// Silence after which a connection is closed, in the middle of a request or a response too.
  public var idleTimeoutSeconds: Int
  /// From the moment the head is there: a body not complete by then closes the connection, a handler not done by then
  /// is cancelled and 504 answered. A head has as long, and the time a connection may be idle, to arrive.
  public var requestDeadlineSeconds: Int
  /// What a body that is read as it comes has to bring on average, beyond the deadline: the time that the handler takes
  /// for it does not count.
  public var bodyBytesPerSecondMin: Int
  /// Bytes of a refused body that are read and dropped so that the client sees the answer.
  public var refusedBodyBytesMax: Int
  /// How long `stop()` waits for requests in flight before it cancels them.
  public var drainGraceSeconds: Int

  public init(
    connectionsMax: Int = 8192, connectionsPerAddressMax: Int = 0, connectionMemoryBytesMax: Int = 32 * 1024,
    idleTimeoutSeconds: Int = 15, requestDeadlineSeconds: Int = 30, bodyBytesPerSecondMin: Int = 4 * 1024,
    refusedBodyBytesMax: Int = 1024 * 1024, drainGraceSeconds: Int = 30
  ) {
    self.connectionsMax = connectionsMax
    self.connectionsPerAddressMax = connectionsPerAddressMax
    self.connectionMemoryBytesMax = connectionMemoryBytesMax
    self.idleTimeoutSeconds = idleTimeoutSeconds
    self.requestDeadlineSeconds = requestDeadlineSeconds
    self.bodyBytesPerSecondMin = bodyBytesPerSecondMin
    self.refusedBodyBytesMax = refusedBodyBytesMax
    self.drainGraceSeconds = drainGraceSeconds
  }
}
