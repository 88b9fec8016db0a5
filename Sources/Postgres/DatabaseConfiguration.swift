/// How to reach a database and what to allow it.
public struct DatabaseConfiguration: Sendable {
  /// As libpq takes it: a URI or `key=value` pairs, several hosts, `target_session_attrs`. Holds the password, so it
  /// is never logged.
  public var connectionString: String
  /// Connection keywords that win over those of the string.
  public var overrides: [(keyword: String, value: String)]
  /// Shown in `pg_stat_activity` unless the string names another.
  public var applicationName: String
  /// Connections for independent single statements, 1 to 64.
  public var pipelinedConnections: Int
  /// Connections for transactions, `COPY` and migrations, 1 to 1,000; opened when needed.
  public var leasedConnectionsMax: Int
  /// The server ends a statement after this time; 0 is for ever.
  public var statementTimeoutMilliseconds: Int
  /// For each host in turn, unless the string says otherwise. libpq takes whole seconds, at least 2.
  public var connectTimeoutSeconds: Int
  /// Statements waiting for their turn or their answer, over all pipelined connections.
  public var queueStatementsMax: Int
  /// How long a transaction may wait for a connection before it fails with `.poolExhausted`.
  public var leaseWaitMilliseconds: Int
  /// Transactions waiting for a connection.
  public var leaseWaitersMax: Int

  public init(
    connectionString: String, overrides: [(keyword: String, value: String)] = [],
    applicationName: String = "relayrisk", pipelinedConnections: Int = 2, leasedConnectionsMax: Int = 4,
    statementTimeoutMilliseconds: Int = 10_000, connectTimeoutSeconds: Int = 5, queueStatementsMax: Int = 10_000,
    leaseWaitMilliseconds: Int = 5_000, leaseWaitersMax: Int = 1_000
  ) {
    precondition((1...64).contains(pipelinedConnections), "pipelinedConnections is 1 to 64")
    precondition((1...1_000).contains(leasedConnectionsMax), "leasedConnectionsMax is 1 to 1,000")
    self.connectionString = connectionString
    self.overrides = overrides
    self.applicationName = applicationName
    self.pipelinedConnections = pipelinedConnections
    self.leasedConnectionsMax = leasedConnectionsMax
    self.statementTimeoutMilliseconds = statementTimeoutMilliseconds
    self.connectTimeoutSeconds = connectTimeoutSeconds
    self.queueStatementsMax = queueStatementsMax
    self.leaseWaitMilliseconds = leaseWaitMilliseconds
    self.leaseWaitersMax = leaseWaitersMax
  }

  /// How much longer than the server a caller waits, so that the server's own error normally comes first.
  static let clientGrace: Duration = .seconds(1)

  /// How long a caller waits for the answer of one statement; nil when the server has no limit.
  static func clientTimeout(statementTimeoutMilliseconds: Int) -> Duration? {
    statementTimeoutMilliseconds > 0 ? .milliseconds(statementTimeoutMilliseconds) + clientGrace : nil
  }
}
