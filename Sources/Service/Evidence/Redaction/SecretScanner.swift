/// Finds secrets in a text, in one pass whose work is proportional to the text's length whatever it says.
///
/// A pattern is tried only where a word begins. What a pattern reads ahead is either of a bounded length or the end of
/// a run of bytes, which is remembered: all words within the run end where it does.
struct SecretScanner {
  let bytes: UnsafeBufferPointer<UInt8>
  /// Whose secret keys are looked for without a label, because the keys' ids are in the same document.
  let companions: Companions
  private var runs: [Range<Int>]

  /// Secret keys that look like any token, by the kind of id that they stand beside.
  struct Companions: OptionSet, Sendable {
    let rawValue: Int
    static let aws = Companions(rawValue: 1)
    static let alibaba = Companions(rawValue: 2)
    static let tencent = Companions(rawValue: 4)

    init(rawValue: Int) { self.rawValue = rawValue }

    init(of kind: SecretKind) {
      switch kind {
      case .awsKeyID: self = .aws
      case .alibabaKeyID: self = .alibaba
      case .tencentKeyID: self = .tencent
      default: self = []
      }
    }
  }

  init(_ bytes: UnsafeBufferPointer<UInt8>, companions: Companions) {
    self.bytes = bytes
    self.companions = companions
    runs = Array(repeating: 0..<0, count: TokenAlphabet.allCases.count)
  }

  /// The shortest secret, `a@b.cd`, has as many bytes.
  static let bytesMin = 6

  /// - Parameter label: the name of the member that the text is the value of, when secrets stand under it.
  /// - Returns: what was found, in order and apart.
  mutating func secrets(under label: SecretLabel?) -> [FoundSecret] {
    var found: [FoundSecret] = []
    var index = 0
    if let label, let secret = secret(at: 0, under: label) {
      found.append(secret)
      index = secret.range.upperBound
    }
    while index < bytes.count {
      if let secret = secret(at: index, after: found.last?.range.upperBound ?? 0) {
        found.append(secret)
        index = secret.range.upperBound
      } else {
        index += 1
      }
    }
    return found
  }

  private mutating func secret(at index: Int, after end: Int) -> FoundSecret? {
    let byte = bytes[index]
    if byte == UInt8(ascii: "@") { return email(around: index, after: end) }
    if byte == UInt8(ascii: "-") { return privateKey(at: index) }
    guard TokenAlphabet.base64.contains(byte), beginsWord(at: index) else { return nil }
    if let secret = token(at: index) ?? number(at: index) { return secret }
    return bearer(at: index) ?? labelled(at: index)
  }

  /// Whether what begins here is not the rest of a longer word. What was escaped for JSON or a URL ends one.
  func beginsWord(at index: Int) -> Bool {
    guard index > 0, TokenAlphabet.alphanumeric.contains(bytes[index - 1]) else { return true }
    guard index > 1 else { return false }
    if bytes[index - 2] == UInt8(ascii: "\\") { return true }
    return index > 2 && bytes[index - 3] == UInt8(ascii: "%") && TokenAlphabet.hexadecimal.contains(bytes[index - 1])
      && TokenAlphabet.hexadecimal.contains(bytes[index - 2])
  }

  private func endsWord(at end: Int) -> Bool {
    end == bytes.count || !TokenAlphabet.alphanumeric.contains(bytes[end])
  }

  // MARK: - Tokens

  /// A secret that its own form gives away.
  mutating func token(at index: Int) -> FoundSecret? {
    guard index < bytes.count else { return nil }
    for pattern in SecretPattern.table[Int(bytes[index])] {
      guard hasPrefix(pattern.prefix, at: index) else { continue }
      let start = index + pattern.prefix.count
      let end = endOfRun(pattern.alphabet, from: start)
      guard pattern.lengths.contains(end - start), endsWord(at: end),
        !pattern.needsDigit || looksRandom(start..<end)
      else { continue }
      if pattern.kind == .apiKey, contains("T3BlbkFJ", in: start..<min(end, start + 256)) {
        return FoundSecret(.openAI, index..<end)
      }
      return FoundSecret(pattern.kind, index..<end)
    }
    return jsonWebToken(at: index) ?? companion(at: index)
  }

