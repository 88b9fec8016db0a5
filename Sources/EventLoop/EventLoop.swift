import Glibc
import Synchronization

/// One thread that waits for descriptors, timers and wake-ups, and runs Swift jobs.
///
/// It is a task executor (`Task(executorPreference:)` keeps a task's steps on this thread) and a serial executor
/// (an actor whose `unownedExecutor` is this loop is confined to this thread, checked by the compiler).
/// Nothing that runs here may block: every other job of the loop waits meanwhile.
///
/// A loop serves a handful of descriptors (a libmicrohttpd epoll descriptor, some libpq sockets), so `poll(2)` does;
/// `epoll` is not in Swift's `Glibc` module.
public final class EventLoop: TaskExecutor, SerialExecutor, @unchecked Sendable {
  /// Shown by `ps -L` and debuggers; at most 15 bytes are kept, as Linux does.
  public let name: String

  private struct Inbox: ~Copyable {
    var jobs: [Work] = []
    var isWaiting = false
    var isStopping = false
  }
  private enum Work {
    case job(UnownedJob)
    case closure(@Sendable () -> Void)
  }

  private let inbox = Mutex(Inbox())
  private let wakePipe: (read: Int32, write: Int32)
  private let thread = Mutex<pthread_t?>(nil)

  // Only touched on the loop's thread.
  private var watches: [Watch] = []
  private var timers = TimerQueue()
  private var sources: [any EventSource] = []
  private var pollDescriptors: [pollfd] = []

