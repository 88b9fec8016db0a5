import Glibc
import Synchronization

/// Swift Testing has no end of a run, so the servers of the tests are ended when the process exits.
public enum ExitCleanup {
  private static let directories = Mutex<[String]>([])

  public static func add(_ directory: String) {
    let isFirst = directories.withLock { all in
      all.append(directory)
      return all.count == 1
    }
    if isFirst { atexit { ExitCleanup.run() } }
  }

  private static func run() {
    for directory in directories.withLock({ $0 }) { destroy(directory) }
  }

  /// Waits by the working directory, which a process that nobody has reaped yet no longer has.
  /// Ends the directory's server hard and removes the directory and the socket's.
  public static func destroy(_ directory: String) {
    let script = """
      pid=$(head -n 1 "$0/postgres/postmaster.pid" 2>/dev/null) && [ -n "$pid" ] && kill -QUIT "$pid" \
        && while readlink "/proc/$pid/cwd" >/dev/null; do sleep 0.02; done
      socket=$(cat "$0/postgres-socket" 2>/dev/null) && [ -n "$socket" ] && rm -rf "$socket"
      rm -rf "$0"
      """
    Shell.run(["/bin/sh", "-c", script, directory])
  }
}

public enum Shell {
  /// Runs a program to its end and returns its status.
  @discardableResult
  public static func run(_ arguments: [String]) -> Int32 {
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var child = pid_t()
    guard posix_spawn(&child, arguments[0], nil, nil, &words, environ) == 0 else { return -1 }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    return status >> 8 & 0xff
  }
}

public enum TemporaryDirectory {
  /// Mode 0711, as PostgreSQL's own user must pass when the tests run as root.
  public static func make() -> String {
    var template = Array("/tmp/relayrisk-test-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    chmod(path, 0o711)
    return path
  }
}
