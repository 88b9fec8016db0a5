import Glibc

/// A thread that may block, unlike those of loops and of the cooperative pool.
enum PlainThread {
  private final class Work {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Runs `work` on a thread that ends with it.
  static func run(_ work: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(Work(work)).toOpaque())
    precondition(status == 0, "pthread_create failed with \(status)")
    // Nobody joins it; who waits for the work is told by the work.
    pthread_detach(thread)
  }
}

/// Lets one thread wait for several others, once. Blocks: not for loops or tasks.
///
/// Unchecked: a POSIX semaphore is made for use from many threads, and the pointer to it does not change.
final class CountdownGate: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private let arrivals: Int

  init(_ arrivals: Int) {
    self.arrivals = arrivals
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func arrive() { sem_post(semaphore) }

  func wait() {
    for _ in 0..<arrivals {
      while sem_wait(semaphore) != 0 && errno == EINTR {}
    }
  }
}
