/// One call at one time. Belongs to its loop's thread.
public final class Timer {
  let deadline: ContinuousClock.Instant
  fileprivate var work: (() -> Void)?

  fileprivate init(deadline: ContinuousClock.Instant, work: @escaping () -> Void) {
    self.deadline = deadline
    self.work = work
  }

  /// The call is not made, if it was not made yet.
  public func cancel() { work = nil }

  func fire() {
    let work = work
    self.work = nil
    work?()
  }
}

/// The timers of a loop as a binary heap by deadline. Cancelled ones stay until due, without their closure;
/// when they are more than half of the heap it is rebuilt, so that deadlines of short requests do not pile up.
struct TimerQueue {
  private var heap: [Timer] = []
  private var addedSinceSweep = 0

  /// The earliest deadline of a timer that was not cancelled.
  var next: ContinuousClock.Instant? {
    mutating get {
      while let first = heap.first, first.work == nil { removeFirst() }
      return heap.first?.deadline
    }
  }

  mutating func add(at deadline: ContinuousClock.Instant, _ work: @escaping () -> Void) -> Timer {
    sweepWhenDue()
    let timer = Timer(deadline: deadline, work: work)
    heap.append(timer)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].deadline < heap[parent].deadline else { break }
      heap.swapAt(child, parent)
      child = parent
    }
    return timer
  }

  /// Takes out the timers that are due at `instant`, earliest first. The caller fires them when it no longer touches
  /// the queue, since a call may add to it; what is added meanwhile is left for the next turn.
  mutating func takeDue(until instant: ContinuousClock.Instant) -> [Timer] {
    var due: [Timer] = []
    while let first = heap.first, first.deadline <= instant {
      due.append(first)
      removeFirst()
    }
    return due
  }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown(from: 0)
  }

  private mutating func siftDown(from start: Int) {
    var parent = start
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child].deadline < heap[least].deadline { least = child }
      }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private mutating func sweepWhenDue() {
    addedSinceSweep += 1
    guard addedSinceSweep > max(64, heap.count / 2) else { return }
    addedSinceSweep = 0
    let live = heap.filter { $0.work != nil }
    guard live.count < heap.count / 2 else { return }
    heap = live
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(from: index) }
  }
}