  /// Header, payload and signature; the last may be empty.
  private mutating func jsonWebToken(at index: Int) -> FoundSecret? {
    guard hasPrefix("eyJ", at: index) else { return nil }
    let header = endOfRun(.urlSafe, from: index)
    guard header - index >= 12, header < bytes.count, bytes[header] == UInt8(ascii: ".") else { return nil }
    let payload = endOfRun(.urlSafeSecond, from: header + 1)
    guard payload - header > 8, payload < bytes.count, bytes[payload] == UInt8(ascii: ".") else { return nil }
    return FoundSecret(.jsonWebToken, index..<endOfRun(.urlSafeThird, from: payload + 1))
  }

  /// The secret key of an id that is in the same document, and an Azure account key, which marks itself.
  private mutating func companion(at index: Int) -> FoundSecret? {
    guard TokenAlphabet.base64.contains(bytes[index]) else { return nil }
    let end = endOfRun(.base64, from: index)
    let kind: SecretKind
    switch end - index {
    case 40 where companions.contains(.aws): kind = .awsSecret
    case 30 where companions.contains(.alibaba): kind = .alibabaSecret
    case 32 where companions.contains(.tencent): kind = .tencentSecret
    case 86 where hasPrefix("+ASt", at: index + 76) && hasPrefix("==", at: end):
      return FoundSecret(.azureStorage, index..<end + 2)
    default: return nil
    }
    // What is longer is something else.
    guard end == bytes.count || bytes[end] != UInt8(ascii: "="), mixes(index..<end) else { return nil }
    if index > 0, bytes[index - 1] == UInt8(ascii: "+") || bytes[index - 1] == UInt8(ascii: "/") { return nil }
    return FoundSecret(kind, index..<end)
  }

  private func privateKey(at index: Int) -> FoundSecret? {
    guard hasPrefix("-----BEGIN ", at: index) else { return nil }
    // The longest name in use is that of "ENCRYPTED PRIVATE KEY".
    guard let name = position(of: "PRIVATE KEY", in: index + 11..<min(bytes.count, index + 11 + 32)) else { return nil }
    guard !contains("-----", in: index + 11..<name) else { return nil }
    // One that was cut off is as secret.
    guard let end = position(of: "-----END ", in: name..<bytes.count),
      let close = position(of: "-----", in: end + 9..<min(bytes.count, end + 9 + 48))
    else { return FoundSecret(.privateKey, index..<bytes.count) }
    return FoundSecret(.privateKey, index..<close + 5)
  }

  // MARK: - Looking at bytes

  /// Where the bytes of the alphabet end that begin at `index`.
  mutating func endOfRun(_ alphabet: TokenAlphabet, from index: Int) -> Int {
    let known = runs[alphabet.rawValue]
    if known.lowerBound <= index, index < known.upperBound { return known.upperBound }
    var end = index
    while end < bytes.count, alphabet.contains(bytes[end]) { end += 1 }
    runs[alphabet.rawValue] = index..<end
    return end
  }

  func hasPrefix(_ prefix: [UInt8], at index: Int) -> Bool {
    guard bytes.count - index >= prefix.count else { return false }
    for offset in prefix.indices where bytes[index + offset] != prefix[offset] { return false }
    return true
  }

  func hasPrefix(_ prefix: StaticString, at index: Int) -> Bool {
    guard index >= 0, bytes.count - index >= prefix.utf8CodeUnitCount else { return false }
    return prefix.withUTF8Buffer { prefix in
      for offset in prefix.indices where bytes[index + offset] != prefix[offset] { return false }
      return true
    }
  }

  private func position(of text: StaticString, in range: Range<Int>) -> Int? {
    range.first { hasPrefix(text, at: $0) && $0 + text.utf8CodeUnitCount <= range.upperBound }
  }

  private func contains(_ text: StaticString, in range: Range<Int>) -> Bool { position(of: text, in: range) != nil }
}
