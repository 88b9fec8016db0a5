/// Takes results out of JSON that comes in pieces, holding one of them at a time: lines with an object each, an array,
/// `{"results": [...]}`, or one object over several lines; also one after the other.
///
/// It finds where a result begins and ends and leaves what is in it to a reader of JSON. A line that is no JSON is one
/// fault and the next line goes on; a fault between the elements of an array hides where the next one begins, so
/// nothing more is read.
struct ResultSplitter {
  enum Event {
    case result([UInt8])
    case fault(String)
  }

  private enum State {
    case betweenDocuments, beforeElement(isFirst: Bool), inValue, afterElement, beforeEnd, restOfLine, unreadable
  }

  private enum Container { case none, array, results }

  /// The contract's limit of one result.
  static let resultBytesMax = 128 * 1024
  /// Deeper than what any service reads.
  private static let depthMax = 64
  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private var state = State.betweenDocuments
  private var container = Container.none
  private var line = 1
  private var isAtLineStart = true
  private var bytesOfMark = 0
  /// On which the array began.
  private var arrayLine = 0

  // Of the value that is being read.
  private var value: [UInt8] = []
  private var valueLine = 1
  private var isTooLong = false
  /// `{` or `[` of everything that is open.
  private var open: [UInt8] = []
  private var isInString = false
  private var isEscaped = false
  private var lastByte: UInt8 = 0

  /// - Parameter emit: takes what was found, and the number of the line on which it begins, from 1.
  mutating func feed(_ bytes: UnsafeRawBufferPointer, _ emit: (Event, Int) throws -> Void) rethrows {
    for byte in bytes {
      try take(byte, emit)
      isAtLineStart = byte == UInt8(ascii: "\n")
      if isAtLineStart { line += 1 }
    }
  }

  /// Says what is missing at the end of the input.
  mutating func finish(_ emit: (Event, Int) throws -> Void) rethrows {
    switch state {
    case .betweenDocuments, .restOfLine, .unreadable: break
    case .inValue: try emit(.fault("not JSON: it is not closed"), valueLine)
    case .beforeElement, .afterElement, .beforeEnd: try emit(.fault("not JSON: the document is not closed"), line)
    }
  }

  private mutating func take(_ byte: UInt8, _ emit: (Event, Int) throws -> Void) rethrows {
    switch state {
    case .inValue: try takeOfValue(byte, emit)
    case .restOfLine: if byte == UInt8(ascii: "\n") { state = .betweenDocuments }
    case .unreadable: break
    default:
      if byte == 0x20 || (0x09...0x0D).contains(byte) { return }
      try takeBetween(byte, emit)
    }
  }

  private mutating func takeBetween(_ byte: UInt8, _ emit: (Event, Int) throws -> Void) rethrows {
    switch (state, byte) {
    case (.betweenDocuments, UInt8(ascii: "{")), (.beforeElement, UInt8(ascii: "{")): begin(byte)
    case (.betweenDocuments, UInt8(ascii: "[")):
      container = .array
      arrayLine = line
      state = .beforeElement(isFirst: true)
    case (.beforeElement(isFirst: true), UInt8(ascii: "]")), (.afterElement, UInt8(ascii: "]")):
      state = container == .results ? .beforeEnd : .betweenDocuments
      if container == .array { container = .none }
    case (.afterElement, UInt8(ascii: ",")): state = .beforeElement(isFirst: false)
    case (.beforeEnd, UInt8(ascii: "}")):
      container = .none
      state = .betweenDocuments
    case (.betweenDocuments, _) where line == 1 && bytesOfMark < 3 && byte == Self.byteOrderMark[bytesOfMark]:
      bytesOfMark += 1
    case (.beforeElement, _), (.betweenDocuments, _):
      valueLine = line
      // What begins like `[INFO] ...` is a line of something else.
      if case .beforeElement(isFirst: true) = state, container == .array, arrayLine == line { container = .none }
      try giveUp("not JSON: an object expected", at: byte, emit)
    case (.beforeEnd, _):
      valueLine = line
      try giveUp("not JSON: nothing may stand beside results", at: byte, emit)
    default:
      valueLine = line
      try giveUp("not JSON: a comma or the end of the array expected", at: byte, emit)
    }
  }

  // MARK: - Values

  private mutating func begin(_ brace: UInt8) {
    state = .inValue
    value.removeAll(keepingCapacity: true)
    valueLine = line
    isTooLong = false
    open.removeAll(keepingCapacity: true)
    isInString = false
    isEscaped = false
    open.append(brace)
    append(brace)
  }

  private mutating func append(_ byte: UInt8) {
    if value.count < Self.resultBytesMax { value.append(byte) } else { isTooLong = true }
    if byte > 0x20 { lastByte = byte }
  }

  private mutating func takeOfValue(_ byte: UInt8, _ emit: (Event, Int) throws -> Void) rethrows {
    if isInString {
      if byte == UInt8(ascii: "\n") { return try giveUp("not JSON: a text is not closed", at: byte, emit) }
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        isInString = false
      }
      return append(byte)
    }
    switch byte {
    case UInt8(ascii: "\""):
      isInString = true
      append(byte)
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      if byte == UInt8(ascii: "{"), isAtLineStart, container == .none, !mayBeginValue {
        // The line before was cut off, and this one begins another result.
        try emit(.fault("not JSON: it is not closed"), valueLine)
        return begin(byte)
      }
      if byte == UInt8(ascii: "["), container == .none, open.count == 1, isNameOfResults {
        container = .results
        state = .beforeElement(isFirst: true)
        return
      }
      guard open.count < Self.depthMax else { return try giveUp("nested too deeply", at: byte, emit) }
      open.append(byte)
      append(byte)
    case UInt8(ascii: "}"), UInt8(ascii: "]"):
      append(byte)
      // In ASCII the closing ones are two behind.
      guard open.removeLast() + 2 == byte else {
        return try giveUp("not JSON: closed by the wrong sign", at: byte, emit)
      }
      if open.isEmpty { try end(emit) }
    default: append(byte)
    }
  }

  private var mayBeginValue: Bool {
    lastByte == UInt8(ascii: ":") || lastByte == UInt8(ascii: "[")
      || (lastByte == UInt8(ascii: ",") && open.last == UInt8(ascii: "["))
  }

  private var isNameOfResults: Bool {
    value.count <= 4_096 && value.lazy.filter { $0 > 0x20 }.elementsEqual(#"{"results":"#.utf8)
  }

  private mutating func end(_ emit: (Event, Int) throws -> Void) rethrows {
    state = container == .none ? .betweenDocuments : .afterElement
    guard isTooLong else { return try emit(.result(value), valueLine) }
    try emit(.fault("longer than \(Self.resultBytesMax) bytes, the limit of one result"), valueLine)
  }

  private mutating func giveUp(
    _ detail: String, at byte: UInt8, _ emit: (Event, Int) throws -> Void
  ) rethrows {
    if container == .none {
      state = byte == UInt8(ascii: "\n") ? .betweenDocuments : .restOfLine
      try emit(.fault(detail), valueLine)
    } else {
      state = .unreadable
      try emit(.fault("\(detail); what follows was not read"), valueLine)
    }
  }
}
