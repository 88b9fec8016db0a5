import Testing

/// A seeded generator, so that a failing case can be run again. Sebastiano Vigna's public-domain algorithm.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }

  mutating func pick<Element>(_ elements: [Element]) -> Element { elements.randomElement(using: &self)! }
}

/// Runs a property on random cases and reports the first one that breaks it, with the seed that makes it again.
/// - Parameter property: what is wrong with the case, nil when nothing is.
func forAll(
  _ cases: Int = 1_000, seed: UInt64, sourceLocation: SourceLocation = #_sourceLocation,
  _ property: (inout SplitMix64) throws -> String?
) rethrows {
  for seed in seed..<seed + UInt64(cases) {
    var generator = SplitMix64(seed: seed)
    guard let fault = try property(&generator) else { continue }
    Issue.record("seed \(seed): \(fault)", sourceLocation: sourceLocation)
    return
  }
}

/// Equal to 1e-9; two infinities or NaN are not.
func near(_ left: Double, _ right: Double, within tolerance: Double = 1e-9) -> Bool { abs(left - right) <= tolerance }
