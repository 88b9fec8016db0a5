/// The bytes that the rest of a secret is made of.
enum TokenAlphabet: Int, Sendable, CaseIterable {
  case alphanumeric, upperAndDigits, hexadecimal, base64, urlSafe, digits
  /// `urlSafe` again, for the second and third part of a JSON Web Token.
  case urlSafeSecond, urlSafeThird
  /// What stands after the scheme in `Authorization`: RFC 9110's token68.
  case credentials

  func contains(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "a")...UInt8(ascii: "f"): self != .upperAndDigits && self != .digits
    case UInt8(ascii: "g")...UInt8(ascii: "z"): self != .upperAndDigits && self != .digits && self != .hexadecimal
    case UInt8(ascii: "A")...UInt8(ascii: "F"): self != .digits
    case UInt8(ascii: "G")...UInt8(ascii: "Z"): self != .digits && self != .hexadecimal
    case UInt8(ascii: "_"), UInt8(ascii: "-"):
      self == .urlSafe || self == .urlSafeSecond || self == .urlSafeThird || self == .credentials
    case UInt8(ascii: "+"), UInt8(ascii: "/"): self == .base64 || self == .credentials
    case UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "="): self == .credentials
    default: false
    }
  }
}

/// How secrets of one kind look: a prefix, and so many bytes of an alphabet after it.
struct SecretPattern: Sendable {
  let kind: SecretKind
  let prefix: [UInt8]
  let alphabet: TokenAlphabet
  /// Of what follows the prefix. The run of the alphabet's bytes is taken whole, and must be of such a length.
  let lengths: ClosedRange<Int>
  /// Whether a digit must be among them, where words could have the prefix.
  let needsDigit: Bool

  private init(
    _ kind: SecretKind, _ prefix: StaticString, _ alphabet: TokenAlphabet, _ lengths: ClosedRange<Int>,
    needsDigit: Bool = false
  ) {
    self.kind = kind
    self.prefix = prefix.withUTF8Buffer(Array.init)
    self.alphabet = alphabet
    self.lengths = lengths
    self.needsDigit = needsDigit
  }

  /// More than any key has.
  private static let longest = 4_096

  /// Longer prefixes before those that they begin with.
  private static let all: [SecretPattern] = [
    SecretPattern(.anthropic, "sk-ant-", .urlSafe, 20...longest),
    SecretPattern(.openRouter, "sk-or-", .urlSafe, 20...longest),
    SecretPattern(.openAI, "sk-proj-", .urlSafe, 20...longest),
    SecretPattern(.openAI, "sk-svcacct-", .urlSafe, 20...longest),
    SecretPattern(.openAI, "sk-admin-", .urlSafe, 20...longest),
    SecretPattern(.openAI, "sk-None-", .urlSafe, 20...longest),
    SecretPattern(.openAI, "sess-", .alphanumeric, 40...40),
    SecretPattern(.deepSeek, "sk-", .hexadecimal, 32...32),
    SecretPattern(.apiKey, "sk-", .urlSafe, 20...longest, needsDigit: true),
    SecretPattern(.googleAPI, "AIza", .urlSafe, 35...35),
    SecretPattern(.googleToken, "ya29.", .urlSafe, 20...longest),
    SecretPattern(.googleToken, "GOCSPX-", .urlSafe, 28...28),
    SecretPattern(.groq, "gsk_", .alphanumeric, 20...longest),
    SecretPattern(.xAI, "xai-", .alphanumeric, 20...longest, needsDigit: true),
    SecretPattern(.huggingFace, "hf_", .alphanumeric, 30...longest),
    SecretPattern(.huggingFace, "api_org_", .alphanumeric, 30...longest),
    SecretPattern(.perplexity, "pplx-", .alphanumeric, 32...longest),
    SecretPattern(.replicate, "r8_", .alphanumeric, 37...37),
    SecretPattern(.nvidia, "nvapi-", .urlSafe, 40...longest),
    SecretPattern(.cerebras, "csk-", .alphanumeric, 40...longest),
    SecretPattern(.awsKeyID, "AKIA", .upperAndDigits, 16...16),
    SecretPattern(.awsKeyID, "ASIA", .upperAndDigits, 16...16),
    SecretPattern(.alibabaKeyID, "LTAI", .alphanumeric, 12...26),
    SecretPattern(.tencentKeyID, "AKID", .alphanumeric, 32...32),
    SecretPattern(.github, "ghp_", .alphanumeric, 36...longest),
    SecretPattern(.github, "gho_", .alphanumeric, 36...longest),
    SecretPattern(.github, "ghu_", .alphanumeric, 36...longest),
    SecretPattern(.github, "ghs_", .alphanumeric, 36...longest),
    SecretPattern(.github, "ghr_", .alphanumeric, 36...longest),
    SecretPattern(.github, "github_pat_", .urlSafe, 36...longest),
    SecretPattern(.gitlab, "glpat-", .urlSafe, 20...longest),
    SecretPattern(.gitlab, "gldt-", .urlSafe, 20...longest),
    SecretPattern(.gitlab, "glrt-", .urlSafe, 20...longest),
    SecretPattern(.gitlab, "glptt-", .urlSafe, 20...longest),
    SecretPattern(.gitlab, "gloas-", .urlSafe, 20...longest),
    SecretPattern(.gitlab, "glcbt-", .urlSafe, 20...longest),
    SecretPattern(.slack, "xoxa-", .urlSafe, 20...longest),
    SecretPattern(.slack, "xoxb-", .urlSafe, 20...longest),
    SecretPattern(.slack, "xoxe-", .urlSafe, 20...longest),
    SecretPattern(.slack, "xoxp-", .urlSafe, 20...longest),
    SecretPattern(.slack, "xoxr-", .urlSafe, 20...longest),
    SecretPattern(.slack, "xoxs-", .urlSafe, 20...longest),
    SecretPattern(.slack, "xapp-", .urlSafe, 20...longest),
    SecretPattern(.stripe, "sk_live_", .alphanumeric, 16...longest),
    SecretPattern(.stripe, "rk_live_", .alphanumeric, 16...longest),
    SecretPattern(.stripe, "sk_test_", .alphanumeric, 16...longest),
    SecretPattern(.relayrisk, "rr_", .urlSafe, 101...101),
  ]

