import Glibc

/// What `postmaster.pid` says (PostgreSQL's `miscadmin.h`): process, directory, start, port, socket directory, ...
struct Postmaster: Equatable {
  let processID: pid_t
  let socketDirectory: String

  static func file(of cluster: String) -> String { "\(cluster)/postmaster.pid" }

  init?(parsing text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let first = lines.first, let processID = pid_t(first.filter { $0 != " " }), processID > 1 else { return nil }
    self.processID = processID
    socketDirectory = lines.count > 4 ? String(lines[4]) : ""
  }

  /// The running server of this very directory. A server works inside its directory, which tells it from a process
  /// that came to the same number after a crash.
  static func running(in cluster: String) -> Postmaster? {
    guard let text = SystemCall.read(file(of: cluster)), let postmaster = Postmaster(parsing: text),
      workingDirectory(of: "\(postmaster.processID)") == cluster
    else { return nil }
    return postmaster
  }

  /// Removes a `postmaster.pid` whose number now belongs to a process that is no PostgreSQL of this directory: the
  /// server would refuse to start because of it. Nobody may be left of the old server, as the file also guards its
  /// shared memory; after a kill -9 of the postmaster its children notice and end within moments.
  static func clearStale(in cluster: String, waitSeconds: Int) throws(PrivateClusterError) {
    let path = file(of: cluster)
    guard let text = SystemCall.read(path) else { return }
    let deadline = ContinuousClock.now + .seconds(waitSeconds)
    // A process that nobody has reaped yet has no working directory any more, so it does not count.
    while isAnybodyIn(cluster) {
      guard ContinuousClock.now < deadline else {
        throw .unusableServer(directory: cluster, reason: "processes of a crashed server are still running")
      }
      usleep(20_000)
    }
    // A dead number is the server's own to clear.
    if let old = Postmaster(parsing: text), kill(old.processID, 0) == 0 || errno == EPERM { unlink(path) }
  }

  private static func isAnybodyIn(_ cluster: String) -> Bool {
    SystemCall.names(in: "/proc").contains { $0.first!.isNumber && workingDirectory(of: $0) == cluster }
  }

  private static func workingDirectory(of process: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = bytes.withUnsafeMutableBytes {
      readlink("/proc/\(process)/cwd", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }
}
