/// A line of comma-separated values (RFC 4180) that may be opened in a spreadsheet.
struct CSVLine {
  private var bytes: [UInt8] = []
  private var isFirst = true

  /// With the line break.
  var terminated: [UInt8] { bytes + Array("\r\n".utf8) }

  /// A spreadsheet takes text that begins so for a formula, also in the forms that Chinese input methods write.
  private static let formulaStarts: Set<Unicode.Scalar> = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]

  /// Text that somebody chose: what would run as a formula gets a `'` in front, as OWASP advises.
  mutating func add(_ text: String) {
    separate()
    let isFormula = text.unicodeScalars.first.map(Self.formulaStarts.contains) ?? false
    let shown = isFormula ? "'" + text : text
    guard shown.utf8.contains(where: Self.isQuoted) else { return bytes += shown.utf8 }
    bytes.append(UInt8(ascii: "\""))
    for byte in shown.utf8 {
      if byte == UInt8(ascii: "\"") { bytes.append(byte) }
      bytes.append(byte)
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// The shortest digits that read back as the same double; nothing for nil.
  mutating func add(_ number: Double?) {
    separate()
    if let number { bytes += number.description.utf8 }
  }

  private static func isQuoted(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: ","), UInt8(ascii: "\""), UInt8(ascii: "\r"), UInt8(ascii: "\n"): true
    default: false
    }
  }

  private mutating func separate() {
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    isFirst = false
  }
}
