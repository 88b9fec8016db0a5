import Glibc

/// A lock of `flock(2)` on a file; the kernel releases it when the process ends, however it ends. Blocks, so it is
/// taken on a `BlockingThread`.
final class FileLock: Sendable {
  enum Mode { case shared, exclusive }

  private let descriptor: Int32

  /// - Throws: `.lockTimeout` after `timeoutSeconds`.
  init(_ path: String, _ mode: Mode, timeoutSeconds: Int) throws(PrivateClusterError) {
    descriptor = try SystemCall.check(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600), "open", path)
    let deadline = ContinuousClock.now + .seconds(timeoutSeconds)
    while flock(descriptor, (mode == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR else {
        let errorNumber = errno
        close(descriptor)
        throw .system(call: "flock", path: path, errorNumber: errorNumber)
      }
      guard ContinuousClock.now < deadline else {
        close(descriptor)
        throw .lockTimeout(path: path)
      }
      usleep(20_000)
    }
  }

  deinit { close(descriptor) }

  /// Turns a shared lock into an exclusive one if nobody else holds it. On failure the lock may be lost: Linux gives
  /// the old one up first.
  func tryUpgrade() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }
}
