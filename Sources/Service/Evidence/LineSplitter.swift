/// Takes lines out of bytes that come piece by piece; the rest of a piece waits for the next. What is held is at most
/// one line and a piece.
struct LineSplitter {
  enum Line {
    /// Without the line feed; it holds more than white space.
    case bytes([UInt8])
    /// More bytes than a line may have; they are gone.
    case tooLong
  }

  private let bytesMax: Int
  private var rest: [UInt8] = []
  private var isSkipping = false

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  /// Hands over the lines that are complete.
  mutating func add(_ piece: [UInt8], _ body: (Line) throws -> Void) rethrows {
    var start = 0
    while let end = piece[start...].firstIndex(of: UInt8(ascii: "\n")) {
      try take(piece[start..<end], body)
      start = end + 1
    }
    append(piece[start...])
  }

  /// Hands over what stands behind the last line feed, if anything does.
  mutating func finish(_ body: (Line) throws -> Void) rethrows { try take([], body) }

  private mutating func append(_ bytes: ArraySlice<UInt8>) {
    if isSkipping { return }
    if rest.count + bytes.count > bytesMax {
      rest = []
      isSkipping = true
    } else {
      rest += bytes
    }
  }

  private mutating func take(_ bytes: ArraySlice<UInt8>, _ body: (Line) throws -> Void) rethrows {
    append(bytes)
    let line = rest
    let isTooLong = isSkipping
    rest.removeAll(keepingCapacity: true)
    isSkipping = false
    if isTooLong { return try body(.tooLong) }
    if !line.allSatisfy(Self.isBlank) { try body(.bytes(line)) }
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
}
