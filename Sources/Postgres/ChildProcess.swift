import CLibPQ
import Glibc

/// Runs a program to its end, with its output in a log file. Blocks.
///
/// The program inherits no descriptor but the log, no signal setting and no PG* variable, and it is in a session of
/// its own, so that Ctrl-C in our terminal does not reach it.
struct ChildProcess {
  let arguments: [String]
  let environment: [String]
  let directory: String
  let logFile: String

  /// - Throws: `.commandFailed` with the end of the log when the status is not 0.
  func run() throws(PrivateClusterError) {
    let log = try SystemCall.check(
      open(logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600), "open", logFile)
    defer { close(log) }
    let child = try spawn(log)
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 {
      // Somebody else reaped it (a handler of SIGCHLD): how it ended is unknown, which is for the caller's next step.
      guard errno == EINTR else { return }
    }
    // The macros WIFEXITED and WEXITSTATUS are not imported; these are their definitions on Linux.
    let signal = status & 0x7f
    let code = signal != 0 ? 128 + signal : status >> 8 & 0xff
    guard code == 0 else {
      throw .commandFailed(command: commandName, status: code, logFile: logFile, lastLines: Self.lastLines(of: logFile))
    }
  }

  private var commandName: String { arguments.first { $0.contains("/postgresql/") } ?? arguments[0] }

  private func spawn(_ log: Int32) throws(PrivateClusterError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, log, 1)
    posix_spawn_file_actions_adddup2(&actions, log, 2)
    // Also those that some library opened without CLOEXEC: a server would hold on to them for its life.
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    posix_spawn_file_actions_addchdir_np(&actions, directory)
    // The service blocks the signals it waits for, and a mask survives exec: the server would never hear SIGTERM.
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    let flags = Int32(SPAWN_SETSID) | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
    posix_spawnattr_setflags(&attributes, Int16(flags))

    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { for copy in words + variables { free(copy) } }
    var child = pid_t()
    let errorNumber = posix_spawn(&child, arguments[0], &actions, &attributes, &words, &variables)
    guard errorNumber == 0 else { throw .system(call: "start", path: arguments[0], errorNumber: errorNumber) }
    return child
  }

  static func lastLines(of logFile: String) -> String {
    let text = SystemCall.read(logFile, lastBytesMax: 4_096) ?? ""
    return text.split(separator: "\n").suffix(15).joined(separator: "\n")
  }
}
