import CLibPQ

/// Reads the error fields of a libpq result.
enum ResultErrors {
  static func serverError(_ result: OpaquePointer) -> ServerError {
    ServerError(
      // A result made by libpq itself, not by the server, has no code; 08006 is "connection failure".
      code: field(DIAG_SQLSTATE, of: result) ?? "08006",
      severity: field(DIAG_SEVERITY, of: result) ?? "ERROR",
      message: field(DIAG_MESSAGE, of: result) ?? "",
      detail: field(DIAG_DETAIL, of: result),
      hint: field(DIAG_HINT, of: result),
      constraint: field(DIAG_CONSTRAINT, of: result),
      table: field(DIAG_TABLE, of: result),
      column: field(DIAG_COLUMN, of: result))
  }

  /// Whether it is the server's last word on this connection, as when it is shut down.
  static func endsConnection(_ result: OpaquePointer) -> Bool {
    ["FATAL", "PANIC"].contains(field(DIAG_SEVERITY, of: result))
  }

  static func field(_ code: Int, of result: OpaquePointer) -> String? {
    PQresultErrorField(result, Int32(code)).map { String(cString: $0) }
  }
}
