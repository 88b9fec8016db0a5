/// What a secret is. Its name stands in what replaces it, `[redacted:openai-key:…]`.
enum SecretKind: String, Sendable, CaseIterable {
  case openAI = "openai-key"
  case anthropic = "anthropic-key"
  case openRouter = "openrouter-key"
  case deepSeek = "deepseek-key"
  /// `sk-` and something else, as most other vendors and relays have it.
  case apiKey = "api-key"
  case googleAPI = "google-api-key"
  case googleToken = "google-token"
  case groq = "groq-key"
  case xAI = "xai-key"
  case huggingFace = "huggingface-token"
  case perplexity = "perplexity-key"
  case replicate = "replicate-token"
  case nvidia = "nvidia-key"
  case cerebras = "cerebras-key"
  case awsKeyID = "aws-access-key-id"
  case awsSecret = "aws-secret-key"
  case azureStorage = "azure-storage-key"
  case alibabaKeyID = "alibaba-access-key-id"
  case alibabaSecret = "alibaba-secret-key"
  case tencentKeyID = "tencent-secret-id"
  case tencentSecret = "tencent-secret-key"
  case privateKey = "private-key"
  case jsonWebToken = "jwt"
  case bearerToken = "bearer-token"
  case authorization = "authorization"
  case github = "github-token"
  case gitlab = "gitlab-token"
  case slack = "slack-token"
  case stripe = "stripe-key"
  case relayrisk = "relayrisk-key"
  case email = "email"
  case chineseID = "cn-id"
  case chineseMobile = "cn-mobile"
}

/// A secret within some bytes.
struct FoundSecret: Sendable {
  let kind: SecretKind
  let range: Range<Int>
  /// What its fingerprint is taken of: a number is the same with and without a country code.
  let identifying: Range<Int>

  init(_ kind: SecretKind, _ range: Range<Int>, identifying: Range<Int>? = nil) {
    (self.kind, self.range, self.identifying) = (kind, range, identifying ?? range)
  }
}