  public init(name: String) {
    self.name = name
    var descriptors: [Int32] = [0, 0]
    let made = pipe(&descriptors)
    precondition(made == 0, "pipe failed: the process has no file descriptors left (errno \(errno))")
    for descriptor in descriptors {
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
    wakePipe = (descriptors[0], descriptors[1])
  }

  deinit {
    close(wakePipe.read)
    close(wakePipe.write)
  }

  // MARK: - Life

  /// Starts the thread. Called once, before anything is expected to run.
  /// The thread takes over the caller's signal mask, so block what `sigwait` is to read before this.
  public func start() {
    thread.withLock { handle in
      precondition(handle == nil, "loop \(name) was started twice")
      var created = pthread_t()
      let context = Unmanaged.passRetained(self).toOpaque()
      let status = pthread_create(
        &created, nil,
        { context in
          let loop = Unmanaged<EventLoop>.fromOpaque(context!).takeRetainedValue()
          loop.nameThread()
          loop.run()
          return nil
        }, context)
      precondition(status == 0, "pthread_create failed with \(status)")
      handle = created
    }
  }

  /// `pthread_setname_np` and `prctl` are not in Swift's `Glibc` module; the file under `/proc` is the same thing.
  private func nameThread() {
    let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    var bytes = Array(name.utf8.prefix(15))
    _ = write(file, &bytes, bytes.count)
    close(file)
  }

  /// Ends the thread after the jobs already queued, and waits for it. Never called on the loop itself.
  public func stop() {
    guard let handle = thread.withLock({ $0.take() }) else { return }
    inbox.withLock { $0.isStopping = true }
    wake()
    pthread_join(handle, nil)
  }

  /// Whether the caller runs on this loop's thread.
  public var isCurrent: Bool { EventLoopThread.current == ObjectIdentifier(self) }

  // MARK: - Work from any thread

  /// Runs `work` on the loop, after what was queued before it.
  public func execute(_ work: @escaping @Sendable () -> Void) { queue(.closure(work)) }

  public func enqueue(_ job: consuming ExecutorJob) { queue(.job(UnownedJob(job))) }

  public func checkIsolated() {
    precondition(isCurrent, "not on the thread of loop \(name)")
  }

  public func isIsolatingCurrentContext() -> Bool? { isCurrent }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  private func queue(_ work: Work) {
    let mustWake = inbox.withLock { inbox in
      inbox.jobs.append(work)
      // Whoever comes next finds it woken: many jobs at once, the answers to a batch, are one wake-up.
      defer { inbox.isWaiting = false }
      return inbox.isWaiting
    }
    if mustWake { wake() }
  }

  private func wake() {
    var byte: UInt8 = 1
    // A full pipe already holds a wake-up, so EAGAIN is success.
    _ = write(wakePipe.write, &byte, 1)
  }

  // MARK: - On the loop only

  /// Calls `onReady` on the loop whenever the descriptor is ready for what the watch is interested in, until cancelled.
  /// The caller keeps the descriptor open until after `cancel()`. On the loop's thread only.
  public func watch(
    _ descriptor: Int32, for interest: Interest, onReady: @escaping (Interest) -> Void
  ) -> Watch {
    checkIsolated()
    let watch = Watch(descriptor: descriptor, interest: interest, onReady: onReady)
    watches.append(watch)
    return watch
  }

  /// Calls `work` on the loop once, no sooner than `delay` from now, unless cancelled. On the loop's thread only.
  @discardableResult
  public func schedule(after delay: Duration, _ work: @escaping () -> Void) -> Timer {
    checkIsolated()
    return timers.add(at: ContinuousClock.now + delay, work)
  }

  /// Lets `source` take part in every turn of the loop. On the loop's thread only.
  public func add(_ source: any EventSource) {
    checkIsolated()
    sources.append(source)
  }

  /// On the loop's thread only.
  public func remove(_ source: any EventSource) {
    checkIsolated()
    sources.removeAll { $0 === source }
  }

  // MARK: - The turn

  private func run() {
    EventLoopThread.current = ObjectIdentifier(self)
    defer { EventLoopThread.current = nil }
    while true {
      let stopping = runJobs()
      // Taken out before they run: a timer that schedules the next one changes the queue.
      for timer in timers.takeDue(until: .now) { timer.fire() }
      var wait: Duration?
      for source in sources {
        guard let limit = source.turn() else { continue }
        wait = wait.map { min($0, limit) } ?? limit
      }
      // After the sources, whose turn may have scheduled a timer.
      if let next = timers.next { wait = min(wait ?? .seconds(3600), next - .now) }
      // Jobs that a source or a timer queued may make a source ready again (a resumed connection), so none may be
      // pending when the loop goes to sleep: measured as a stall of 1 s otherwise.
      let mayWait = inbox.withLock { inbox in
        inbox.isWaiting = inbox.jobs.isEmpty && !inbox.isStopping
        return inbox.isWaiting
      }
      if !mayWait && stopping { return }
      waitForDescriptors(milliseconds: mayWait ? pollTimeout(wait) : 0)
    }
  }

  /// How often what jobs queue is run before the descriptors are looked at again. A task that goes from one actor of
  /// the loop to another is a job each time, and looking costs more than most jobs.
  private static let roundsMax = 32

  /// Runs what is queued and what that queues in turn, so many times that descriptors still get their share.
  /// - Returns: whether the loop is to end.
  private func runJobs() -> Bool {
    for _ in 0..<Self.roundsMax {
      let (jobs, stopping) = inbox.withLock { inbox in
        inbox.isWaiting = false
        let jobs = inbox.jobs
        inbox.jobs = []
        return (jobs, inbox.isStopping && jobs.isEmpty)
      }
      if jobs.isEmpty { return stopping }
      for work in jobs {
        switch work {
        case .job(let job):
          job.runSynchronously(
            isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
        case .closure(let closure): closure()
        }
      }
    }
    return false
  }

  private func pollTimeout(_ wait: Duration?) -> Int32 {
    guard let wait else { return -1 }
    if wait <= .zero { return 0 }
    let (seconds, attoseconds) = wait.components
    // Rounded up: waking early would turn a timer into a busy loop.
    let milliseconds = seconds.multipliedReportingOverflow(by: 1000)
    if milliseconds.overflow || milliseconds.partialValue > 3_600_000 { return 3_600_000 }
    return Int32(milliseconds.partialValue) + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }

  private func waitForDescriptors(milliseconds: Int32) {
    watches.removeAll { $0.isCancelled }
    pollDescriptors.removeAll(keepingCapacity: true)
    pollDescriptors.append(pollfd(fd: wakePipe.read, events: Int16(POLLIN), revents: 0))
    for watch in watches {
      pollDescriptors.append(pollfd(fd: watch.descriptor, events: watch.interest.pollEvents, revents: 0))
    }
    let ready = poll(&pollDescriptors, nfds_t(pollDescriptors.count), milliseconds)
    guard ready > 0 else { return }
    if pollDescriptors[0].revents != 0 {
      var drained: (UInt64, UInt64) = (0, 0)
      _ = withUnsafeMutableBytes(of: &drained) { read(wakePipe.read, $0.baseAddress, $0.count) }
    }
    // A handler may add or cancel watches, so the list of this turn is walked, not the live one.
    let polled = watches
    for (index, watch) in polled.enumerated() {
      let events = pollDescriptors[index + 1].revents
      if events != 0 && !watch.isCancelled { watch.onReady(Interest(pollEvents: events)) }
    }
  }
}

/// Which loop the current thread belongs to.
private enum EventLoopThread {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  static var current: ObjectIdentifier? {
    get {
      pthread_getspecific(key).map { ObjectIdentifier(Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue()) }
    }
    set { setCurrent(newValue) }
  }

  private static func setCurrent(_ loop: ObjectIdentifier?) {
    // The identifier of a class instance is its address.
    pthread_setspecific(key, loop.flatMap { UnsafeRawPointer(bitPattern: UInt(bitPattern: $0)) })
  }
}
