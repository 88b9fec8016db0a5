/// What tells who somebody is.
extension SecretScanner {
  // MARK: - Numbers

  /// A mobile or identity number of mainland China, with nothing before or after it that it could be a part of.
  mutating func number(at index: Int) -> FoundSecret? {
    let hasPlus = bytes[index] == UInt8(ascii: "+")
    var start = hasPlus ? index + 1 : index
    guard start < bytes.count, TokenAlphabet.digits.contains(bytes[start]) else { return nil }
    // The digits after a decimal point.
    if index > 1, bytes[index - 1] == UInt8(ascii: "."), TokenAlphabet.digits.contains(bytes[index - 2]) { return nil }
    var end = endOfRun(.digits, from: start)
    if hasPlus {
      guard hasPrefix("86", at: start) else { return nil }
      if end == start + 2, end < bytes.count, bytes[end] == UInt8(ascii: " ") || bytes[end] == UInt8(ascii: "-") {
        start = end + 1
        end = endOfRun(.digits, from: start)
      } else {
        start += 2
      }
    } else if end - start == 13, hasPrefix("86", at: start) {
      start += 2
    } else if end - start == 15, hasPrefix("0086", at: start) {
      start += 4
    }
    if end - start == 11, isMobile(start), isBounded(end) {
      return FoundSecret(.chineseMobile, index..<end, identifying: start..<end)
    }
    if end - start == 17, end < bytes.count, bytes[end] | 0x20 == UInt8(ascii: "x") { end += 1 }
    guard !hasPlus, end - start == 18, isBounded(end), isIdentity(start) else { return nil }
    return FoundSecret(.chineseID, start..<end)
  }

  private func isBounded(_ end: Int) -> Bool {
    guard end < bytes.count else { return true }
    if TokenAlphabet.alphanumeric.contains(bytes[end]) { return false }
    return bytes[end] != UInt8(ascii: ".") || end + 1 == bytes.count || !TokenAlphabet.digits.contains(bytes[end + 1])
  }

  private func isMobile(_ start: Int) -> Bool {
    bytes[start] == UInt8(ascii: "1") && UInt8(ascii: "3")...UInt8(ascii: "9") ~= bytes[start + 1]
  }

  /// GB 11643: six digits of a region, the day of birth, three digits, and a check digit (ISO 7064, MOD 11-2).
  private func isIdentity(_ start: Int) -> Bool {
    func number(_ offset: Int, _ count: Int) -> Int {
      (0..<count).reduce(0) { $0 * 10 + Int(bytes[start + offset + $1]) - 0x30 }
    }
    let (year, month, day) = (number(6, 4), number(10, 2), number(12, 2))
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard 11...83 ~= number(0, 2), 1900...2099 ~= year, 1...12 ~= month, 1...days[month - 1] ~= day else {
      return false
    }
    var sum = 0
    for offset in 0..<17 { sum = (sum + Int(bytes[start + offset]) - 0x30) * 2 % 11 }
    let check = (12 - sum) % 11
    let last = bytes[start + 17]
    return check == 10 ? last | 0x20 == UInt8(ascii: "x") : last == UInt8(ascii: "0") + UInt8(check)
  }

  // MARK: - E-mail

  /// RFC 5321: the two sides of an address.
  private static let localBytesMax = 64
  private static let domainBytesMax = 253

  /// The address that has its `@` at `index`.
  func email(around index: Int, after end: Int) -> FoundSecret? {
    var start = index
    while start > end, index - start < Self.localBytesMax, isLocalPart(bytes[start - 1]) { start -= 1 }
    while start < index, !TokenAlphabet.alphanumeric.contains(bytes[start]) { start += 1 }
    // `git@host:path` names a repository.
    guard start < index, !(index - start == 3 && hasPrefix("git", at: start)) else { return nil }
    guard let close = endOfDomain(from: index + 1) else { return nil }
    let domain = String(decoding: bytes[(index + 1)..<close], as: UTF8.self).lowercased()
    return Self.isOfAlgorithm(domain) ? nil : FoundSecret(.email, start..<close)
  }

  private func isLocalPart(_ byte: UInt8) -> Bool {
    TokenAlphabet.urlSafe.contains(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "+")
      || byte == UInt8(ascii: "%")
  }

  /// Behind a name with at least one point and letters after the last.
  private func endOfDomain(from start: Int) -> Int? {
    var end = start
    let limit = min(bytes.count, start + Self.domainBytesMax)
    while end < limit,
      TokenAlphabet.alphanumeric.contains(bytes[end]) || bytes[end] == UInt8(ascii: "-")
        || bytes[end] == UInt8(ascii: ".")
    { end += 1 }
    while end > start, !TokenAlphabet.alphanumeric.contains(bytes[end - 1]) { end -= 1 }
    let labels = bytes[start..<end].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard labels.count > 1, labels.allSatisfy({ !$0.isEmpty }), let last = labels.last, last.count > 1,
      last.allSatisfy({ UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 })
    else { return nil }
    return end
  }

  /// SSH names private algorithms like addresses, `chacha20-poly1305@openssh.com`; images of another density are
  /// called `icon@2x.png`.
  private static func isOfAlgorithm(_ domain: String) -> Bool {
    ["openssh.com", "libssh.org", "lysator.liu.se"].contains(domain)
      || ["1x.", "2x.", "3x."].contains { domain.hasPrefix($0) }
  }
}
