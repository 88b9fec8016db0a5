import CLibPQ
import Glibc
import Logging

/// A connection that is open and set up, on its way from the thread that made it to the loop that will own it. It is
/// closed with its last reference at the latest, as when the loop ended before it arrived.
///
/// Unchecked: libpq allows any one thread at a time, and whoever makes this gives it away and keeps no reference.
final class OpenedConnection: @unchecked Sendable {
  let pointer: OpaquePointer
  private let notices: Unmanaged<NoticeLog>
  private var isClosed = false

  /// Takes over a connection; its notices go to the log from now on.
  init(taking pointer: OpaquePointer, logger: Logger) {
    self.pointer = pointer
    notices = Unmanaged.passRetained(NoticeLog(logger))
    PQsetNoticeReceiver(
      pointer,
      { context, notice in
        guard let context, let notice else { return }
        Unmanaged<NoticeLog>.fromOpaque(context).takeUnretainedValue().record(notice)
      }, notices.toOpaque())
  }

  deinit { close() }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    PQfinish(pointer)
    // Only now: PQfinish may still report a notice.
    notices.release()
  }
}

/// Notices go to the log; by default libpq prints them to standard error.
final class NoticeLog {
  private let logger: Logger

  init(_ logger: Logger) { self.logger = logger }

  func record(_ notice: OpaquePointer) {
    // Without the text, which may quote values.
    let code = ResultErrors.field(DIAG_SQLSTATE, of: notice) ?? "?"
    logger.debug("PostgreSQL notice", metadata: ["code": "\(code)"])
  }
}

struct ConnectFailure: Error, Sendable {
  /// libpq's own text: host, database and reason. It never holds the password.
  let reason: String
}

/// Opens connections. Blocks, so it runs on a `BlockingThread`.
///
/// libpq can also connect in steps, but then both the look-up of each further host's name still blocks and
/// `connect_timeout`, which moves it on to the next host, is not kept. On a thread of its own the plain call does both.
enum Connector {
  static func connect(
    _ configuration: DatabaseConfiguration, logger: Logger
  ) -> Result<OpenedConnection, ConnectFailure> {
    guard isReadable(configuration.connectionString) else {
      // libpq's message would quote the string.
      return .failure(ConnectFailure(reason: "the connection string cannot be read"))
    }
    // libpq lets later keywords win: first our defaults, then the user's string, then what must hold.
    var keywords = [
      ("fallback_application_name", configuration.applicationName),
      ("connect_timeout", String(configuration.connectTimeoutSeconds)),
      ("dbname", configuration.connectionString),
    ]
    keywords += configuration.overrides.map { ($0.keyword, $0.value) }
    keywords.append(("client_encoding", "UTF8"))
    guard let pointer = open(keywords) else { return .failure(ConnectFailure(reason: "out of memory")) }
    guard PQstatus(pointer) == CONNECTION_OK else {
      defer { PQfinish(pointer) }
      return .failure(ConnectFailure(reason: trimmedMessage(pointer)))
    }
    let opened = OpenedConnection(taking: pointer, logger: logger)
    guard PQsetnonblocking(pointer, 1) == 0,
      run(setUp(pointer, configuration), on: pointer, timeoutSeconds: configuration.connectTimeoutSeconds)
    else {
      let reason = trimmedMessage(pointer)
      opened.close()
      return .failure(ConnectFailure(reason: "setting up the session failed: \(reason)"))
    }
    return .success(opened)
  }

  private static func open(_ keywords: [(String, String)]) -> OpaquePointer? {
    var names: [UnsafePointer<CChar>?] = keywords.map { UnsafePointer(strdup($0.0)) }
    var values: [UnsafePointer<CChar>?] = keywords.map { UnsafePointer(strdup($0.1)) }
    defer { for copy in names + values { free(UnsafeMutablePointer(mutating: copy)) } }
    names.append(nil)
    values.append(nil)
    return PQconnectdbParams(names, values, 1)
  }

  /// libpq expands the string only when it looks like connection information; otherwise it is a database's name.
  private static func isReadable(_ connectionString: String) -> Bool {
    guard connectionString.contains("=") || connectionString.contains("://") else { return true }
    guard let options = PQconninfoParse(connectionString, nil) else { return false }
    PQconninfoFree(options)
    return true
  }

  private static func setUp(_ pointer: OpaquePointer, _ configuration: DatabaseConfiguration) -> String {
    // Compiling a statement takes longer than any of these runs; the server does it by what it thinks of their cost.
    var sql = "SET jit = off; SET statement_timeout = \(configuration.statementTimeoutMilliseconds)"
    // Makes the server end a statement whose client is gone, which is how a dropped connection is cancelled.
    if PQserverVersion(pointer) >= 140_000 { sql += "; SET client_connection_check_interval = 1000" }
    return sql
  }

  /// Runs statements whose results do not matter, bounded in time even when the network swallows everything.
  private static func run(_ sql: String, on pointer: OpaquePointer, timeoutSeconds: Int) -> Bool {
    guard PQsendQuery(pointer, sql) == 1 else { return false }
    let deadline = ContinuousClock.now + .seconds(max(2, timeoutSeconds))
    while ContinuousClock.now < deadline {
      let unsent = PQflush(pointer)
      guard unsent >= 0 else { return false }
      while PQisBusy(pointer) == 0 {
        guard let result = PQgetResult(pointer) else { return true }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COMMAND_OK else { return false }
      }
      let events = Int16(unsent == 1 ? POLLIN | POLLOUT : POLLIN)
      var descriptor = pollfd(fd: PQsocket(pointer), events: events, revents: 0)
      if poll(&descriptor, 1, 100) > 0 && PQconsumeInput(pointer) == 0 { return false }
    }
    return false
  }

  private static func trimmedMessage(_ pointer: OpaquePointer) -> String {
    var text = String(cString: PQerrorMessage(pointer))
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }
}
