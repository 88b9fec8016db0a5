import JSON

enum TestSSLOutcome: String, Sendable {
  case pass
  case fail
  /// The check was tried and the report does not tell: it is filed, and moves no score.
  case inconclusive
}

/// What one target's findings say about one check.
struct TestSSLConclusion: Sendable {
  /// An id of the catalogue.
  let check: String
  let outcome: TestSSLOutcome
  /// The ones that decided, as the report has them.
  let findings: [TestSSLReport.Finding]

  /// Below the 64 KiB that evidence may have, with room for what a caller adds to it.
  static let evidenceBytesMax = 60 << 10
  /// Findings are a line long; only lists of ciphers and a forged report are longer.
  private static let textBytesMax = 2_000

  /// The findings as a JSON object. Those that no longer fit are counted in `omitted`.
  /// - Parameter version: of testssl.sh, from the report.
  func evidence(version: String?) -> [UInt8] {
    // Around the findings stand the names and the version, with each byte escaped to six at worst.
    let others = 200 + 6 * Self.textBytesMax
    var texts: [[UInt8]] = []
    var size = others
    for finding in findings {
      let text = Self.json(finding)
      size += text.count + 1
      guard size <= Self.evidenceBytesMax else { break }
      texts.append(text)
    }
    var json = JSONWriter(reservingBytes: size)
    json.object { json in
      json.member("report", "testssl.sh")
      if let version { json.member("version", Self.clipped(version)) }
      json.array("findings", texts) { $0.raw($1) }
      if texts.count < findings.count { json.member("omitted", findings.count - texts.count) }
    }
    return json.bytes
  }

  private static func json(_ finding: TestSSLReport.Finding) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.member("id", clipped(finding.id))
      json.member("severity", clipped(finding.severity))
      json.member("finding", clipped(finding.finding))
      if let cve = finding.cve { json.member("cve", clipped(cve)) }
    }
    return json.bytes
  }

  /// The start of a text. A string rounds an index inside a scalar down, so none is cut.
  private static func clipped(_ text: String) -> String {
    guard text.utf8.count > textBytesMax else { return text }
    return String(text[..<text.utf8.index(text.startIndex, offsetBy: textBytesMax)]) + "…"
  }
}