  /// By their first byte.
  static let table: [[SecretPattern]] = {
    var table = [[SecretPattern]](repeating: [], count: 256)
    for pattern in all { table[Int(pattern.prefix[0])].append(pattern) }
    return table
  }()
}

/// A name after which a secret stands, as a member's name or before `:` or `=` in a text.
struct SecretLabel: Sendable {
  enum Value: Sendable {
    /// A scheme and credentials, or these alone.
    case authorization
    /// A token that a person would not write as a word.
    case token
    /// Of so many bytes.
    case base64(ClosedRange<Int>)
  }
  let kind: SecretKind
  let value: Value
  /// In lower case, without `_` and `-`.
  let name: [UInt8]

  private init(_ name: StaticString, _ kind: SecretKind, _ value: Value) {
    self.name = name.withUTF8Buffer(Array.init)
    self.kind = kind
    self.value = value
  }

  private static let all: [SecretLabel] = [
    SecretLabel("authorization", .authorization, .authorization),
    SecretLabel("proxyauthorization", .authorization, .authorization),
    SecretLabel("xapikey", .apiKey, .token),
    SecretLabel("xgoogapikey", .apiKey, .token),
    SecretLabel("apikey", .apiKey, .token),
    SecretLabel("awssecretaccesskey", .awsSecret, .base64(40...40)),
    SecretLabel("secretaccesskey", .awsSecret, .base64(40...40)),
    SecretLabel("accountkey", .azureStorage, .base64(80...88)),
    SecretLabel("accesskeysecret", .alibabaSecret, .base64(30...30)),
    SecretLabel("alibabacloudaccesskeysecret", .alibabaSecret, .base64(30...30)),
    SecretLabel("tencentcloudsecretkey", .tencentSecret, .base64(32...32)),
  ]
  static let longestName = all.map(\.name.count).max()!

  /// By their first byte, in lower case.
  private static let table: [[SecretLabel]] = {
    var table = [[SecretLabel]](repeating: [], count: 256)
    for label in all { table[Int(label.name[0])].append(label) }
    return table
  }()

  static func canBegin(with byte: UInt8) -> Bool { !table[Int(byte | 0x20)].isEmpty }

  static func named(_ name: [UInt8]) -> SecretLabel? {
    guard let first = name.first else { return nil }
    return table[Int(first)].first { $0.name == name }
  }
}
