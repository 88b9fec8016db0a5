import JSON

/// A log entry as one line.
public enum LogLine {
  public static func json(time: String, level: String, message: String, fields: [(String, String)]) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.member("time", time)
      json.member("level", level)
      json.member("message", message)
      for (name, value) in fields {
        json.name(name)
        json.value(value)
      }
    }
    return json.bytes + [UInt8(ascii: "\n")]
  }

  /// Control characters are escaped: what a client sent must not forge a line or move a terminal's cursor.
  public static func text(time: String, level: String, message: String, fields: [(String, String)]) -> [UInt8] {
    let pairs = fields.map { " \($0)=\($1)" }.joined()
    var line = ""
    for scalar in "\(time) \(level) \(message)\(pairs)".unicodeScalars {
      if scalar.value < 0x20 || 0x7F..<0xA0 ~= scalar.value {
        line += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        line.unicodeScalars.append(scalar)
      }
    }
    return Array((line + "\n").utf8)
  }
}
