import AllocationCount

/// One thing to measure, with what was measured of it.
final class Work {
  private let repetitions: Int
  private let body: () -> Double
  /// Of one repetition, in each round.
  private var seconds: [Double] = []
  /// Of one repetition in the last round. Whole in the steady state.
  private(set) var allocations = 0
  /// Keeps the optimiser from dropping work whose result nobody reads.
  private var sum = 0.0

  /// - Parameter body: returns a number that depends on everything it did.
  init(repetitions: Int, _ body: @escaping () -> Double) {
    self.repetitions = repetitions
    self.body = body
  }

  func warmUp() { for _ in 0..<max(1, repetitions / 10) { sum += body() } }

  func measure() {
    let allocationsBefore = allocation_count()
    let start = ContinuousClock.now
    for _ in 0..<repetitions { sum += body() }
    let taken = ContinuousClock.now - start
    allocations = Int(allocation_count() - allocationsBefore) / repetitions
    seconds.append(taken / .seconds(1) / Double(repetitions))
    precondition(sum.isFinite)
  }

  var median: Double { seconds.median }

  /// The median over the rounds.
  func ratio(to other: Work) -> Double { zip(seconds, other.seconds).map { $0 / $1 }.median }
}

extension [Double] {
  fileprivate var median: Double {
    let sorted = sorted()
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
  }
}

extension Double {
  func rounded(places: Int) -> Double {
    let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
    return (self * scale).rounded() / scale
  }
}
