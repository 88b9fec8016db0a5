/// Metrics in Prometheus' text format, version 0.0.4.
struct PrometheusText {
  enum Kind: String { case counter, gauge, histogram }

  /// The values of labels are written as they are: slugs, patterns of routes and names of ours have nothing to escape.
  typealias Labels = KeyValuePairs<String, String>

  private(set) var bytes: [UInt8] = []
  private var name = ""

  init() { bytes.reserveCapacity(65_536) }

  /// Begins a metric; its samples follow.
  mutating func metric(_ name: String, _ kind: Kind, _ help: String) {
    self.name = name
    bytes += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n".utf8
  }

  mutating func sample(_ value: Int, _ labels: Labels = [:], suffix: String = "", le: String? = nil) {
    add(labels, suffix, le, "\(value)")
  }

  mutating func sample(_ value: Double, _ labels: Labels = [:], suffix: String = "") {
    // Swift's own name of it is "inf".
    add(labels, suffix, nil, value == .infinity ? "+Inf" : "\(value)")
  }

  /// A metric of one sample.
  mutating func gauge(_ name: String, _ help: String, _ value: Double) {
    metric(name, .gauge, help)
    sample(value)
  }

  mutating func counter(_ name: String, _ help: String, _ value: Int) {
    metric(name, .counter, help)
    sample(value)
  }

  private mutating func add(_ labels: Labels, _ suffix: String, _ le: String?, _ value: String) {
    bytes += name.utf8
    bytes += suffix.utf8
    var separator = UInt8(ascii: "{")
    for (label, text) in labels { add(label, text, &separator) }
    if let le { add("le", le, &separator) }
    if separator == UInt8(ascii: ",") { bytes.append(UInt8(ascii: "}")) }
    bytes.append(UInt8(ascii: " "))
    bytes += value.utf8
    bytes.append(UInt8(ascii: "\n"))
  }

  private mutating func add(_ label: String, _ text: String, _ separator: inout UInt8) {
    bytes.append(separator)
    bytes += label.utf8
    bytes += "=\"".utf8
    bytes += text.utf8
    bytes.append(UInt8(ascii: "\""))
    separator = UInt8(ascii: ",")
  }
}

/// How many values fell under each of some bounds.
struct Histogram: Sendable {
  private let bounds: [Double]
  /// Not cumulated; the last is of what lies above all bounds.
  private var counts: [Int]
  private var sum = 0.0

  /// - Parameter bounds: ascending.
  init(bounds: [Double]) {
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count + 1)
  }

  mutating func add(_ value: Double) {
    var place = 0
    // Most values are small, so that this is quicker than halving.
    while place < bounds.count, value > bounds[place] { place += 1 }
    counts[place] += 1
    sum += value
  }

  /// - Parameter other: of the same bounds.
  mutating func add(_ other: Histogram) {
    for place in counts.indices { counts[place] += other.counts[place] }
    sum += other.sum
  }

  func write(to text: inout PrometheusText, _ labels: PrometheusText.Labels = [:]) {
    var cumulated = 0
    for (bound, count) in zip(bounds, counts) {
      cumulated += count
      text.sample(cumulated, labels, suffix: "_bucket", le: "\(bound)")
    }
    let all = cumulated + counts[bounds.count]
    text.sample(all, labels, suffix: "_bucket", le: "+Inf")
    text.sample(sum, labels, suffix: "_sum")
    text.sample(all, labels, suffix: "_count")
  }
}
