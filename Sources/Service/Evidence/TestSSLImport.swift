import Crypto
import JSON
import RiskModel

/// Turns a testssl.sh report into probe results.
struct TestSSLImport {
  let provider: Provider
  let source: Source
  let methodology: Methodology
  let now: Instant

  /// More than any scan has; a forged report must not grow without bound.
  static let targetCountMax = 1_000

  /// The results in the order of the report, and what a reader should know about them.
  struct Results: Sendable {
    let results: [ProbeResult]
    let warnings: [String]
  }

  /// - Parameters:
  ///   - observedAt: for a report that has no time of its own; the time of receipt when nil.
  ///   - target: instead of the report's own host and port.
  /// - Throws: `TestSSLError` when the bytes are no whole report, `JSONFaults` when it cannot be taken over; nothing
  ///   is stored then.
  func results(of bytes: [UInt8], observedAt: Instant?, target: TargetAddress?) throws -> Results {
    let report = try TestSSLReport(bytes)
    guard report.targets.count <= Self.targetCountMax else {
      throw JSONFaults([
        JSONFault(
          pointer: "", detail: "has \(report.targets.count) targets, at most \(Self.targetCountMax) are taken over")
      ])
    }
    let time = try time(of: report, otherwise: observedAt)
    let bodyHash = hexadecimal(SHA256.hash(data: bytes).prefix(16))
    var results: [ProbeResult] = []
    var warnings: [String] = []
    for (index, scanned) in report.targets.enumerated() {
      let address: TargetAddress
      do throws(InvalidTarget) {
        address = if let target { target } else { try TargetAddress(scanned.address) }
      } catch {
        throw JSONFaults([
          JSONFault(pointer: "", detail: "target \(index + 1) of the report, \(scanned.address): \(error)")
        ])
      }
      if let warning = warning(about: scanned, address) { warnings.append(warning) }
      let conclusions = scanned.conclusions()
      if conclusions.isEmpty { warnings.append("\(address.text): the report tested nothing that maps to a check") }
      for conclusion in conclusions {
        guard let check = methodology.checkIndex(conclusion.check) else { continue }
        let evidence = try JSONReader.read(conclusion.evidence(version: report.version)).value
        results.append(
          ProbeResult(
            provider: provider.id, source: source.id, check: check, checkID: conclusion.check,
            outcome: Outcome(rawValue: conclusion.outcome.rawValue)!, observedAt: time ?? observedAt ?? now,
            isObservedAtAssumed: time == nil && observedAt == nil,
            target: Target(address: address.text), confidence: 1,
            externalID: externalID(bodyHash, conclusion.check, address, scanned.ip), runID: nil, vantage: nil,
            scanner: ProbeResult.Scanner(name: "testssl.sh", version: report.version), note: nil, evidence: evidence))
      }
    }
    return Results(results: results, warnings: warnings)
  }

  private func time(of report: TestSSLReport, otherwise observedAt: Instant?) throws -> Instant? {
    guard let start = report.startTime else { return nil }
    let instant = Instant(milliseconds: start)
    guard instant <= now + ProbeResultDecoder.clockSkewMillisecondsMax else {
      throw JSONFaults([JSONFault(pointer: "/startTime", detail: "is more than 5 minutes ahead")])
    }
    return instant
  }

  /// A scan of a host that is not the provider's may be right (a shared edge) or a mix-up: it is taken, and said.
  private func warning(about scanned: TestSSLReport.Target, _ address: TargetAddress) -> String? {
    let text = scanned.host ?? scanned.ip
    guard let host = try? Host(text) else { return nil }
    let isOwn = provider.details.hosts.contains { own in
      host.text == own.text || (!own.isAddress && host.text.hasSuffix("." + own.text))
    }
    return isOwn ? nil : "\(address.text) is not a host of \(provider.slug); its results count for it all the same"
  }

  /// Made of what was sent, so that sending it again is a repetition; at most 200 bytes. The address that was scanned
  /// is part of it: a name with several addresses stands several times in one report.
  private func externalID(_ bodyHash: String, _ check: String, _ address: TargetAddress, _ ip: String) -> String {
    let scanned = "\(address.text)#\(ip)"
    let whole = "testssl:\(bodyHash):\(check):\(scanned)"
    if whole.utf8.count <= 200 { return whole }
    return "testssl:\(bodyHash):\(check):sha256-\(hexadecimal(SHA256.hash(data: Array(scanned.utf8)).prefix(16)))"
  }
}
