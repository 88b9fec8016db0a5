/// Slugs in the order of their bytes. Kept in runs, so that adding one among 100,000 moves some hundred and not all.
struct OrderedSlugs: Sendable {
  private static let runCountMax = 512

  /// None is empty; each is sorted, and so are they all in a row.
  private var runs: [[String]] = []

  mutating func insert(_ slug: String) {
    guard !runs.isEmpty else {
      runs = [[slug]]
      return
    }
    // The last run that begins no later; what goes before all begins the first one anew.
    let run = max(0, Self.firstIndex(in: runs) { $0[0] > slug } - 1)
    let place = Self.firstIndex(in: runs[run]) { $0 >= slug }
    if place < runs[run].count, runs[run][place] == slug { return }
    runs[run].insert(slug, at: place)
    if runs[run].count > Self.runCountMax {
      let half = Self.runCountMax / 2
      runs.insert(Array(runs[run][half...]), at: run + 1)
      runs[run].removeSubrange(half...)
    }
  }

  mutating func remove(_ slug: String) {
    let run = Self.firstIndex(in: runs) { $0[0] > slug } - 1
    guard run >= 0 else { return }
    let place = Self.firstIndex(in: runs[run]) { $0 >= slug }
    guard place < runs[run].count, runs[run][place] == slug else { return }
    runs[run].remove(at: place)
    if runs[run].isEmpty { runs.remove(at: run) }
  }

  /// Those that come after `slug`, from the first one without it.
  func slugs(after slug: String?, countMax: Int) -> [String] {
    var found: [String] = []
    var run = slug.map { slug in max(0, Self.firstIndex(in: runs) { $0[0] > slug } - 1) } ?? 0
    while run < runs.count, found.count < countMax {
      let start = slug.map { slug in Self.firstIndex(in: runs[run]) { $0 > slug } } ?? 0
      found += runs[run][start...].prefix(countMax - found.count)
      run += 1
    }
    return found
  }

  /// The first index whose element is `past`; all elements after it are as well.
  private static func firstIndex<Element>(in elements: [Element], _ past: (Element) -> Bool) -> Int {
    var (low, high) = (0, elements.count)
    while low < high {
      let middle = (low + high) / 2
      if past(elements[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
