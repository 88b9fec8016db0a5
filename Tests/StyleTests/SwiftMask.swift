/// Blanks comments and the contents of string literals, byte for byte, so that lines and columns stay. What stands in
/// an interpolation is code and stays. Regular expression literals are not known; the project writes none.
struct SwiftMask {
  private enum Context {
    /// Inside an interpolation the parenthesis that ends it is the one that was not opened in it.
    case code(isInterpolation: Bool, openParentheses: Int)
    case string(hashes: Int, isMultiline: Bool)
  }

  private let bytes: [UInt8]
  private var blanked: [UInt8]
  private var position = 0
  private var contexts: [Context] = [.code(isInterpolation: false, openParentheses: 0)]

  static func blanked(_ text: String) -> String {
    var mask = SwiftMask(bytes: Array(text.utf8))
    mask.run()
    return String(decoding: mask.blanked, as: UTF8.self)
  }

  private init(bytes: [UInt8]) {
    self.bytes = bytes
    blanked = bytes
  }

  private mutating func run() {
    while position < bytes.count {
      switch contexts[contexts.count - 1] {
      case .code(let isInterpolation, let open): readCode(isInterpolation: isInterpolation, open: open)
      case .string(let hashes, let isMultiline): readString(hashes: hashes, isMultiline: isMultiline)
      }
    }
  }

  private mutating func readCode(isInterpolation: Bool, open: Int) {
    if starts(with: "//") { return blankLine() }
    if starts(with: "/*") { return blankComment() }
    if let (hashes, isMultiline, length) = stringStart() {
      position += length
      return contexts.append(.string(hashes: hashes, isMultiline: isMultiline))
    }
    if isInterpolation, bytes[position] == UInt8(ascii: "(") {
      contexts[contexts.count - 1] = .code(isInterpolation: true, openParentheses: open + 1)
    } else if isInterpolation, bytes[position] == UInt8(ascii: ")") {
      contexts.removeLast()
      if open > 0 { contexts.append(.code(isInterpolation: true, openParentheses: open - 1)) }
    }
    position += 1
  }

  private mutating func readString(hashes: Int, isMultiline: Bool) {
    let marks = String(repeating: "#", count: hashes)
    let end = (isMultiline ? "\"\"\"" : "\"") + marks
    if starts(with: end) {
      position += end.utf8.count
      contexts.removeLast()
    } else if starts(with: "\\\(marks)(") {
      position += hashes + 2
      contexts.append(.code(isInterpolation: true, openParentheses: 0))
    } else if starts(with: "\\\(marks)") {
      for _ in 0..<hashes + 2 { blank() }
    } else if !isMultiline, bytes[position] == UInt8(ascii: "\n") {
      // No literal goes on here: the mask misread something, and starts anew with the line.
      contexts.removeLast()
    } else {
      blank()
    }
  }

  /// Hashes, the kind of quotes, and how many bytes both take.
  private func stringStart() -> (hashes: Int, isMultiline: Bool, length: Int)? {
    var hashes = 0
    while position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "#") { hashes += 1 }
    let rest = bytes[(position + hashes)...]
    guard rest.first == UInt8(ascii: "\"") else { return nil }
    let isMultiline = rest.starts(with: "\"\"\"".utf8)
    return (hashes, isMultiline, hashes + (isMultiline ? 3 : 1))
  }

  private func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

  private mutating func blankLine() {
    while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { blank() }
  }

  /// Comments of this kind nest.
  private mutating func blankComment() {
    var depth = 0
    repeat {
      if starts(with: "/*") { depth += 1 } else if starts(with: "*/") { depth -= 1 } else { blank(); continue }
      blank()
      blank()
    } while depth > 0 && position < bytes.count
  }

  private mutating func blank() {
    guard position < bytes.count else { return }
    if bytes[position] != UInt8(ascii: "\n") { blanked[position] = UInt8(ascii: " ") }
    position += 1
  }
}
