/// Secrets that are known by what stands before them.
extension SecretScanner {
  /// What follows `Bearer`, when it is not a word.
  mutating func bearer(at index: Int) -> FoundSecret? {
    guard hasPrefixInAnyCase("bearer ", at: index) else { return nil }
    let start = index + 7
    return token(at: start) ?? credentials(at: start, .bearerToken, bytesMin: 16)
  }

  /// What stands behind a label and `:` or `=`, with quotes and blanks between or without.
  mutating func labelled(at index: Int) -> FoundSecret? {
    guard SecretLabel.canBegin(with: bytes[index]) else { return nil }
    var end = index
    let limit = min(bytes.count, index + SecretLabel.longestName + Self.separatorsMax)
    while end < limit, isNamePart(bytes[end]) { end += 1 }
    var start = skipBlanksAndQuotes(from: end)
    guard start < bytes.count, bytes[start] == UInt8(ascii: ":") || bytes[start] == UInt8(ascii: "="),
      let label = SecretLabel(named: bytes[index..<end])
    else { return nil }
    start = skipBlanksAndQuotes(from: start + 1)
    return secret(at: start, under: label)
  }
  /// `_` and `-` within a label, or blanks and quotes around it.
  private static let separatorsMax = 8

  private func isNamePart(_ byte: UInt8) -> Bool {
    UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
  }

  private func skipBlanksAndQuotes(from index: Int) -> Int {
    let limit = min(bytes.count, index + Self.separatorsMax)
    return (index..<max(index, limit)).first { ![0x20, 0x22, 0x27, 0x5C].contains(bytes[$0]) } ?? limit
  }

  /// The value of a label. When its form gives it away it is called by that, so that it has the same fingerprint
  /// wherever it stands.
  mutating func secret(at index: Int, under label: SecretLabel) -> FoundSecret? {
    switch label.value {
    case .authorization: return authorization(at: index)
    case .token: return token(at: index) ?? credentials(at: index, label.kind, bytesMin: 16)
    case .base64(let lengths):
      var end = endOfRun(.base64, from: index)
      guard mixes(index..<end) else { return nil }
      while end < bytes.count, bytes[end] == UInt8(ascii: "=") { end += 1 }
      return lengths.contains(end - index) ? FoundSecret(label.kind, index..<end) : nil
    }
  }

  private mutating func authorization(at index: Int) -> FoundSecret? {
    if let secret = bearer(at: index) { return secret }
    if hasPrefixInAnyCase("basic ", at: index) {
      let end = endOfRun(.credentials, from: index + 6)
      return end - index - 6 >= 8 && mixesCase(index + 7..<end) ? FoundSecret(.authorization, index + 6..<end) : nil
    }
    for scheme in ["token ", "apikey ", "api-key ", "negotiate "] as [StaticString]
    where hasPrefixInAnyCase(scheme, at: index) {
      let start = index + scheme.utf8CodeUnitCount
      return token(at: start) ?? credentials(at: start, .authorization, bytesMin: 16)
    }
    return token(at: index) ?? credentials(at: index, .authorization, bytesMin: 16)
  }

  private mutating func credentials(at index: Int, _ kind: SecretKind, bytesMin: Int) -> FoundSecret? {
    guard index < bytes.count else { return nil }
    let end = endOfRun(.credentials, from: index)
    return end - index >= bytesMin && looksRandom(index..<end) ? FoundSecret(kind, index..<end) : nil
  }

  private func hasPrefixInAnyCase(_ prefix: StaticString, at index: Int) -> Bool {
    guard bytes.count - index >= prefix.utf8CodeUnitCount else { return false }
    return prefix.withUTF8Buffer { prefix in
      prefix.indices.allSatisfy { bytes[index + $0] | 0x20 == prefix[$0] | 0x20 }
    }
  }

  // MARK: - Words and random characters

  /// What is asked of the characters of a token is asked of so many.
  private static let lookedAtMax = 64

  /// Whether ten letters and digits in a row have a digit among them, which words do not.
  func looksRandom(_ range: Range<Int>) -> Bool {
    var (length, hasDigit) = (0, false)
    for byte in bytes[range].prefix(Self.lookedAtMax) {
      if TokenAlphabet.alphanumeric.contains(byte) {
        length += 1
        if TokenAlphabet.digits.contains(byte) { hasDigit = true }
        if length >= 10, hasDigit { return true }
      } else {
        (length, hasDigit) = (0, false)
      }
    }
    return false
  }

  /// Whether there are capitals, small letters and digits.
  func mixes(_ range: Range<Int>) -> Bool {
    var kinds: Set<Int> = []
    for byte in bytes[range].prefix(Self.lookedAtMax) where TokenAlphabet.alphanumeric.contains(byte) {
      kinds.insert(TokenAlphabet.digits.contains(byte) ? 0 : byte & 0x20 == 0 ? 1 : 2)
    }
    return kinds.count == 3
  }

  private func mixesCase(_ range: Range<Int>) -> Bool {
    bytes[range].prefix(Self.lookedAtMax).contains { byte in
      TokenAlphabet.digits.contains(byte) || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
    }
  }
}

extension SecretLabel {
  /// - Parameter name: in either case, with `_` and `-` or without.
  init?(named name: some Collection<UInt8>) {
    guard name.count <= SecretLabel.longestName + 8 else { return nil }
    let letters = name.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }.map { $0 | 0x20 }
    guard let label = SecretLabel.named(letters) else { return nil }
    self = label
  }
}
