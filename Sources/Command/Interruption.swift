import Glibc
import Synchronization

/// SIGINT and SIGTERM as something to ask for, so that a run puts away what it holds before it ends. The second one
/// ends it at once.
enum Interruption {
  private static let caught = Atomic<Int32>(0)

  static var isAsked: Bool { caught.load(ordering: .relaxed) != 0 }

  static func watch() {
    // Made here and not by the handler, where nothing may be made.
    caught.store(0, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { Interruption.caught.store($0, ordering: .relaxed) }
    // Without SA_RESTART, so that reading and sleeping end.
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
    var both = sigset_t()
    sigemptyset(&both)
    for signal in [SIGINT, SIGTERM] {
      sigaction(signal, &action, nil)
      sigaddset(&both, signal)
    }
    // Whoever started this may have blocked them.
    pthread_sigmask(SIG_UNBLOCK, &both, nil)
  }

  /// Ends the process by the signal that was caught, as those who wait for it expect; returns when there was none.
  static func passOn() {
    if isAsked { raise(caught.load(ordering: .relaxed)) }
  }
}
