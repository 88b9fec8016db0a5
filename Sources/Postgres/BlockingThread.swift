import Glibc

/// Calls that block (connecting with its DNS look-up, `waitpid`, `flock`) run on a plain thread of their own: never on
/// a loop, where everything else would stop, nor on Swift's cooperative pool, which has one thread a core.
enum BlockingThread {
  /// Runs `work` on a new thread and forgets it.
  static func start(_ work: @escaping @Sendable () -> Void) {
    final class Box {
      let work: @Sendable () -> Void
      init(_ work: @escaping @Sendable () -> Void) { self.work = work }
    }
    var thread = pthread_t()
    let context = Unmanaged.passRetained(Box(work)).toOpaque()
    let status = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().work()
        return nil
      }, context)
    precondition(status == 0, "pthread_create failed with \(status)")
    pthread_detach(thread)
  }

  /// Runs `work` on a new thread and waits for what it returns or throws.
  static func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      start { continuation.resume(with: Result { try work() }) }
    }
  }
}
