import Glibc

/// The short directory of the cluster's Unix socket: a socket's path may have 107 bytes, a data directory's more.
/// Mode 0700, so that the socket is out of everybody else's reach. Its path is kept in the data directory.
struct SocketDirectory {
  let record: String
  let user: ClusterUser

  /// The recorded directory, made again if it vanished, or a new one.
  func prepare() throws(PrivateClusterError) -> String {
    if let recorded = SystemCall.read(record), !recorded.isEmpty, try isUsable(recorded) { return recorded }
    let made = try makeNew()
    try user.own(made)
    try SystemCall.write(made, to: record)
    return made
  }

  private func isUsable(_ path: String) throws(PrivateClusterError) -> Bool {
    if let status = SystemCall.status(of: path) {
      // Somebody else may have taken the name in the meantime.
      return SystemCall.isDirectory(status) && status.st_uid == user.userID && status.st_mode & 0o777 == 0o700
    }
    // The same path again, so that processes that already have it come back by themselves.
    guard mkdir(path, 0o700) == 0 else { return false }
    try user.own(path)
    return true
  }

  private func makeNew() throws(PrivateClusterError) -> String {
    var template = Array("\(base)/relayrisk-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw .system(call: "mkdtemp", path: base, errorNumber: errno) }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private var base: String {
    if geteuid() == 0 && access("/run", W_OK) == 0 { return "/run" }
    guard let value = getenv("XDG_RUNTIME_DIR") else { return "/tmp" }
    let path = String(cString: value)
    // It goes through pg_ctl's shell, and with the socket's name it must stay below 107 bytes.
    let isPlain = path.utf8.allSatisfy { byte in
      let character = Character(UnicodeScalar(byte))
      return character.isASCII && (character.isLetter || character.isNumber || "/_.-".contains(character))
    }
    return path.hasPrefix("/") && path.utf8.count <= 60 && isPlain && access(path, W_OK) == 0 ? path : "/tmp"
  }

  /// Removes the socket and its lock file of a server that is gone. The lock holds a number too, which a process that
  /// came later may have, or the killed server itself until somebody reaps it; in a container that may be never.
  func clearStale(_ directory: String) {
    unlink("\(directory)/.s.PGSQL.5432")
    unlink("\(directory)/.s.PGSQL.5432.lock")
  }

  /// After the last user has stopped the server.
  func remove() {
    guard let recorded = SystemCall.read(record) else { return }
    // Only if empty: the server has removed its socket.
    rmdir(recorded)
    unlink(record)
  }
}
