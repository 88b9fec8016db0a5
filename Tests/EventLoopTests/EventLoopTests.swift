import EventLoop
import Glibc
import Synchronization
import Testing

@Suite struct EventLoopTests {
  private func withLoop<Result>(_ body: (EventLoop) async throws -> Result) async rethrows -> Result {
    let loop = EventLoop(name: "test")
    loop.start()
    let result = try await body(loop)
    loop.stop()
    return result
  }

  @Test func aTimerMayScheduleAnother() async {
    await withLoop { loop in
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        loop.execute {
          loop.schedule(after: .milliseconds(1)) {
            loop.schedule(after: .milliseconds(1)) { continuation.resume() }
          }
        }
      }
    }
  }

  @Test func closuresRunInTheOrderTheyWereQueuedOnTheLoopsThread() async {
    await withLoop { loop in
      let seen = Mutex<[Int]>([])
      let onLoop = await withCheckedContinuation { continuation in
        for number in 0..<100 { loop.execute { seen.withLock { $0.append(number) } } }
        loop.execute { continuation.resume(returning: loop.isCurrent) }
      }
      #expect(onLoop)
      #expect(!loop.isCurrent)
      #expect(seen.withLock { $0 } == Array(0..<100))
    }
  }

  @Test func aTaskPreferringTheLoopStaysOnItAcrossSuspensions() async {
    await withLoop { loop in
      let places = await Task(executorPreference: loop) {
        var places = [loop.isCurrent]
        await Task.yield()
        places.append(loop.isCurrent)
        try? await Task.sleep(for: .milliseconds(2))
        places.append(loop.isCurrent)
        return places
      }.value
      #expect(places == [true, true, true])
    }
  }

  private actor Confined {
    let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    var count = 0
    init(loop: EventLoop) { self.loop = loop }
    func increment() -> Bool {
      count += 1
      return loop.isCurrent
    }
    nonisolated func incrementAssumingIsolation() { assumeIsolated { $0.count += 1 } }
  }

  @Test func anActorOfTheLoopIsConfinedToItAndCallbacksMayAssumeIt() async {
    await withLoop { loop in
      let confined = Confined(loop: loop)
      let onLoop = await confined.increment()
      #expect(onLoop)
      await withCheckedContinuation { continuation in
        loop.execute {
          confined.incrementAssumingIsolation()
          continuation.resume()
        }
      }
      #expect(await confined.count == 2)
    }
  }

  @Test func timersFireInTheOrderOfTheirDeadlinesAndCancelledOnesNever() async {
    await withLoop { loop in
      let seen = await withCheckedContinuation { (continuation: CheckedContinuation<[Int], Never>) in
        loop.execute {
          let box = Box<[Int]>([])
          for delay in [30, 10, 20, 40] {
            let timer = loop.schedule(after: .milliseconds(delay)) { box.value.append(delay) }
            if delay == 20 { timer.cancel() }
          }
          loop.schedule(after: .milliseconds(60)) { continuation.resume(returning: box.value) }
        }
      }
      #expect(seen == [10, 30, 40])
    }
  }

  @Test func aTimerMayScheduleTheNextAndCancelOneThatIsDueToo() async {
    await withLoop { loop in
      let seen = await withCheckedContinuation { (continuation: CheckedContinuation<[Int], Never>) in
        loop.execute {
          let box = Box<[Int]>([])
          let second = Box<Timer?>(nil)
          loop.schedule(after: .zero) {
            box.value.append(1)
            second.value?.cancel()
            loop.schedule(after: .zero) {
              box.value.append(3)
              continuation.resume(returning: box.value)
            }
          }
          second.value = loop.schedule(after: .zero) { box.value.append(2) }
        }
      }
      #expect(seen == [1, 3])
    }
  }

  @Test func manyCancelledTimersLeaveTheLiveOnesInOrder() async {
    await withLoop { loop in
      let seen = await withCheckedContinuation { (continuation: CheckedContinuation<[Int], Never>) in
        loop.execute {
          let box = Box<[Int]>([])
          for number in 0..<2_000 {
            let timer = loop.schedule(after: .seconds(60)) { box.value.append(-number) }
            timer.cancel()
          }
          for delay in [5, 3, 1, 4, 2] { loop.schedule(after: .milliseconds(delay)) { box.value.append(delay) } }
          loop.schedule(after: .milliseconds(30)) { continuation.resume(returning: box.value) }
        }
      }
      #expect(seen == [1, 2, 3, 4, 5])
    }
  }

  @Test func aWatchReportsADescriptorUntilItIsCancelled() async {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let (reader, writer) = (ends[0], ends[1])
    await withLoop { loop in
      let bytes = await withCheckedContinuation { (continuation: CheckedContinuation<[UInt8], Never>) in
        loop.execute {
          let box = Box<[UInt8]>([])
          let watch = Box<Watch?>(nil)
          watch.value = loop.watch(reader, for: .readable) { ready in
            #expect(ready.contains(.readable))
            var byte: UInt8 = 0
            _ = read(reader, &byte, 1)
            box.value.append(byte)
            if box.value.count == 3 {
              watch.value?.cancel()
              loop.schedule(after: .milliseconds(10)) { continuation.resume(returning: box.value) }
            }
          }
        }
        _ = write(writer, [1, 2, 3, 4] as [UInt8], 4)
      }
      #expect(bytes == [1, 2, 3])
    }
    close(reader)
    close(writer)
  }

  private final class CountingSource: EventSource {
    var turns = 0
    var pendingWork: (() -> Void)?
    func turn() -> Duration? {
      turns += 1
      pendingWork?()
      pendingWork = nil
      return nil
    }
  }

  @Test func workThatASourceQueuesRunsAndTheSourceTurnsAgainBeforeTheLoopSleeps() async {
    await withLoop { loop in
      let turnsBeforeAndAfter = await withCheckedContinuation {
        (continuation: CheckedContinuation<(Int, Int), Never>) in
        loop.execute {
          let source = CountingSource()
          source.pendingWork = {
            let before = source.turns
            // The source has no timeout and nothing else wakes the loop within the minute.
            loop.schedule(after: .seconds(60)) {}
            let box = UnsafeBox(source)
            loop.execute {
              box.value.pendingWork = { continuation.resume(returning: (before, box.value.turns)) }
            }
          }
          loop.add(source)
        }
      }
      #expect(turnsBeforeAndAfter.0 == 1)
      #expect(turnsBeforeAndAfter.1 == 2)
    }
  }

  @Test func stopRunsWhatWasQueuedBeforeIt() async {
    let loop = EventLoop(name: "stopping")
    loop.start()
    let count = Mutex(0)
    for _ in 0..<1_000 { loop.execute { count.withLock { $0 += 1 } } }
    loop.stop()
    #expect(count.withLock { $0 } == 1_000)
  }
}

private final class Box<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

/// Carries a loop-confined object into a closure that runs on the same loop.
private struct UnsafeBox<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
