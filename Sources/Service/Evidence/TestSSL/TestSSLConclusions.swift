extension TestSSLReport.Target {
  /// What the findings say, check by check, in the order of the catalogue. A check that the scan did not look at has
  /// no conclusion.
  func conclusions() -> [TestSSLConclusion] {
    TestSSLRule.all.compactMap(conclusion)
  }

  private func conclusion(_ rule: TestSSLRule) -> TestSSLConclusion? {
    let readings = findings.compactMap { finding -> Reading? in
      let (id, certificate) = finding.idAndCertificate
      guard rule.required.contains(id) || rule.optional.contains(id) else { return nil }
      return Reading(finding: finding, id: id, certificate: certificate, outcome: rule.read(id, finding))
    }
    guard !readings.isEmpty else { return nil }

    func concluded(_ outcome: TestSSLOutcome, by findings: [TestSSLReport.Finding]) -> TestSSLConclusion {
      TestSSLConclusion(check: rule.check, outcome: outcome, findings: findings)
    }
    if rule.isOfHTTP, let reasons = reasonsAgainstHTTP {
      return concluded(.inconclusive, by: reasons + readings.map(\.finding))
    }
    // One bad certificate, cipher or protocol is enough, whatever else could not be tested.
    let failing = readings.filter { $0.outcome == .fail }
    if !failing.isEmpty { return concluded(.fail, by: failing.map(\.finding)) }
    let undecided = readings.filter { $0.outcome == .inconclusive }
    if !undecided.isEmpty { return concluded(.inconclusive, by: undecided.map(\.finding)) }
    guard isComplete(readings, for: rule) else { return concluded(.inconclusive, by: readings.map(\.finding)) }
    guard !offeredTLS.isEmpty else {
      return concluded(.inconclusive, by: tlsProtocols.isEmpty ? readings.map(\.finding) : tlsProtocols)
    }
    return concluded(.pass, by: readings.map(\.finding) + offeredTLS)
  }

  /// What was read of one finding for one check.
  private struct Reading {
    let finding: TestSSLReport.Finding
    let id: String
    let certificate: String
    let outcome: TestSSLOutcome
  }

  /// Whether everything that a pass needs was tested: `--severity` leaves findings out of a report, and an
  /// interrupted scan ends early.
  private func isComplete(_ readings: [Reading], for rule: TestSSLRule) -> Bool {
    let groups = Dictionary(grouping: readings) { rule.isOfCertificates ? $0.certificate : "" }
    let areWhole = groups.values.allSatisfy { Set($0.map(\.id)).isSuperset(of: rule.required) }
    guard rule.isOfCertificates else { return areWhole }
    // Written before the first certificate.
    let announced = findings.filter { $0.id == "cert_numbers" }.compactMap { Int($0.finding) }.max() ?? 0
    return areWhole && groups.count >= announced
  }

  /// What is said about TLS 1.0 to 1.3.
  private var tlsProtocols: [TestSSLReport.Finding] {
    findings.filter { TestSSLRule.tlsProtocols.contains($0.id) }
  }

  /// Nothing passes without it: on a port that speaks no TLS or is closed, testssl.sh reports every protocol and
  /// cipher as "not offered" (OK) and every vulnerability as "not vulnerable" (OK), with `--assume-http` all of them.
  /// A scan without the protocols (`-p`) does not show it, and does not pass.
  private var offeredTLS: [TestSSLReport.Finding] {
    tlsProtocols.filter { TestSSLRule.isOffered($0) == true }
  }

  /// The findings that keep the headers from counting, nil when nothing does: the scan got an HTTP answer over TLS.
  private var reasonsAgainstHTTP: [TestSSLReport.Finding]? {
    if !tlsProtocols.isEmpty, offeredTLS.isEmpty { return tlsProtocols }
    let service = findings.filter { $0.id == "service" }
    // "200 OK ('/')", otherwise "HTTP header reply empty", "No HTTP status code".
    let status = findings.filter { $0.id == "HTTP_status_code" }
    let isAnswered = status.map { Int($0.finding.prefix(3)) != nil }
    if isAnswered.contains(false) { return status }
    // "certificate-based authentication => skipping all HTTP checks", "IMAP, thus skipping HTTP specific checks".
    if isAnswered.contains(true) || service.contains(where: { $0.finding == "HTTP" }) { return nil }
    return service
  }
}

extension TestSSLReport.Finding {
  /// The id without the suffix that several certificates give it, and that suffix: `<cert#2>` in 3.0, `<hostCert#2>`
  /// since 3.2. `cert_trust <hostCert#1>_wildcard` is another id, not `cert_trust`.
  fileprivate var idAndCertificate: (id: String, certificate: String) {
    guard id.hasSuffix(">"), let blank = id.firstIndex(of: " ") else { return (id, "") }
    let suffix = id[id.index(after: blank)...]
    return suffix.hasPrefix("<") ? (String(id[..<blank]), String(suffix)) : (id, "")
  }
}
