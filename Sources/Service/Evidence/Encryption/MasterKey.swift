import Crypto

/// What the keys of evidence are wrapped with: 256 bits that are never in the database.
public struct MasterKey: Sendable {
  private let key: SymmetricKey
  /// Tells keys apart and nothing about them.
  let id: [UInt8]

  /// `id` in hexadecimal, as the database's table and the log have it.
  public var name: String { hexadecimal(id) }

  public static let bytesCount = 32
  private static let idBytes = 8

  /// - Parameter base64: of 32 bytes, with white space around it or without.
  /// - Returns: nil for anything else.
  public init?(base64 text: some StringProtocol) {
    guard let bytes = Base64.decode(text.utf8), bytes.count == Self.bytesCount else { return nil }
    key = SymmetricKey(data: bytes)
    let code = HMAC<SHA256>.authenticationCode(for: Array("relayrisk id of a master key".utf8), using: key)
    id = Array(Array(code).prefix(Self.idBytes))
  }

  /// - Parameter text: keys with white space or commas between them, the one to come behind the one in force.
  /// - Returns: nil when one is none, or there is none.
  public static func list(_ text: String) -> [MasterKey]? {
    let words = text.split { $0.isWhitespace || $0 == "," }
    let keys = words.compactMap { MasterKey(base64: $0) }
    return keys.isEmpty || keys.count < words.count ? nil : keys
  }

  /// A fresh key, as a file or the environment has it.
  public static func generate() -> String {
    Base64.encode(SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) })
  }

  /// - Parameter day: that the key is for, which it is bound to.
  func wrap(_ dataKey: SymmetricKey, day: Int) throws -> [UInt8] {
    let bytes = dataKey.withUnsafeBytes { Array($0) }
    // A nonce of the default size always has the combined form.
    return Array(try AES.GCM.seal(bytes, using: key, authenticating: Self.context(day)).combined!)
  }

  /// - Throws: when it was not this key, or not this day.
  func unwrap(_ wrapped: [UInt8], day: Int) throws -> SymmetricKey {
    SymmetricKey(
      data: try AES.GCM.open(AES.GCM.SealedBox(combined: wrapped), using: key, authenticating: Self.context(day)))
  }

  private static func context(_ day: Int) -> [UInt8] { Array("relayrisk key of evidence, day \(day)".utf8) }
}

/// RFC 4648, section 4.
enum Base64 {
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits = group.reduce(0) { $0 << 8 | UInt32($1) }
      bits <<= 8 * UInt32(3 - group.count)
      for position in 0..<4 {
        text.append(position <= group.count ? digits[Int(bits >> (18 - 6 * UInt32(position)) & 63)] : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// White space at the ends is left out; padding may be missing.
  static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    var trimmed = Array(text)[...]
    while let first = trimmed.first, isSpace(first) { trimmed.removeFirst() }
    while let last = trimmed.last, isSpace(last) { trimmed.removeLast() }
    while trimmed.last == UInt8(ascii: "=") { trimmed.removeLast() }
    var bytes: [UInt8] = []
    var (bits, count): (UInt32, UInt32) = (0, 0)
    for byte in trimmed {
      guard let digit = digits.firstIndex(of: byte) else { return nil }
      bits = bits << 6 | UInt32(digit)
      count += 6
      if count >= 8 {
        count -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> count))
        bits &= 1 << count - 1
      }
    }
    return bytes
  }
}
