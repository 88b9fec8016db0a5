/// A queue that takes from the front in constant time: an array whose dead front is cut off when it outgrows the rest.
struct Fifo<Element> {
  private var elements: [Element?] = []
  private var head = 0

  var isEmpty: Bool { head == elements.count }
  var count: Int { elements.count - head }

  var first: Element? {
    get { isEmpty ? nil : elements[head] }
    set { if !isEmpty { elements[head] = newValue } }
  }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func popFirst() -> Element? {
    guard !isEmpty else { return nil }
    let element = elements[head]
    // Lets go of what it refers to at once.
    elements[head] = nil
    head += 1
    if head == elements.count {
      elements.removeAll(keepingCapacity: true)
      head = 0
      // Rarely enough that moving the rest costs a constant for each element taken.
    } else if head > 64 && head > elements.count / 2 {
      elements.removeFirst(head)
      head = 0
    }
    return element
  }

  mutating func forEach(_ body: (inout Element) -> Void) {
    for index in head..<elements.count where elements[index] != nil { body(&elements[index]!) }
  }

  /// Takes out all that fit, wherever they stand.
  mutating func removeAll(where isGone: (Element) -> Bool) -> [Element] {
    let live = elements[head...].compactMap { $0 }
    let removed = live.filter(isGone)
    if !removed.isEmpty {
      elements = live.filter { !isGone($0) }
      head = 0
    }
    return removed
  }
}
