/// What each target of Sources may import. A row is a decision about the layers: ARCHITECTURE.md says why.
enum ImportRules {
  static let allowed: [String: Set<String>] = [
    "EventLoop": ["Glibc", "Synchronization"],
    "JSON": [],
    "RiskModel": ["Glibc", "JSON"],
    "HTTPServer": ["CGnuTLS", "CMicroHTTPD", "CZlib", "EventLoop", "Glibc", "JSON", "Logging", "Synchronization"],
    "HTTPClient": ["CCurl"],
    "SingleSignOn": ["EventLoop", "Glibc", "HTTPClient", "JSON", "JWTKit", "Logging", "Synchronization"],
    "Postgres": ["CLibPQ", "EventLoop", "Glibc", "Logging", "Synchronization"],
    "Service": [
      "CIDN2", "CPublicSuffix", "CShippedFiles", "Crypto", "EventLoop", "Glibc", "HTTPServer", "JSON", "Logging",
      "Postgres", "RiskModel", "SingleSignOn", "Synchronization",
    ],
    "Command": [
      "ArgumentParser", "EventLoop", "Glibc", "HTTPClient", "HTTPServer", "JSON", "Logging", "Postgres", "Service",
      "ServiceLifecycle", "SingleSignOn", "Synchronization", "UnixSignals",
    ],
  ]

  /// A C library has one owner, who alone knows its rules of threads and memory.
  static let ownerOfC = [
    "CMicroHTTPD": "HTTPServer", "CGnuTLS": "HTTPServer", "CZlib": "HTTPServer", "CLibPQ": "Postgres",
    "CIDN2": "Service", "CPublicSuffix": "Service", "CShippedFiles": "Service", "CCurl": "HTTPClient",
  ]

  private static let modifiers: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]

  static func violations(in files: [SourceFile]) -> [Violation] {
    files.filter(\.isSwift).flatMap { file in
      file.numberedCode.compactMap { number, code in
        guard let module = module(importedBy: code), let advice = advice(about: module, in: file) else { return nil }
        return Violation(path: file.path, line: number, advice: advice)
      }
    }
  }

  /// The module of `internal import struct Glibc.timespec`: Glibc. Nil for a line that imports nothing.
  static func module(importedBy line: Substring) -> String? {
    var words = line.split(whereSeparator: \.isWhitespace)[...]
    while let first = words.first, first.hasPrefix("@") || modifiers.contains(first) { words = words.dropFirst() }
    guard words.first == "import", words.count > 1 else { return nil }
    return words.last!.split(separator: ".").first.map(String.init)
  }

  private static func advice(about module: String, in file: SourceFile) -> String? {
    let isTest = file.path.hasPrefix("Tests/")
    if let owner = ownerOfC[module], isTest || file.target != owner {
      return "\(module) belongs to Sources/\(owner): go through what \(owner) offers"
    }
    if isTest { return nil }
    if module.hasPrefix("Foundation") {
      return "Foundation stays out of Sources: the standard library, Glibc or a type of ours does it"
    }
    guard let allowed = allowed[file.target] else {
      return "the target \(file.target) has no row in ImportRules.allowed: decide what it may import"
    }
    return allowed.contains(module)
      ? nil : "\(file.target) may not import \(module): move the code, or change ImportRules and ARCHITECTURE.md"
  }
}
