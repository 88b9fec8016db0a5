/// What can go wrong with a statement. No description holds a bound value, a stored value or a password.
public enum PostgresError: Error, Sendable, CustomStringConvertible {
  /// The server refused the statement; nothing of it happened.
  case server(ServerError)
  /// The connection broke after the statement was sent: whether it happened is unknown.
  case connectionLost
  /// There is no server to talk to, or the database was closed; the statement was not sent.
  case unavailable
  /// Too many wait already, or the wait for a connection took too long; the statement was not sent.
  case poolExhausted
  /// No answer in time: whether the statement happened is unknown. The server's own time limit is
  /// `.server` with 57014, which comes first unless the connection hangs or is crowded.
  case timeout
  /// A column is not what the program reads it as.
  case decoding(DecodingFailure)
  /// The server or the program broke the rules of the protocol; the connection was dropped when it could not go on.
  case protocolViolation(String)

  /// Whether the same statement (or the same transaction from its start) may be sent again without a risk that it
  /// happens twice. It may still fail the same way.
  public var isRetrySafe: Bool {
    switch self {
    case .server(let error): error.isTransient
    case .unavailable, .poolExhausted: true
    case .connectionLost, .timeout, .decoding, .protocolViolation: false
    }
  }

  public var description: String {
    switch self {
    case .server(let error): error.description
    case .connectionLost: "the connection to PostgreSQL broke; whether the statement happened is unknown"
    case .unavailable: "PostgreSQL cannot be reached"
    case .poolExhausted: "too many statements wait for PostgreSQL"
    case .timeout: "no answer from PostgreSQL in time; whether the statement happened is unknown"
    case .decoding(let failure): failure.description
    case .protocolViolation(let reason): "PostgreSQL protocol: \(reason)"
    }
  }
}

/// An error reported by the server.
public struct ServerError: Sendable, CustomStringConvertible {
  /// The SQLSTATE, five characters (PostgreSQL manual, appendix A).
  public let code: String
  /// `ERROR`, `FATAL` or `PANIC`.
  public let severity: String
  /// May quote stored or bound values, as `detail` may: not for logs that others read.
  public let message: String
  public let detail: String?
  public let hint: String?
  public let constraint: String?
  public let table: String?
  public let column: String?

  init(
    code: String, severity: String = "ERROR", message: String, detail: String? = nil, hint: String? = nil,
    constraint: String? = nil, table: String? = nil, column: String? = nil
  ) {
    self.code = code
    self.severity = severity
    self.message = message
    self.detail = detail
    self.hint = hint
    self.constraint = constraint
    self.table = table
    self.column = column
  }

  /// Serialization failure, deadlock, stale plan, shutdown, too many connections, disk full and lock or statement
  /// time-outs: errors of the moment. The statement was rolled back, so it may be sent again.
  public var isTransient: Bool {
    // 40003 is "statement completion unknown".
    (["40", "53", "57"].contains(code.prefix(2)) && code != "40003") || ["55P03", "0A000", "26000"].contains(code)
  }

  /// Without message, detail and hint, as these may quote values.
  public var description: String {
    var text = "PostgreSQL \(severity) \(code)"
    for (name, value) in [("table", table), ("column", column), ("constraint", constraint)] {
      if let value { text += " \(name) \(value)" }
    }
    return text
  }
}

/// Why a column could not be read.
public struct DecodingFailure: Sendable, CustomStringConvertible {
  /// From 0; nil when the row as a whole did not fit.
  public let column: Int?
  /// Never holds the value.
  public let reason: String

  public init(column: Int?, reason: String) {
    self.column = column
    self.reason = reason
  }

  public var description: String {
    (column.map { "result column \($0): " } ?? "result row: ") + reason
  }
}
