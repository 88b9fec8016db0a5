/// Why the private cluster cannot be used. Every text says what to do.
public enum PrivateClusterError: Error, Sendable, CustomStringConvertible {
  /// No PostgreSQL server programs were found.
  case notInstalled
  /// The unprivileged user that has to run PostgreSQL may not enter `directory`.
  case unreachable(directory: String, user: String)
  /// The cluster was made by another major version, whose programs are not installed.
  case otherMajorVersion(directory: String, found: String, installed: [String])
  /// The cluster belongs to a user that this process cannot act as.
  case foreignOwner(directory: String, ownerUserID: UInt32)
  /// A program of PostgreSQL failed; `lastLines` is the end of its log.
  case commandFailed(command: String, status: Int32, logFile: String, lastLines: String)
  /// Another process held `path` for too long.
  case lockTimeout(path: String)
  /// The server that answers on the socket is not the one of this directory, or none answers.
  case unusableServer(directory: String, reason: String)
  /// A system call failed on `path`.
  case system(call: String, path: String, errorNumber: Int32)

  public var description: String {
    switch self {
    case .notInstalled:
      return """
        PostgreSQL's server programs (initdb, pg_ctl, postgres) were not found under /usr/lib/postgresql. \
        Install the package postgresql-15, or name a database with --database-url.
        """
    case .unreachable(let directory, let user):
      return """
        PostgreSQL refuses to run as root, so it runs as the user '\(user)', which may not enter \(directory). \
        Choose another place with --data-dir, or allow it with: chmod o+x \(directory)
        """
    case .otherMajorVersion(let directory, let found, let installed):
      let list = installed.isEmpty ? "none" : installed.joined(separator: ", ")
      return """
        \(directory) was made by PostgreSQL \(found); installed: \(list). Install the package postgresql-\(found); or, \
        to move on to another version, install both, stop every relayrisk process and run pg_upgrade of the newer one \
        from this directory into a fresh one, then put the fresh one in its place.
        """
    case .foreignOwner(let directory, let owner):
      return "\(directory) belongs to user id \(owner). Run as that user or as root, or choose another --data-dir."
    case .commandFailed(let command, let status, let logFile, let lastLines):
      return "\(command) failed with status \(status). The end of \(logFile):\n\(lastLines)"
    case .lockTimeout(let path):
      return "another process holds \(path) and did not finish in time; see which one with: fuser -v \(path)"
    case .unusableServer(let directory, let reason):
      return "the PostgreSQL of \(directory) cannot be used: \(reason)"
    case .system(let call, let path, let errorNumber):
      return "\(call) \(path): \(SystemCall.text(of: errorNumber))"
    }
  }
}
